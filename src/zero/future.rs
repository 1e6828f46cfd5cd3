//! The waits of the verbs as futures, with messages that are MessagePack already: for async programs, and for other
//! languages, whose programs wait in a way of their own.
//!
//! They use the node that the other verbs use, and work on every executor. Each can be dropped at any time, which loses
//! nothing: a call is cancelled, a message that nobody has taken waits for the next who asks, and so do news. What the
//! verbs keep for a thread is an object here, so that it can be handed from one to another: the [`Request`] that is owed
//! a reply, and the [`Listener`].
//!
//! ```no_run
//! use meshzero::value::Packed;
//! use meshzero::zero::{self, FOREVER, future};
//!
//! # async fn run() -> Result<(), zero::ZeroError> {
//! let address = zero::advertise("echo")?;
//! while let Some(request) = future::wait_for_message_from(address, FOREVER).await? {
//!     let message = request.message().clone();
//!     request.reply(&message);
//! }
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use meshzero_actors::inbound::ReplyTo;
use meshzero_actors::{packed, quota};
use meshzero_proto::codec::{self, Packed};
use meshzero_proto::name::TypeName;
use meshzero_proto::refusal::Refusal;

use super::address::Address;
use super::discover::{self, Group};
use super::endpoint::Endpoint;
use super::error::ZeroError;
use super::listener::{self, Subject};
use super::mailbox::{self, Taken};
use super::news::CONFIRM;
use super::node::Node;
use super::wait::Wait;
use super::{message, news, program};
use crate::subscription::News;

/// As [`zero::discover`](super::discover()).
///
/// # Errors
/// As there.
pub async fn discover(name: &str, wait: impl Into<Wait>) -> Result<Address, ZeroError> {
    discover::found(name, wait.into()).await
}

/// As [`zero::discover_all`](super::discover_all).
///
/// # Errors
/// As there.
pub async fn discover_all(wait: impl Into<Wait>) -> Result<Vec<(String, Address)>, ZeroError> {
    discover::found_all(wait.into()).await
}

/// As [`zero::discover_group_with`](super::discover_group_with).
///
/// # Errors
/// As there.
pub async fn discover_group(
    group: &str,
    wait: impl Into<Wait>,
    options: Group,
) -> Result<Vec<(String, Address)>, ZeroError> {
    discover::found_group(group, wait.into(), options).await
}

/// As [`zero::send_message_to`](super::send_message_to), and with a `name` to the handler of a typed actor that is registered
/// under it.
///
/// # Errors
/// As there.
pub async fn send_message_to(
    address: Address,
    message: Packed,
    name: Option<&str>,
    wait: impl Into<Wait>,
) -> Result<Packed, ZeroError> {
    let node = program::node()?;
    message::call(&node, address, packed::Value(message), name, wait.into()).await
}

/// Waits for the next message to this address of ours, as [`zero::wait_for_message_from`](super::wait_for_message_from) does;
/// `None` when none came in time.
///
/// # Errors
/// As there.
pub async fn wait_for_message_from(
    address: Address,
    wait: impl Into<Wait>,
) -> Result<Option<Request>, ZeroError> {
    let node = program::node()?;
    let endpoint = node.endpoint_at(address)?;
    next(&node, &endpoint, wait.into()).await
}

/// As [`wait_for_message_from`], at an address that this program listens at already, so that one that has been closed stays
/// closed.
///
/// # Errors
/// As there, and [`ZeroError::Closed`] if it is not listened at.
pub async fn next_message_at(address: Address, wait: impl Into<Wait>) -> Result<Option<Request>, ZeroError> {
    let node = program::node()?;
    let endpoint = node.open_endpoint(address).ok_or(ZeroError::Closed)?;
    next(&node, &endpoint, wait.into()).await
}

async fn next(node: &Node, endpoint: &Endpoint, wait: Wait) -> Result<Option<Request>, ZeroError> {
    let deadline = wait.deadline();
    loop {
        let end = node.mesh.node.alarms().at(deadline);
        let taken = match endpoint.mailbox.take(end).await {
            Taken::Message(taken) => taken,
            Taken::TimedOut => return Ok(None),
            Taken::Closed => return Err(ZeroError::Closed),
        };
        let inbound = taken.inbound;
        match codec::decode(&inbound.payload, inbound.encoding, node.mesh.node.decode_limits()) {
            Ok(message) => {
                let way = Some(Way { reply: inbound.reply, _place: inbound.place });
                return Ok(Some(Request { name: taken.name, message, way }));
            }
            Err(error) => {
                let problem = error.to_string();
                mailbox::refuse(inbound, Refusal::Undecodable { message: taken.name.to_string(), problem });
            }
        }
    }
}

/// Publishes at this address of ours, as [`zero::send_news_to`](super::send_news_to) does.
///
/// # Errors
/// As there.
pub fn send_news_to(address: Address, topic: &str, item: &Packed) -> Result<(), ZeroError> {
    news::publish(address, topic, item)
}

/// A message that was taken and is owed a reply. When it is dropped without one, its sender is told that none will come.
pub struct Request {
    name: TypeName,
    message: Packed,
    way: Option<Way>,
}

struct Way {
    reply: Option<ReplyTo>,
    /// Given back when the message is finished.
    _place: quota::Taken,
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
        self.way.as_ref().and_then(|way| way.reply.as_ref()).is_some_and(ReplyTo::is_wanted)
    }

    /// Replies. A sender that has given up is no error.
    pub fn reply(mut self, reply: &Packed) {
        if let Some(way) = self.way.take().and_then(|way| way.reply) {
            way.send_at_once(reply);
        }
    }

    /// Tells the sender that there is no reply, and why.
    pub fn refuse(mut self, why: Refusal) {
        self.end(why);
    }

    fn end(&mut self, why: Refusal) {
        if let Some(way) = self.way.take().and_then(|way| way.reply) {
            way.refuse(why);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.end(Refusal::Unanswered);
    }
}

/// News of some addresses under some prefixes, as [`zero::wait_for_news_from`](super::wait_for_news_from) takes them. It
/// subscribes when it is made, and until it is dropped.
pub struct Listener {
    listener: listener::Listener<Packed>,
    /// Until when a wait allows the publishers to confirm, even if it is to wait less.
    confirmed_by: Option<Instant>,
}

impl Listener {
    /// Begins to subscribe.
    ///
    /// # Errors
    /// [`ZeroError::Nothing`] if there is no address or no prefix, [`ZeroError::Join`].
    pub fn new(addresses: Vec<Address>, prefixes: Vec<String>) -> Result<Self, ZeroError> {
        let subject = Subject::new(addresses, prefixes)?;
        Ok(Self { listener: listener::Listener::open(program::node()?, subject), confirmed_by: None })
    }

    /// Waits for the next item; `None` when none came in time. The first wait allows the publishers half a second to
    /// confirm, even if it is to wait less.
    ///
    /// # Errors
    /// As [`zero::wait_for_news_from`](super::wait_for_news_from). After [`ZeroError::Closed`] and [`ZeroError::Subscribe`]
    /// a new listener is needed; after all others the next wait goes on.
    pub async fn next(&mut self, wait: impl Into<Wait>) -> Result<Option<News<Packed>>, ZeroError> {
        let confirmed_by = *self.confirmed_by.get_or_insert_with(|| Instant::now() + CONFIRM);
        self.listener.next(wait.into().deadline(), confirmed_by).await
    }

    /// The next item, if it is there already.
    ///
    /// # Errors
    /// As [`Listener::next`].
    pub fn next_now(&mut self) -> Result<Option<News<Packed>>, ZeroError> {
        let next = pin!(self.listener.next(None, Instant::now()));
        match next.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(next) => next,
            Poll::Pending => Ok(None),
        }
    }
}
