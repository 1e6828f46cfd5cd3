//! The verbs as futures, with messages that are MessagePack already: for async programs, and for bindings to other languages.
//!
//! The futures use the same node as the other verbs, and work on every executor. All are cancel safe: dropping one cancels a call, and a
//! message or item that was not taken stays queued for the next wait. A wait returns a message as an [`Arrival`] and an item as an
//! [`Item`], which goes back to the front of its queue if it is dropped before it is taken. State that the blocking verbs keep for each
//! thread is an object here, so that it can be passed between threads: a [`Request`], which needs a reply, and a [`Listener`].
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

use meshzero_actors::message::packed;
use meshzero_proto::codec::Packed;

use super::address::Address;
use super::discover::{self, Group};
use super::error::ZeroError;
use super::wait::Wait;
use super::{global, message, news};

pub use listener::{Item, Listener};
pub use request::{Arrival, Request, next_message_at, wait_for_message_from};

/// Finds an address like [`zero::discover`](super::discover()). After two seconds without success calls `hint`, with the error as it would
/// be now, so that a misspelt name is noticed long before the timeout.
///
/// # Errors
/// Those of [`zero::discover`](super::discover()).
pub async fn discover(
    name: &str,
    wait: impl Into<Wait>,
    hint: impl FnOnce(&ZeroError),
) -> Result<Address, ZeroError> {
    discover::found(name, wait.into(), hint).await
}

/// Lists services like [`zero::discover_all`](super::discover_all).
///
/// # Errors
/// Those of [`zero::discover_all`](super::discover_all).
pub async fn discover_all(wait: impl Into<Wait>) -> Result<Vec<(String, Address)>, ZeroError> {
    discover::found_all(wait.into()).await
}

/// Lists a group like [`zero::discover_group_with`](super::discover_group_with).
///
/// # Errors
/// Those of [`zero::discover_group_with`](super::discover_group_with).
pub async fn discover_group(
    group: &str,
    wait: impl Into<Wait>,
    options: Group,
) -> Result<Vec<(String, Address)>, ZeroError> {
    discover::found_group(group, wait.into(), options).await
}

/// Calls like [`zero::send_message_to`](super::send_message_to); with a `name`, calls the handler that a typed actor has registered under
/// it.
///
/// # Errors
/// Those of [`zero::send_message_to`](super::send_message_to).
pub async fn send_message_to(
    address: Address,
    message: Packed,
    name: Option<&str>,
    wait: impl Into<Wait>,
) -> Result<Packed, ZeroError> {
    let node = global::node()?;
    message::call(&node, address, packed::Value(message), name, wait.into()).await
}

/// Publishes at an address of this program, like [`zero::send_news_to`](super::send_news_to).
///
/// # Errors
/// Those of [`zero::send_news_to`](super::send_news_to).
pub fn send_news_to(address: Address, topic: &str, item: &Packed) -> Result<(), ZeroError> {
    news::publish(address, topic, item)
}

/// Publishes like [`send_news_to`], for a thread that must not wait: publishes if this program listens at the address already and does
/// not have to wait for a subscriber. Returns whether it did; if not, no subscriber has received the item.
///
/// # Errors
/// Those of [`send_news_to`].
pub fn try_send_news_to(address: Address, topic: &str, item: &Packed) -> Result<bool, ZeroError> {
    news::try_publish(address, topic, item)
}

/// Publishes like [`send_news_to`], and waits without blocking a thread for the subscribers that require it.
///
/// # Errors
/// Those of [`send_news_to`].
///
/// # Cancel safety
/// This function is cancel safe: a future that is dropped before it has completed publishes nothing.
pub async fn send_news_when_taken(address: Address, topic: &str, item: &Packed) -> Result<(), ZeroError> {
    news::publish_all(address, topic, item).await
}
