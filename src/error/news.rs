//! Errors of publishing and subscribing, and the errors that a subscription yields in place of items.

pub use meshzero_actors::client::subscription::establish::SubscribeError;
pub use meshzero_actors::server::publisher::PublishError;
use meshzero_proto::name::{ServiceName, Topic};
use meshzero_proto::news::GapReason;

/// An error that a subscription yields in place of an item. The subscription continues.
///
/// ```no_run
/// use meshzero::NewsError;
///
/// # async fn run(mut poses: meshzero::Subscription<(f32, f32)>) {
/// while let Some(news) = poses.next().await {
///     match news {
///         Ok(news) => println!("{:?}", news.item),
///         Err(NewsError::Missed { count, .. }) => println!("missed {count} poses"),
///         Err(error) => println!("{error}"),
///     }
/// }
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NewsError {
    /// Items did not arrive, other than those that this subscriber asked to leave out.
    #[error("missed {count} items of {from}: {reason}")]
    Missed {
        /// The publisher.
        from: ServiceName,
        /// The exact number of items.
        count: u64,
        /// The reason.
        reason: GapReason,
    },
    /// An item does not decode as the subscriber's type.
    #[error("an item of {from} on {topic:?} does not decode: {problem}")]
    Undecodable {
        /// The publisher.
        from: ServiceName,
        /// The topic.
        topic: Topic,
        /// The field and what is wrong with it.
        problem: String,
    },
    /// The publisher is gone, or cannot be reached. The subscription continues when it is back.
    #[error("{from} is gone; the subscription continues when it is back")]
    Lost {
        /// The publisher.
        from: ServiceName,
    },
}

debug_is_display! { NewsError }
