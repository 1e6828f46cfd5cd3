//! The verbs for messages and their replies.

use serde::Serialize;
use serde::de::DeserializeOwned;

use meshzero_actors::NetMessage;
use meshzero_actors::server::request::inbound::InboundMessage;
use meshzero_proto::codec;
use meshzero_proto::wire::refusal::Refusal;

use super::address::Address;
use super::error::ZeroError;
use super::global;
use super::into_address::IntoAddress;
use super::mailbox::{self, TakeOutcome};
use super::node::Node;
use super::thread_state;
use super::wait::Wait;
use crate::block_on::block_on;
use crate::error::CallError;
use crate::value::Value;

/// Sends one message and waits for the reply, which is converted to the type that the program expects; [`Value`] accepts any.
///
/// Messages that several programs send to one address are handed out in the order of arrival. After a call that timed out everything
/// remains usable: send the message again, or another one. With [`FOREVER`](super::FOREVER) this waits until the other end disappears,
/// but only a minute for a service to answer at the address.
///
/// An actor of the [typed half](crate) that handles [`Value`] can be called as well.
///
/// # Errors
/// [`ZeroError::Address`]; [`ZeroError::Discover`] if nothing answers at the address; [`ZeroError::NoReply`] if the reply did not
/// arrive in time; [`ZeroError::Call`] if there will be none; [`ZeroError::Unexpected`] if it is of another type;
/// [`ZeroError::Unsendable`] if the message cannot be serialised.
///
/// ```no_run
/// use meshzero::{Value, zero};
///
/// let hello = zero::discover("hello", 10)?;
/// let reply: String = zero::send_message_to(hello, "World", 5)?;
/// let anything: Value = zero::send_message_to(hello, ("a list", 2, true), 0.5)?;
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn send_message_to<R: DeserializeOwned>(
    address: impl IntoAddress,
    message: impl Serialize,
    wait: impl Into<Wait>,
) -> Result<R, ZeroError> {
    let (address, wait) = (address.into_address()?, wait.into());
    let message = Value::of(&message)?;
    let node = global::node()?;
    let reply = block_on(call(&node, address, message, None, wait))?;
    reply
        .to()
        .map_err(|error| ZeroError::Unexpected { from: address.to_string(), problem: error.to_string() })
}

/// Calls as [`send_message_to`] does; under a `name` if there is one.
pub(super) async fn call<M: NetMessage>(
    node: &Node,
    address: Address,
    message: M,
    name: Option<&str>,
    wait: Wait,
) -> Result<M::Result, ZeroError> {
    let deadline = wait.deadline();
    let service = node
        .remote(address, wait.longest())
        .await
        .map_err(|error| ZeroError::from_connecting(node.name_at(address), error))?;
    let left = match deadline {
        Some(deadline) => deadline.saturating_duration_since(std::time::Instant::now()),
        None => wait.longest(),
    };
    let mut request = service.send(message).timeout(left);
    if let Some(name) = name {
        request = request.named(name);
    }
    request.await.map_err(|error| {
        if !matches!(error, CallError::Refused { .. }) {
            node.forget(address);
        }
        // The timeout includes the time for connecting.
        ZeroError::from_call(address, node.name_at(address), wait.longest(), error)
    })
}

/// Waits for the next message to an address of this program, and returns it as the type that the program expects; `None` if none
/// arrived in time. The sender waits until [`send_reply_to`] is called in the same thread.
///
/// The address is one that [`advertise`](super::advertise) or [`address`](super::address) has returned, or any other of this computer,
/// at which the program then begins to listen. Several threads may wait at one address, each for its own messages.
///
/// Messages whose sender no longer waits are not returned, nor are those that are not of the expected type, whose sender gets an error
/// that names the field at fault. If a thread waits again without having replied, its earlier message is refused, and that sender gets
/// an error. At most 256 messages are queued at an address; while the queue is full, further senders wait in turn.
///
/// # Errors
/// [`ZeroError::Address`]; [`ZeroError::Advertise`] if the program cannot listen at the address; [`ZeroError::Closed`].
///
/// ```no_run
/// use meshzero::zero;
///
/// let address = zero::advertise("hello")?;
/// while let Some(name) = zero::wait_for_message_from::<String>(address, zero::FOREVER)? {
///     zero::send_reply_to(address, format!("Hello, {name}!"))?;
/// }
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn wait_for_message_from<M: DeserializeOwned>(
    address: impl IntoAddress,
    wait: impl Into<Wait>,
) -> Result<Option<M>, ZeroError> {
    let Some((address, message, inbound)) = next_message(address.into_address()?, wait.into())? else {
        return Ok(None);
    };
    thread_state::put_unanswered(address, inbound)?;
    Ok(Some(message))
}

/// Waits like [`wait_for_message_from`], and replies with [`Value::Null`] at once, for messages that need no answer.
///
/// # Errors
/// Those of [`wait_for_message_from`].
///
/// ```no_run
/// use meshzero::zero;
///
/// let address = zero::advertise("lamp")?;
/// while let Some(colour) = zero::wait_for_message_from_autoreply::<String>(address, zero::FOREVER)? {
///     println!("the lamp is {colour}");
/// }
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn wait_for_message_from_autoreply<M: DeserializeOwned>(
    address: impl IntoAddress,
    wait: impl Into<Wait>,
) -> Result<Option<M>, ZeroError> {
    let Some((_, message, inbound)) = next_message(address.into_address()?, wait.into())? else {
        return Ok(None);
    };
    if let Some(reply) = inbound.reply {
        reply.send_at_once(&Value::Null);
    }
    Ok(Some(message))
}

/// Replies to the message that this thread last took with [`wait_for_message_from`] at this address.
///
/// # Errors
/// [`ZeroError::NothingToReplyTo`] if there is none, or it has been replied to. It is not an error if the sender no longer waits.
///
/// ```no_run
/// use meshzero::{Value, zero};
///
/// let address = zero::advertise("sum")?;
/// while let Some(numbers) = zero::wait_for_message_from::<Vec<f64>>(address, zero::FOREVER)? {
///     zero::send_reply_to(address, numbers.iter().sum::<f64>())?;
/// }
/// # Ok::<(), zero::ZeroError>(())
/// ```
pub fn send_reply_to(address: impl IntoAddress, reply: impl Serialize) -> Result<(), ZeroError> {
    let address = address.into_address()?;
    let taken_at = global::node()?.taken_at(address);
    let inbound = taken_at.map_or(Ok(None), thread_state::take_unanswered)?;
    let Some(inbound) = inbound else { return Err(ZeroError::NothingToReplyTo { address }) };
    let reply = match Value::of(&reply) {
        Ok(reply) => reply,
        Err(error) => {
            mailbox::refuse(inbound, Refusal::BadReply { problem: error.to_string() });
            return Err(error.into());
        }
    };
    if let Some(reply_to) = inbound.reply {
        reply_to.send_at_once(&reply);
    }
    Ok(())
}

/// Takes the next message that is an `M`, with the address as its endpoint knows it.
fn next_message<M: DeserializeOwned>(
    address: Address,
    wait: Wait,
) -> Result<Option<(Address, M, InboundMessage)>, ZeroError> {
    let node = global::node()?;
    let endpoint = node.endpoint_at(address)?;
    let address = endpoint.address;
    if let Some(before) = thread_state::take_unanswered(address)? {
        thread_state::leave_unanswered(address, before);
    }
    let deadline = wait.deadline();
    loop {
        let end = node.mesh.node.timers().sleep_until(deadline);
        let inbound = match block_on(endpoint.mailbox.take(end)) {
            TakeOutcome::Message(taken) => taken.item.inbound,
            TakeOutcome::TimedOut => return Ok(None),
            TakeOutcome::Closed => return Err(ZeroError::Closed),
        };
        match codec::read(&inbound.payload, inbound.encoding, node.mesh.node.decode_limits()) {
            Ok(message) => return Ok(Some((address, message, inbound))),
            Err(error) => {
                let problem = error.to_string();
                tracing::warn!(%address, %problem, "a message is not of the type that this program expects; its sender gets an error");
                let reason = Refusal::Undecodable { message: "message".to_owned(), problem };
                mailbox::refuse(inbound, reason);
            }
        }
    }
}
