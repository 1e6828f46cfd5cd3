//! Why an item was not published, why a subscription does not stand, and what a subscriber is told instead of an item.

use meshzero_actors::diagnose;
use meshzero_actors::diagnosis::Diagnosis;
use meshzero_actors::feed::FeedError;
use meshzero_actors::home::Gone;
use meshzero_actors::premises::Premises;
use meshzero_actors::publisher::PublishFault;
use meshzero_actors::route::Route;
use meshzero_actors::subscriber::SubscribeFault;
use meshzero_proto::codec::EncodeError;
use meshzero_proto::name::{InvalidName, ServiceName, Topic};
use meshzero_proto::news::GapReason;

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
    /// A subscriber that insists on being [waited for](crate::Subscribe::wait) has no room, or others wait for that already.
    /// `publish_all` waits in turn.
    #[error("a subscriber that wants every item has no room for another one")]
    Full,
    /// The service has been closed.
    #[error("the service is closed")]
    Closed,
}

impl From<PublishFault> for PublishError {
    fn from(fault: PublishFault) -> Self {
        match fault {
            PublishFault::Topic(error) => Self::Topic(*error),
            PublishFault::Encode(error) => Self::Item(*error),
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
    pub(crate) async fn explained(self, context: &Premises, route: Option<&Route>) -> Self {
        match (self, route) {
            (Self::Nobody { service, .. }, Some(route)) => {
                let diagnosis = Some(Box::new(route.diagnose(context).await));
                Self::Nobody { service, diagnosis }
            }
            (Self::Unconfirmed { service, error: FeedError::Dial(error), .. }, _) => {
                let found = diagnose::of_attempts(context, &service, error.attempts()).await;
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

debug_is_display! { PublishError, SubscribeError, NewsError }
