//! The errors of the verbs.

use std::time::Duration;

use meshzero_proto::rounded::RoundedDuration;

use super::address::Address;
use crate::error::{
    AdvertiseError, CallError, DiscoverError, JoinError, NewsError, PublishError, SubscribeError,
    UnknownReason, debug_is_display,
};
use crate::value::ConvertError;

/// The error of a verb. Whatever it is, every verb can be used again afterwards.
///
/// ```no_run
/// use meshzero::zero::{self, ZeroError};
///
/// match zero::send_message_to::<String>("192.168.1.7:9000", "World", 5) {
///     Ok(reply) => println!("{reply}"),
///     Err(ZeroError::NoReply { address, .. }) => println!("{address} is slow, or too busy"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ZeroError {
    /// The program could not join its mesh: a setting cannot be read, or the system provided no socket or no thread.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// [`join`](super::join) came too late: an earlier verb has joined already.
    #[error("this program has joined the mesh {mesh:?} already: call join before any other verb, and once")]
    AlreadyJoined {
        /// The mesh that it has joined.
        mesh: String,
    },
    /// The text is not an address.
    #[error("{text:?} is not an address: {problem}")]
    Address {
        /// The text.
        text: String,
        /// The problem with it.
        problem: String,
    },
    /// A list is empty.
    #[error("there is nothing to wait for: the list of {what} is empty")]
    Nothing {
        /// The content of the list.
        what: &'static str,
    },
    /// The service is not advertised, or the address is not available: it is in use or not of this computer, or the name exists or
    /// is not valid.
    #[error(transparent)]
    Advertise(#[from] AdvertiseError),
    /// The address has another name already, and an address has only one.
    #[error("{address} is advertised as {name:?} already; advertise the other name at another address")]
    SecondName {
        /// The address.
        address: Address,
        /// Its name.
        name: String,
    },
    /// No service was found: the error lists the names that were received instead, and where.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// No reply arrived in time. The message may have arrived, and may still be handled.
    #[error("{} did not reply within {}; it may have got the message", whom(service.as_deref(), *address), RoundedDuration(*waited))]
    NoReply {
        /// The address that did not reply.
        address: Address,
        /// Its name, if it is known.
        service: Option<String>,
        /// The time that was waited.
        waited: Duration,
    },
    /// There is no reply, for the reason given.
    #[error(transparent)]
    Call(CallError),
    /// The reply or item is not of the type that the program asked for.
    #[error("the data from {from} is not of the type that this program expects: {problem}")]
    Unexpected {
        /// The sender.
        from: String,
        /// The field and what is wrong with it.
        problem: String,
    },
    /// The message, the reply or the item cannot be converted to a value.
    #[error("this cannot be sent: {0}")]
    Unsendable(#[from] ConvertError),
    /// There is no message to reply to.
    #[error(
        "there is no message to reply to at {address}: each needs one reply, from the thread that waited for it"
    )]
    NothingToReplyTo {
        /// The address that the reply was to be sent from.
        address: Address,
    },
    /// The item was not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The topic is not valid, or the publisher has reached its subscription limit.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// Some items did not arrive, because the program did not wait for them often enough. Later ones will.
    #[error(transparent)]
    News(NewsError),
    /// The line cannot be split into words.
    #[error("{line:?} is not a command: {problem}")]
    CommandLine {
        /// The line.
        line: String,
        /// The problem with it.
        problem: &'static str,
    },
    /// The text was not made by [`bytes_to_string`](super::bytes_to_string).
    #[error("the text is not base64 at byte {position}")]
    Base64 {
        /// The position, in bytes.
        position: usize,
    },
    /// The address was closed while the program waited: by [`close`](super::close) or
    /// [`unadvertise`](super::unadvertise), or because the program ends.
    #[error("this address has been closed")]
    Closed,
}

debug_is_display!(ZeroError);

impl ZeroError {
    /// The error of a call to the service called `name`, if that is known, with the timeout `waited`.
    pub(super) fn from_call(
        address: Address,
        name: Option<String>,
        waited: Duration,
        mut error: CallError,
    ) -> Self {
        match &mut error {
            CallError::NotSent { service, .. }
            | CallError::Unknown { service, .. }
            | CallError::Refused { service, .. }
            | CallError::BadReply { service, .. } => *service = whom(name.as_deref(), address),
        }
        match error {
            CallError::Unknown { reason: UnknownReason::TimedOut { .. }, .. } => {
                Self::NoReply { address, service: name, waited }
            }
            CallError::BadReply { service, problem } => Self::Unexpected { from: service, problem },
            other => Self::Call(other),
        }
    }

    /// The error of a service that was known as `name`, and does not answer at its address.
    pub(super) fn from_connecting(name: Option<String>, mut error: ZeroError) -> Self {
        if let (Some(name), Self::Discover(DiscoverError::Unreachable { diagnosis, problem, .. })) =
            (name, &mut error)
        {
            *problem = format!("{problem} (it was {name:?})");
            if let Some(finding) = diagnosis.findings.first_mut() {
                finding.sentence = format!("{name:?}: {}", finding.sentence);
            }
        }
        error
    }
}

/// A service as text, by its name and its address.
fn whom(name: Option<&str>, address: Address) -> String {
    name.map_or_else(|| address.to_string(), |name| format!("{name:?} at {address}"))
}
