//! What travels, and the actor that handles it.

use bytes::Bytes;
use kameo::message::{Context, Message};
use kameo::{Actor, RemoteActor, remote_message};
use peers_common::Tally;
use serde::{Deserialize, Serialize};

/// The name by which the actor is found.
pub(crate) const NAME: &str = "peer";

/// Comes back as it is, without its body's memory being copied here.
#[derive(Serialize, Deserialize)]
pub(crate) struct Echo {
    pub(crate) number: u64,
    pub(crate) body: Bytes,
}

/// Needs no answer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tell {
    pub(crate) number: u64,
    pub(crate) body: Bytes,
}

/// Answers, and checks the number of what it is told.
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
