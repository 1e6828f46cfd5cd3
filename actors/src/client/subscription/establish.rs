//! Establishing a subscription: waits for a publisher, and tries again until one has confirmed it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meshzero_proto::discovery::directory::{Filter, Instance};
use meshzero_proto::name::InvalidName;
use meshzero_proto::news::Subscribe;

use crate::client::caller::deadline_in;
use crate::client::route::Route;
use crate::client::route::target::Target;
use crate::client::subscription::feed::FeedError;
use crate::client::subscription::queue::EventQueue;
use crate::client::subscription::stats::SubscriptionCounters;
use crate::client::subscription::{self, Publishers, SubscribeAttemptError};
use crate::context::NodeContext;
use crate::diagnosis::diagnose;
use crate::diagnosis::result::Diagnosis;
use crate::discovery::ListInstances;
use crate::runtime::backoff::Backoff;
use crate::runtime::executor::MeshClosed;

/// The timeout of waiting for a publisher that is not connected yet, is closing, or is being restarted.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The delays between attempts that no publisher has confirmed.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));

/// The service or group that a subscription is for.
pub enum SubscriptionTarget {
    /// The instances behind a route.
    Service(Arc<Route>),
    /// The members of a group.
    Group {
        /// The display name of the group.
        name: String,
        /// The members.
        filter: Filter,
    },
}

/// The reason why a subscription was not established.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The topic prefix, or a name, is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The rate is not a positive, finite number.
    #[error("{0} is not a rate; it must be more than 0 items a second")]
    Rate(f64),
    /// No publisher is connected.
    #[error("{service}: nobody publishes under this name at the moment{}", because(diagnosis))]
    Nobody {
        /// The service or group that was subscribed to.
        service: String,
        /// The causes that fit, and the evidence for them.
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// No publisher confirmed the subscription.
    #[error("{service}: {error}{}", because(diagnosis))]
    Unconfirmed {
        /// The service or group that was subscribed to.
        service: String,
        /// The error of the last publisher that was asked.
        error: FeedError,
        /// The causes that fit, where no publisher could be connected to.
        diagnosis: Option<Box<Diagnosis>>,
    },
    /// The mesh has been left.
    #[error(transparent)]
    Gone(#[from] MeshClosed),
}

/// The sentence itself, because that is what Rust prints when `main` returns an error.
impl fmt::Debug for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Formats a diagnosis as the end of a sentence, if there is one.
fn because(diagnosis: &Option<Box<Diagnosis>>) -> String {
    diagnosis.as_ref().map(|diagnosis| format!(": {diagnosis}")).unwrap_or_default()
}

impl SubscribeError {
    fn new(service: String, error: SubscribeAttemptError) -> Self {
        match error {
            SubscribeAttemptError::Feed(error) => Self::Unconfirmed { service, error, diagnosis: None },
            SubscribeAttemptError::Gone(closed) => Self::Gone(closed),
        }
    }

    /// Adds the diagnosis, if no publisher could be connected to.
    async fn with_diagnosis(self, context: &NodeContext, target: &SubscriptionTarget) -> Self {
        match (self, target) {
            (Self::Nobody { service, .. }, SubscriptionTarget::Service(route)) => {
                let diagnosis = Some(Box::new(route.diagnose(context).await));
                Self::Nobody { service, diagnosis }
            }
            (Self::Unconfirmed { service, error: FeedError::Dial(error), .. }, _) => {
                let diagnosis = diagnose::of_attempts(context, &service, error.attempts()).await;
                Self::Unconfirmed {
                    service,
                    error: FeedError::Dial(error),
                    diagnosis: Some(Box::new(diagnosis)),
                }
            }
            (other, _) => other,
        }
    }
}

impl SubscriptionTarget {
    /// The display name.
    fn name(&self) -> String {
        match self {
            Self::Service(route) => route.target().to_string(),
            Self::Group { name, .. } => name.clone(),
        }
    }

    fn publishers(&self) -> Publishers {
        match self {
            Self::Service(route) => match route.target() {
                Target::Name(name) => Publishers::Follow(Filter::Name(name.clone())),
                Target::Address(_) => Publishers::Fixed(Arc::clone(route)),
            },
            Self::Group { filter, .. } => Publishers::Follow(filter.clone()),
        }
    }

    /// Returns the publishers that are known now. For a single service, waits for one, and returns `None` if there is
    /// none before `deadline`.
    async fn known_publishers(
        &self,
        context: &NodeContext,
        deadline: Option<Instant>,
    ) -> Option<Vec<Instance>> {
        match self {
            Self::Service(route) => {
                let ready = tokio::select! {
                    biased;
                    ready = route.ready() => ready,
                    () = context.timers.sleep_until(deadline) => return None,
                    () = context.shutdown.triggered() => return None,
                };
                let members = route.members();
                // A member that has just disconnected is tried all the same: without any, no attempt could be confirmed.
                let members = if members.is_empty() { vec![ready] } else { members };
                Some(members.iter().map(|member| member.instance().clone()).collect())
            }
            Self::Group { filter, .. } => {
                let list = ListInstances { filter: filter.clone(), within: Duration::ZERO };
                Some(context.ask_discovery(list).await.unwrap_or_default())
            }
        }
    }
}

type EstablishResult = Result<(EventQueue, Arc<SubscriptionCounters>), SubscribeError>;

/// Subscribes to `target`, and waits until the publishers that are connected have confirmed it. Works on any executor.
///
/// While no publisher of a single service is connected, waits for one, 5 s at most; does not wait for members of a group. Tries
/// again within the same time where no publisher confirms because the connection was lost, or the only one is closing.
///
/// # Errors
/// [`SubscribeError`].
///
/// # Cancel safety
/// This function is cancel safe: dropping the future ends the subscription.
pub fn establish<'a>(
    context: &'a Arc<NodeContext>,
    target: &'a SubscriptionTarget,
    subscribe: Subscribe,
) -> Pin<Box<dyn Future<Output = EstablishResult> + Send + 'a>> {
    // Boxed, because a future is otherwise compiled again for each type of item.
    Box::pin(async move {
        let name = target.name();
        let deadline = deadline_in(TIMEOUT);
        let mut backoff = BACKOFF;
        let mut last_error = SubscribeError::Nobody { service: name.clone(), diagnosis: None };
        while let Some(known_publishers) = target.known_publishers(context, deadline).await {
            let attempt = subscription::subscribe(
                context,
                &name,
                target.publishers(),
                known_publishers,
                subscribe.clone(),
            )
            .await;
            let error = match attempt {
                Ok(established) => return Ok(established),
                Err(error) => error,
            };
            let is_transient = error.is_transient();
            last_error = SubscribeError::new(name.clone(), error);
            let retry_at = deadline_in(backoff.next_delay());
            if !is_transient || retry_at >= deadline {
                break;
            }
            tracing::debug!(error = %last_error, "not subscribed yet; trying again");
            context.timers.sleep_until(retry_at).await;
        }
        if context.shutdown.is_triggered() {
            return Err(MeshClosed.into());
        }
        Err(last_error.with_diagnosis(context, target).await)
    })
}
