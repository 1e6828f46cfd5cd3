//! What can go wrong, by operation: each variant says whose fault it is and what to do about it.
//!
//! Each is its sentence in `Debug` as well, since that is what Rust prints when `main` returns an error.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use meshzero_actors::diagnose;
use meshzero_actors::diagnosis::Diagnosis;
use meshzero_actors::fault::Fault;
use meshzero_actors::feed::FeedError;
use meshzero_actors::home::Gone;
use meshzero_actors::interfaces::InterfacesError;
use meshzero_actors::networkzero::GatewayError;
use meshzero_actors::node::{Node, StartError};
use meshzero_actors::offer::OfferError;
use meshzero_actors::publisher::PublishFault;
use meshzero_actors::report::Report;
use meshzero_actors::route::Route;
use meshzero_actors::subscriber::SubscribeFault;
use meshzero_actors::zone::{Named, ZoneError};
use meshzero_proto::codec::EncodeError;
use meshzero_proto::diagnosis::{
    Finding, MulticastObservations, Tried, evidence_of, heard_instead, paragraph,
};
use meshzero_proto::name::{InvalidName, ServiceName, Topic};
use meshzero_proto::news::GapReason;
use meshzero_proto::refusal::Refusal;

/// Why a program did not join a mesh. Nothing is left running.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The mesh has an impossible name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The interfaces cannot be used.
    #[error(transparent)]
    Interfaces(#[from] InterfacesError),
    /// A setting, from the builder or the environment, cannot be read.
    #[error("{setting}: {problem}")]
    Setting {
        /// Which one, such as `MESHZERO_PORTS`.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The system gave no thread, no socket or no randomness.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The gateway to NetworkZero could not be opened.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// Why a service is not advertised. Nothing is left behind.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AdvertiseError {
    /// The service, a topic or a message type has an impossible name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The service cannot be offered: its address is taken or impossible, its name exists and must not, its factory
    /// panicked, or the mesh has been left.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

/// Why nothing was discovered.
///
/// ```no_run
/// use meshzero::DiscoverError;
///
/// # async fn run(mesh: meshzero::Mesh) -> Result<(), DiscoverError> {
/// match mesh.discover("robot/arm").await {
///     Ok(arm) => println!("{} is at {:?}", arm.name(), arm.address()),
///     Err(DiscoverError::NotFound(missed)) => println!("there is no arm, but {}", missed.heard.join(", ")),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// The name can be none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The address has a zone that is not one of this computer, or lacks one.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// Nobody with this name was found in time.
    #[error(transparent)]
    NotFound(Box<NotFound>),
    /// Nothing that speaks meshzero, for this mesh, answers at the address.
    #[error("{}", unreachable(*address, *waited, problem, diagnosis))]
    Unreachable {
        /// The address.
        address: SocketAddr,
        /// How long was waited.
        waited: Duration,
        /// What the last attempt ended in.
        problem: String,
        /// The causes that fit, and what they rest on.
        diagnosis: Box<Diagnosis>,
    },
    /// The mesh has been left.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Nobody with the name was found in time, and what was heard instead.
///
/// ```
/// use meshzero::NotFound;
///
/// fn is_alone(missed: &NotFound) -> bool {
///     missed.heard.is_empty() && missed.other_meshes.is_empty()
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct NotFound {
    /// The name.
    pub name: String,
    /// How long was waited.
    pub waited: Duration,
    /// The names that were heard instead, in alphabetical order.
    pub heard: Vec<String>,
    /// The names of other meshes that were heard.
    pub other_meshes: Vec<String>,
    /// The interfaces that were listened on.
    pub interfaces: Vec<String>,
    /// The static peers that are not connected, each with the reason.
    pub peers: Vec<String>,
    /// Why an instance that was heard of could not be reached.
    pub trouble: Option<String>,
    /// The causes that fit what was observed, the likeliest first.
    pub findings: Vec<Finding>,
    /// The addresses that were tried, and how each attempt ended.
    pub attempts: Vec<Tried>,
    /// What became of this program's questions to the network.
    pub multicast: MulticastObservations,
}

impl std::error::Error for NotFound {}

impl NotFound {
    pub(crate) fn new(name: String, waited: Duration, diagnosis: Diagnosis) -> Self {
        let Diagnosis { findings, attempts, trouble, report, .. } = diagnosis;
        let Report { heard, other_meshes, interfaces, peers, multicast, .. } = report;
        Self { name, waited, heard, other_meshes, interfaces, peers, trouble, findings, attempts, multicast }
    }

    fn evidence(&self) -> Vec<String> {
        let mut evidence = vec![format!("waited {:.1?}", self.waited)];
        evidence.extend(evidence_of(&self.attempts, &self.multicast, self.trouble.as_deref()));
        evidence.extend(heard_instead(&self.heard, &self.interfaces, &self.peers));
        evidence
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let evidence = self.evidence();
        match paragraph(&self.findings, &evidence) {
            Some(paragraph) => f.write_str(&paragraph),
            None => write!(f, "nobody advertises {:?} ({})", self.name, evidence.join("; ")),
        }
    }
}

fn unreachable(address: SocketAddr, waited: Duration, problem: &str, diagnosis: &Diagnosis) -> String {
    let mut evidence = vec![format!("waited {waited:.1?}")];
    evidence.extend(evidence_of(&diagnosis.attempts, &MulticastObservations::default(), None));
    paragraph(&diagnosis.findings, &evidence).unwrap_or_else(|| {
        format!("nothing of this mesh answers at {} after {waited:.1?}: {problem}", Named(address))
    })
}

/// How a call ended without a reply.
///
/// Every call ends, by its deadline, in its reply or in one of these, and each says whether the call may be repeated.
///
/// ```no_run
/// # use actix::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Message, Serialize, Deserialize)]
/// # #[rtype(result = "f32")]
/// # struct Move(f32);
/// # async fn run(arm: meshzero::ServiceRef) -> Result<(), meshzero::CallError> {
/// let position = match arm.send(Move(0.5)).await {
///     Err(error) if error.is_safe_to_repeat() => arm.send(Move(0.5)).await?,
///     ended => ended?,
/// };
/// # Ok(())
/// # }
/// ```
#[derive(thiserror::Error)]
pub enum CallError {
    /// The message was not handled, for certain: it is safe to repeat.
    #[error("{service}: not sent: {why}{}", times(*tries))]
    NotSent {
        /// Whom it was for.
        service: String,
        /// Why not.
        why: String,
        /// How often it was tried; 0 if there was nobody to try, or nothing that can be sent.
        tries: u32,
        /// The causes that fit, where there was nobody to send it to.
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// The message may have been handled, or may still be: repeat it only if handling it twice does no harm.
    #[error("{service}: {why}{}", times(*tries))]
    Unknown {
        /// Whom it was for.
        service: String,
        /// What happened.
        why: Uncertain,
        /// How often it was tried.
        tries: u32,
    },
    /// The service is there and answered that it has no reply.
    #[error("{service}: {why}{}", times(*tries))]
    Refused {
        /// Whom it was for.
        service: String,
        /// Why not.
        why: Refusal,
        /// How often it was tried.
        tries: u32,
    },
    /// The service handled the message, but its reply does not decode as the type that the caller expects.
    #[error("{service}: the reply does not decode: {problem}")]
    BadReply {
        /// Who replied.
        service: String,
        /// The field and what is wrong with it.
        problem: String,
    },
}

/// Why it is not known whether a message was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uncertain {
    /// No reply came before the deadline.
    #[error("no reply within {after:?}; it may have been handled")]
    TimedOut {
        /// The time that was allowed.
        after: Duration,
    },
    /// The connection was lost, or the process died, before the reply came.
    #[error("the connection was lost before the reply; it may have been handled")]
    Lost,
}

impl CallError {
    /// Whether the message was not handled, so that sending it again does no harm.
    ///
    /// ```
    /// use meshzero::{CallError, Uncertain};
    ///
    /// let error = CallError::Unknown { service: "robot/arm".into(), why: Uncertain::Lost, tries: 1 };
    /// assert!(!error.is_safe_to_repeat(), "{error}");
    /// ```
    pub fn is_safe_to_repeat(&self) -> bool {
        match self {
            Self::NotSent { .. } => true,
            Self::Refused { why, .. } => why.is_unhandled(),
            Self::Unknown { .. } | Self::BadReply { .. } => false,
        }
    }

    /// How often the call was tried; 0 if there was nobody to try, or it is not known.
    pub fn tries(&self) -> u32 {
        match self {
            Self::NotSent { tries, .. } | Self::Unknown { tries, .. } | Self::Refused { tries, .. } => *tries,
            Self::BadReply { .. } => 0,
        }
    }

    /// What a call ended in that was tried so often, and that might have taken so long.
    pub(crate) fn new(service: &str, fault: Fault, tries: u32, allowed: Duration) -> Self {
        let service = service.to_owned();
        match fault {
            Fault::NotSent(why) => Self::NotSent { service, why, tries, diagnosis: None },
            Fault::Nobody(diagnosis) => {
                Self::NotSent { service, why: diagnosis.to_string(), tries, diagnosis: Some(diagnosis) }
            }
            Fault::TimedOut => Self::Unknown { service, why: Uncertain::TimedOut { after: allowed }, tries },
            Fault::Lost => Self::Unknown { service, why: Uncertain::Lost, tries },
            // The caller's own deadline has passed, or is about to: it need not know who has noticed first.
            Fault::Refused(why @ Refusal::Expired) => {
                Self::NotSent { service, why: why.to_string(), tries, diagnosis: None }
            }
            // Whoever answers for another program knows no more of it than this.
            Fault::Refused(Refusal::Lost) => Self::Unknown { service, why: Uncertain::Lost, tries },
            Fault::Refused(why) => Self::Refused { service, why, tries },
            // Nobody was tried with it.
            Fault::Encode(error) => {
                Self::NotSent { service, why: error.to_string(), tries: 0, diagnosis: None }
            }
            Fault::Decode(error) => Self::BadReply { service, problem: error.to_string() },
        }
    }
}

/// How often something was tried, where that was more than once.
fn times(tries: u32) -> String {
    match tries {
        0 | 1 => String::new(),
        tries => format!(" (after {tries} tries)"),
    }
}

/// Why a message did not set out. What can be sent again comes back.
///
/// ```no_run
/// # use actix::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Message, Serialize, Deserialize)]
/// # #[rtype(result = "()")]
/// # struct Move(f32);
/// use meshzero::TrySendError::{Full, NotConnected};
///
/// # fn run(arm: meshzero::ServiceRef, waiting: &mut Vec<Move>) -> Result<(), Box<dyn std::error::Error>> {
/// match arm.try_send(Move(0.5)) {
///     Err(Full(message) | NotConnected(message)) => waiting.push(message),
///     other => other?,
/// }
/// # Ok(())
/// # }
/// ```
#[derive(thiserror::Error)]
pub enum TrySendError<M> {
    /// As many messages as may be are under way. Wait, or send less often.
    #[error("as many messages as may be are under way")]
    Full(M),
    /// No instance of the service is connected at the moment.
    #[error("no instance of the service is connected")]
    NotConnected(M),
    /// The service does not handle such a message, or it cannot be encoded.
    #[error(transparent)]
    Impossible(CallError),
}

/// Why an item was not published. No subscriber has received it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The topic can be none.
    #[error(transparent)]
    Topic(#[from] InvalidName),
    /// The item cannot be encoded, or is longer than the mesh allows.
    #[error(transparent)]
    Item(EncodeError),
    /// A subscriber that insists on being [waited for](crate::Subscribe::wait) has no room. `publish_all` waits until it has.
    #[error("a subscriber that wants every item has no room for another one")]
    Full,
    /// The service has been closed.
    #[error("the service is closed")]
    Closed,
}

impl From<PublishFault> for PublishError {
    fn from(fault: PublishFault) -> Self {
        match fault {
            PublishFault::Topic(error) => Self::Topic(error),
            PublishFault::Encode(error) => Self::Item(error),
            PublishFault::Full => Self::Full,
            PublishFault::Closed => Self::Closed,
        }
    }
}

/// Why a subscription does not stand.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The topic prefix, or a name, can be none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There can be no such rate.
    #[error("{0} is no rate; it must be more than 0 items a second")]
    Rate(f64),
    /// No publisher is connected.
    #[error("{service}: nobody publishes under this name at the moment{}", because(diagnosis))]
    Nobody {
        /// Whose news were wanted.
        service: String,
        /// The causes that fit, and what they rest on.
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// No publisher confirmed the subscription.
    #[error("{service}: {error}{}", because(diagnosis))]
    Unconfirmed {
        /// Whose news were wanted.
        service: String,
        /// What the last of them ended in.
        error: FeedError,
        /// The causes that fit, where none could be connected to.
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// The mesh has been left.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// A diagnosis as the end of a sentence, if there is one.
fn because(diagnosis: &Option<Box<Diagnosis>>) -> String {
    diagnosis.as_ref().map(|diagnosis| format!(": {diagnosis}")).unwrap_or_default()
}

impl SubscribeError {
    /// The same, with the reason why none could be connected to.
    pub(crate) async fn explained(self, node: &Node, route: Option<&Route>) -> Self {
        match (self, route) {
            (Self::Nobody { service, .. }, Some(route)) => {
                let diagnosis = Some(Box::new(diagnose::of_route(node, route).await));
                Self::Nobody { service, diagnosis }
            }
            (Self::Unconfirmed { service, error: FeedError::Dial(error), .. }, _) => {
                let found = diagnose::of_attempts(node, &service, error.attempts()).await;
                Self::Unconfirmed { service, error: FeedError::Dial(error), diagnosis: Some(Box::new(found)) }
            }
            (other, _) => other,
        }
    }

    pub(crate) fn new(service: impl Into<String>, fault: SubscribeFault) -> Self {
        match fault {
            SubscribeFault::Feed(error) => {
                Self::Unconfirmed { service: service.into(), error, diagnosis: None }
            }
            SubscribeFault::Gone(gone) => Self::Gone(gone),
        }
    }
}

/// What a subscriber is told instead of an item. The subscription goes on.
///
/// ```no_run
/// use meshzero::NewsError;
///
/// # async fn run(mut poses: meshzero::Subscription<(f32, f32)>) {
/// while let Some(news) = poses.next().await {
///     match news {
///         Ok(news) => println!("{:?}", news.item),
///         Err(NewsError::Missed { count, .. }) => println!("{count} poses are lost for good"),
///         Err(error) => println!("{error}"),
///     }
/// }
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NewsError {
    /// Items did not come that this subscriber has not asked to be left out.
    #[error("missed {count} items of {from}: {reason}")]
    Missed {
        /// Who published them.
        from: ServiceName,
        /// How many, exactly.
        count: u64,
        /// Why.
        reason: GapReason,
    },
    /// An item does not decode as the subscriber's type.
    #[error("an item of {from} on {topic:?} does not decode: {problem}")]
    Undecodable {
        /// Who published it.
        from: ServiceName,
        /// What it is about.
        topic: Topic,
        /// The field and what is wrong with it.
        problem: String,
    },
    /// The publisher is gone, or out of reach. When it is back, the subscription goes on.
    #[error("{from} is gone; its news go on when it is back")]
    Lost {
        /// Who published.
        from: ServiceName,
    },
}

macro_rules! debug_is_display {
    ($($error:ident$(<$of:ident>)?),+) => {$(
        impl$(<$of>)? std::fmt::Debug for $error$(<$of>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    )+};
}
pub(crate) use debug_is_display;

debug_is_display! {
    JoinError, AdvertiseError, DiscoverError, NotFound, CallError, TrySendError<M>, PublishError, SubscribeError,
    NewsError
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_main_that_returns_an_error_prints_its_sentence() {
        let service = "robot/arm".to_owned();
        let error = CallError::Unknown { service, why: Uncertain::Lost, tries: 1 };
        let sentence = "robot/arm: the connection was lost before the reply; it may have been handled";
        assert_eq!(format!("{error:?}"), sentence);
        assert_eq!(format!("{:?}", TrySendError::<[u8; 3]>::Impossible(error)), sentence);
        let service = "robot/arm".to_owned();
        let error = CallError::Refused { service, why: Refusal::Draining, tries: 3 };
        assert_eq!(error.to_string(), "robot/arm: it is closing (after 3 tries)");
        let returned: Box<dyn std::error::Error> =
            JoinError::from(InvalidName::Empty { kind: "mesh" }).into();
        assert_eq!(format!("{returned:?}"), "a mesh name must have at least one character");
    }
}
