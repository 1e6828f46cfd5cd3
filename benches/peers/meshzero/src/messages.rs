//! The messages, and the actors that handle them.

use actix::prelude::*;
use bytes::Bytes;
use meshzero::Blob;
use peers_common::{Payload, Tally};
use serde::{Deserialize, Serialize};

/// A large payload as meshzero's users send it: bytes that are shared and not copied.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Picture {
    number: u64,
    body: Blob,
}

impl Payload for Picture {
    fn new(number: u64, body: &Bytes) -> Self {
        Self { number, body: body.clone().into() }
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// Returned unchanged.
#[derive(Serialize, Deserialize)]
pub(crate) struct Echo<P>(pub(crate) P);

impl<P: Payload> Message for Echo<P> {
    type Result = P;
}

/// Needs no reply.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tell<P>(pub(crate) P);

impl<P: Payload> Message for Tell<P> {
    type Result = ();
}

/// Replies.
pub(crate) struct Echoes;

impl Actor for Echoes {
    type Context = Context<Self>;
}

impl<P: Payload> Handler<Echo<P>> for Echoes {
    type Result = MessageResult<Echo<P>>;

    fn handle(&mut self, Echo(payload): Echo<P>, _: &mut Context<Self>) -> MessageResult<Echo<P>> {
        MessageResult(payload)
    }
}

/// Checks the numbers of tells.
pub(crate) struct Receiver(pub(crate) Tally);

impl Actor for Receiver {
    type Context = Context<Self>;
}

impl<P: Payload> Handler<Tell<P>> for Receiver {
    type Result = ();

    fn handle(&mut self, Tell(payload): Tell<P>, _: &mut Context<Self>) {
        self.0.take(payload.number());
    }
}
