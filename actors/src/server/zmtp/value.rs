//! Messages without a type, as other protocols know them.

use actix::Message;
use meshzero_proto::codec::Json;
use serde::{Deserialize, Serialize};

/// The name that messages without a type have.
pub(crate) const NAME: &str = "Value";

/// A message without a type, and its reply.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "JsonMessage")]
#[serde(transparent)]
pub(crate) struct JsonMessage(pub(crate) Json);
