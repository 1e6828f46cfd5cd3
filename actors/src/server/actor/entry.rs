//! The entry to an actor, whatever its type and its owner, and the reasons for which its service ends.

use std::fmt;

use tokio::sync::oneshot;

use crate::server::request::delivery::Delivery;
use crate::server::request::in_progress::CountsByType;
use crate::server::request::inbound::InboundMessage;

/// The entry to an actor of any type, into which a service puts its messages.
pub(crate) trait ActorEntry: Send + Sync {
    /// Hands over the messages that arrived together on one connection. Called on the service's thread, in order of
    /// arrival.
    fn deliver(&self, delivery: Delivery);

    /// Hands a message that did not arrive on a link to the handler with this number. Called on any thread: encoded and
    /// other messages of this process enter in the order in which they were sent.
    fn deliver_alone(&self, slot: usize, inbound: InboundMessage);

    /// Accepts no more messages; those that were accepted are still handled.
    fn close(&self);

    /// As [`ActorEntry::close`], and refuses messages that no handler has begun. Sends the numbers of unfinished
    /// messages by type, as far as they are known.
    fn abandon(&self, report: oneshot::Sender<CountsByType>);

    /// Returns whether the actor still accepts messages.
    fn is_alive(&self) -> bool;

    /// Returns the number of times that the actor was restarted after a panic.
    fn restarts(&self) -> u64;
}

/// The reason why a service is no longer offered.
///
/// ```
/// # use meshzero_actors::server::service::ServiceEnd;
/// let end = ServiceEnd::GaveUp { restarts: 10, panic: "the motor does not answer".to_owned() };
/// assert_eq!(end.to_string(), "its actor panicked again after 10 restarts: the motor does not answer");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceEnd {
    /// This program closed it, dropped it, or left the mesh.
    Closed,
    /// Its actor has stopped; if the program runs the actor itself, it may also have panicked.
    Stopped,
    /// Its actor panicked more often than its [`RestartPolicy`](crate::server::actor::restart_policy::RestartPolicy) allows.
    GaveUp {
        /// The number of restarts before.
        restarts: u64,
        /// The message of the last panic.
        panic: String,
    },
}

impl fmt::Display for ServiceEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("it was closed"),
            Self::Stopped => f.write_str("its actor has stopped"),
            Self::GaveUp { restarts: 0, panic } => write!(f, "its actor panicked: {panic}"),
            Self::GaveUp { restarts, panic } => {
                write!(f, "its actor panicked again after {restarts} restarts: {panic}")
            }
        }
    }
}
