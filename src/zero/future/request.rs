//! Messages that somebody has waited for, from their mailbox to their reply.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use meshzero_actors::handler::Encoded;
use meshzero_actors::inbound::ReplyTo;
use meshzero_actors::quota;
use meshzero_proto::codec::{self, DecodeLimits, Packed};
use meshzero_proto::name::TypeName;
use meshzero_proto::refusal::Refusal;

use super::super::address::Address;
use super::super::endpoint::Endpoint;
use super::super::error::ZeroError;
use super::super::global;
use super::super::mailbox::{self, Mailbox, TakeOutcome};
use super::super::node::Node;
use super::super::queue::Sequenced;
use super::super::wait::Wait;

/// Waits for the next message to this address of ours, as [`zero::wait_for_message_from`](super::super::wait_for_message_from)
/// does; `None` when none came in time. The time begins with this call, and not when the future is first polled.
///
/// # Errors
/// As there.
pub fn wait_for_message_from(
    address: Address,
    wait: impl Into<Wait>,
) -> impl Future<Output = Result<Option<Arrival>, ZeroError>> + Send {
    let deadline = wait.into().deadline();
    async move {
        let node = global::node()?;
        let endpoint = node.endpoint_at(address)?;
        next(&node, &endpoint, deadline).await
    }
}

/// As [`wait_for_message_from`], at an address that this program listens at already, so that one that has been closed stays
/// closed.
///
/// # Errors
/// As there, and [`ZeroError::Closed`] if it is not listened at.
pub fn next_message_at(
    address: Address,
    wait: impl Into<Wait>,
) -> impl Future<Output = Result<Option<Arrival>, ZeroError>> + Send {
    let deadline = wait.into().deadline();
    async move {
        let node = global::node()?;
        let endpoint = node.open_endpoint(address).ok_or(ZeroError::Closed)?;
        next(&node, &endpoint, deadline).await
    }
}

async fn next(
    node: &Node,
    endpoint: &Endpoint,
    deadline: Option<Instant>,
) -> Result<Option<Arrival>, ZeroError> {
    loop {
        let end = node.mesh.node.alarms().at(deadline);
        let taken = match endpoint.mailbox.take(end).await {
            TakeOutcome::Message(taken) => taken,
            TakeOutcome::TimedOut => return Ok(None),
            TakeOutcome::Closed => return Err(ZeroError::Closed),
        };
        let limits = *node.mesh.node.decode_limits();
        if let Some((message, taken)) = decode(taken, &limits) {
            let mailbox = Arc::clone(&endpoint.mailbox);
            return Ok(Some(Arrival { message, taken: Some(taken), mailbox, limits }));
        }
    }
}

/// Decodes a message; `None` if it cannot be, of which its sender is told.
fn decode(taken: Sequenced<Encoded>, limits: &DecodeLimits) -> Option<(Packed, Sequenced<Encoded>)> {
    let inbound = &taken.item.inbound;
    match codec::decode(&inbound.payload, inbound.encoding, limits) {
        Ok(message) => Some((message, taken)),
        Err(error) => {
            let (message, problem) = (taken.item.name.to_string(), error.to_string());
            mailbox::refuse(taken.item.inbound, Refusal::Undecodable { message, problem });
            None
        }
    }
}

/// A message that has come for who waited. Dropped before it is [taken](Arrival::take), it waits again, before those that came
/// after it: its sender is told nothing, because nobody has got it.
pub struct Arrival {
    message: Packed,
    taken: Option<Sequenced<Encoded>>,
    mailbox: Arc<Mailbox>,
    limits: DecodeLimits,
}

impl Arrival {
    /// The message, which is owed a reply from now on; or one that came before it, if that has come back meanwhile because nobody
    /// took it.
    pub fn take(mut self) -> Request {
        let mut message = self.message.clone();
        let mut taken = self.taken.take().expect("it is taken once, by value");
        while let Some(first) = self.mailbox.take_before(&taken) {
            if let Some((earlier, first)) = decode(first, &self.limits) {
                message = earlier;
                self.mailbox.give_back(std::mem::replace(&mut taken, first));
                break;
            }
        }
        let taken = taken.item;
        let path = Some(ReplyPath { reply: taken.inbound.reply, _permit: taken.inbound.place });
        Request { name: taken.name, message, path }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            self.mailbox.give_back(taken);
        }
    }
}

/// A message that was taken and is owed a reply. When it is dropped without one, its sender is told that none will come.
pub struct Request {
    name: TypeName,
    message: Packed,
    path: Option<ReplyPath>,
}

struct ReplyPath {
    reply: Option<ReplyTo>,
    /// Given back when the message is finished.
    _permit: quota::Taken,
}

impl Request {
    /// The name that it was sent under: `Value`, or one that the address takes besides.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says.
    pub fn message(&self) -> &Packed {
        &self.message
    }

    /// Whether its sender still waits for a reply.
    pub fn is_wanted(&self) -> bool {
        self.path.as_ref().and_then(|path| path.reply.as_ref()).is_some_and(ReplyTo::is_wanted)
    }

    /// Replies. A sender that has given up is no error.
    pub fn reply(mut self, reply: &Packed) {
        if let Some(path) = self.path.take().and_then(|path| path.reply) {
            path.send_at_once(reply);
        }
    }

    /// Tells the sender that there is no reply, and why.
    pub fn refuse(mut self, why: Refusal) {
        self.end(why);
    }

    fn end(&mut self, why: Refusal) {
        if let Some(path) = self.path.take().and_then(|path| path.reply) {
            path.refuse(why);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.end(Refusal::Unanswered);
    }
}
