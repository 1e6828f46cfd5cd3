//! The messages, and the names of the actors at the other node.

use actix::prelude::*;
use actix_telepathy::prelude::*;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The name of the actor that replies, and of the one that receives the replies.
pub(crate) const ECHO: &str = "echo";
pub(crate) const CALLER: &str = "caller";
/// The name of the actor that receives the acknowledgements.
pub(crate) const PUBLISHER: &str = "publisher";

/// The name of the receiver of that index.
pub(crate) fn receiver(index: usize) -> String {
    format!("receiver-{index}")
}

/// A numbered payload.
#[derive(Serialize, Deserialize, RemoteMessage)]
pub(crate) struct Item {
    pub(crate) number: u64,
    pub(crate) body: Bytes,
}

/// An acknowledgement: this many have arrived at the receiver of that index.
#[derive(Serialize, Deserialize, RemoteMessage)]
pub(crate) struct Arrived {
    pub(crate) index: usize,
    pub(crate) count: u64,
}
