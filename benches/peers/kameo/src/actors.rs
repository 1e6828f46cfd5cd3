//! The messages, and the actor that handles them.

use bytes::Bytes;
use kameo::message::{Context, Message};
use kameo::{Actor, RemoteActor, remote_message};
use peers_common::Tally;
use serde::{Deserialize, Serialize};

/// The name by which the actor is found.
pub(crate) const NAME: &str = "peer";

/// Returned unchanged, without a copy of its body here.
#[derive(Serialize, Deserialize)]
pub(crate) struct Echo {
    pub(crate) number: u64,
    pub(crate) body: Bytes,
}

/// Needs no reply.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tell {
    pub(crate) number: u64,
    pub(crate) body: Bytes,
}

/// Replies, and checks the numbers of tells.
#[derive(Actor, RemoteActor)]
pub(crate) struct Peer(pub(crate) Tally);

#[remote_message]
impl Message<Echo> for Peer {
    type Reply = (u64, Bytes);

    async fn handle(&mut self, echo: Echo, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        (echo.number, echo.body)
    }
}

#[remote_message]
impl Message<Tell> for Peer {
    type Reply = ();

    async fn handle(&mut self, tell: Tell, _: &mut Context<Self, Self::Reply>) {
        self.0.take(tell.number);
    }
}
