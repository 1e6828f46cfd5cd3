//! Why an item was not published, why a subscription does not stand, and what a subscriber is told instead of an item.

pub use meshzero_actors::establish::SubscribeError;
pub use meshzero_actors::publisher::PublishError;
use meshzero_proto::name::{ServiceName, Topic};
use meshzero_proto::news::GapReason;

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

debug_is_display! { NewsError }
