//! The waits of the verbs as futures, with messages that are MessagePack already: for async programs, and for other
//! languages, whose programs wait in a way of their own.
//!
//! They use the node that the other verbs use, and work on every executor. Each can be dropped at any time, which loses
//! nothing: a call is cancelled, a message that nobody has taken waits for the next who asks, and so does news. A message or
//! an item that a future has ended in is an [`Arrival`] or an [`Item`], which goes back to the front of its queue if it is
//! dropped before somebody takes it. What the verbs keep for a thread is an object here, so that it can be handed from one to
//! another: the [`Request`] that is owed a reply, and the [`Listener`].
//!
//! ```no_run
//! use meshzero::zero::{self, FOREVER, future};
//!
//! # async fn run() -> Result<(), zero::ZeroError> {
//! let address = zero::advertise("echo")?;
//! while let Some(arrival) = future::wait_for_message_from(address, FOREVER).await? {
//!     let request = arrival.take();
//!     let message = request.message().clone();
//!     request.reply(&message);
//! }
//! # Ok(())
//! # }
//! ```

mod listener;
mod request;

use meshzero_actors::packed;
use meshzero_proto::codec::Packed;

use super::address::Address;
use super::discover::{self, Group};
use super::error::ZeroError;
use super::wait::Wait;
use super::{global, message, news};

pub use listener::{Item, Listener};
pub use request::{Arrival, Request, next_message_at, wait_for_message_from};

/// As [`zero::discover`](super::discover()). After two seconds in vain `hint` is called, with what the error would be if that
/// were all, so that nobody waits a minute for a name that was misspelt.
///
/// # Errors
/// As there.
pub async fn discover(
    name: &str,
    wait: impl Into<Wait>,
    hint: impl FnOnce(&ZeroError),
) -> Result<Address, ZeroError> {
    discover::found(name, wait.into(), hint).await
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
    let node = global::node()?;
    message::call(&node, address, packed::Value(message), name, wait.into()).await
}

/// Publishes at this address of ours, as [`zero::send_news_to`](super::send_news_to) does.
///
/// # Errors
/// As there.
pub fn send_news_to(address: Address, topic: &str, item: &Packed) -> Result<(), ZeroError> {
    news::publish(address, topic, item)
}

/// As [`send_news_to`], for a thread that must not wait: publishes if this program listens at the address already and no
/// subscriber has to be waited for, and says whether it did. If not, nobody has received it.
///
/// # Errors
/// As there.
pub fn try_send_news_to(address: Address, topic: &str, item: &Packed) -> Result<bool, ZeroError> {
    news::try_publish(address, topic, item)
}

/// As [`send_news_to`], and waits for the subscribers that insist on it without holding up a thread.
///
/// # Errors
/// As there.
///
/// # Cancel safety
/// Dropping the future before it has ended publishes nothing.
pub async fn send_news_when_taken(address: Address, topic: &str, item: &Packed) -> Result<(), ZeroError> {
    news::publish_all(address, topic, item).await
}
