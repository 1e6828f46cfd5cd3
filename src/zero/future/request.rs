//! Messages as objects, from their mailbox to their reply.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use meshzero_actors::runtime::semaphore;
use meshzero_actors::server::actor::handler::RawMessage;
use meshzero_actors::server::request::inbound::ReplyTo;
use meshzero_proto::codec::{self, DecodeLimits, Packed};
use meshzero_proto::name::TypeName;
use meshzero_proto::wire::refusal::Refusal;

use super::super::address::Address;
use super::super::endpoint::Endpoint;
use super::super::error::ZeroError;
use super::super::global;
use super::super::mailbox::{self, Mailbox, TakeOutcome};
use super::super::node::Node;
use super::super::queue::Sequenced;
use super::super::wait::Wait;

/// Waits for the next message to an address of this program, like
/// [`zero::wait_for_message_from`](super::super::wait_for_message_from); `None` if none arrived in time. The time begins with this call,
/// and not when the future is first polled.
///
/// # Errors
/// Those of [`zero::wait_for_message_from`](super::super::wait_for_message_from).
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

/// Waits like [`wait_for_message_from`], at an address that this program listens at already, so that a closed one stays closed.
///
/// # Errors
/// Those of [`wait_for_message_from`], and [`ZeroError::Closed`] if this program does not listen at the address.
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
        let end = node.mesh.node.timers().sleep_until(deadline);
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

/// Decodes a message; refuses it and returns `None` if that fails.
fn decode(taken: Sequenced<RawMessage>, limits: &DecodeLimits) -> Option<(Packed, Sequenced<RawMessage>)> {
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

/// A message that a wait has returned. If it is dropped before it is [taken](Arrival::take), it is queued again, before those that
/// arrived after it, and its sender is not notified.
pub struct Arrival {
    message: Packed,
    taken: Option<Sequenced<RawMessage>>,
    mailbox: Arc<Mailbox>,
    limits: DecodeLimits,
}

impl Arrival {
    /// Takes the message, which needs a reply from now on; or one that arrived before it, if that was queued again meanwhile.
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
        let path = Some(ReplyPath { reply: taken.inbound.reply, _permit: taken.inbound.permit });
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

/// A message that was taken and needs a reply. If it is dropped without one, its sender gets an error.
pub struct Request {
    name: TypeName,
    message: Packed,
    path: Option<ReplyPath>,
}

struct ReplyPath {
    reply: Option<ReplyTo>,
    /// Released when the message is finished.
    _permit: semaphore::Permits,
}

impl Request {
    /// The name under which it was sent: `Value`, or another one that the address accepts.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The content of the message.
    pub fn message(&self) -> &Packed {
        &self.message
    }

    /// Returns true while its sender waits for a reply.
    pub fn is_wanted(&self) -> bool {
        self.path.as_ref().and_then(|path| path.reply.as_ref()).is_some_and(ReplyTo::is_wanted)
    }

    /// Replies. Does nothing if the sender no longer waits.
    pub fn reply(mut self, reply: &Packed) {
        if let Some(path) = self.path.take().and_then(|path| path.reply) {
            path.send_at_once(reply);
        }
    }

    /// Refuses the message: the sender gets `reason` in place of a reply.
    pub fn refuse(mut self, reason: Refusal) {
        self.end(reason);
    }

    fn end(&mut self, reason: Refusal) {
        if let Some(path) = self.path.take().and_then(|path| path.reply) {
            path.refuse(reason);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.end(Refusal::Unanswered);
    }
}
