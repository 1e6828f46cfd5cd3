//! What travels, and under which names actors are known to the other node.

use actix::prelude::*;
use actix_telepathy::prelude::*;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The actor that answers, and the one that is answered.
pub(crate) const ECHO: &str = "echo";
pub(crate) const CALLER: &str = "caller";
/// The actor that hears of what has arrived.
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

/// So many have arrived at the receiver of that index.
#[derive(Serialize, Deserialize, RemoteMessage)]
pub(crate) struct Arrived {
    pub(crate) index: usize,
    pub(crate) count: u64,
}
