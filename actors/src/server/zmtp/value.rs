//! Untyped messages, as other protocols send them.

use actix::Message;
use meshzero_proto::codec::Json;
use serde::{Deserialize, Serialize};

/// The name of untyped messages.
pub(crate) const UNTYPED_NAME: &str = "Value";

/// An untyped message, and its reply.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "JsonMessage")]
#[serde(transparent)]
pub(crate) struct JsonMessage(pub(crate) Json);
