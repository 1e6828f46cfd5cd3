//! What the side that measures asks of the side that serves, besides the packets themselves.

use actix::Message;
use meshzero::ServiceName;
use serde::{Deserialize, Serialize};

use super::counter::Tally;
use crate::bench::gauge::machine::Machine;
use crate::bench::gauge::traffic_sample::Wire;
use crate::bench::gauge::usage::Usage;

/// The name of the service when no other is given.
pub(crate) const NAME: &str = "bench";
/// Both sides must speak the same; raise it with every change of the messages here or in `packet`.
pub(crate) const VERSION: u32 = 1;
/// Subscriptions of one measurement.
pub(crate) const MOST_SUBSCRIBERS: u16 = 256;
/// The topic of packets that are published.
pub(crate) const TOPIC: &str = "packet";

/// Asks who serves.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Greeting")]
pub(crate) struct BenchGreet;

/// Who serves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Greeting {
    /// The serving side's [`VERSION`].
    pub(crate) version: u32,
    pub(crate) machine: Machine,
    /// The port where bare TCP is served for comparison.
    pub(crate) floor: u16,
}

/// Begins a measurement with packets of this many bytes. The reply is its stream.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Result<u32, String>")]
pub(crate) struct Begin {
    pub(crate) size: u64,
}

/// Has as many subscribers listen to a service's packets; the reply comes when all are confirmed.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Result<(), String>")]
pub(crate) struct Follow {
    pub(crate) stream: u32,
    pub(crate) service: ServiceName,
    pub(crate) subscribers: u16,
}

/// Asks what has arrived. Behind packets on the same connection it comes after them.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Option<Seen>")]
pub(crate) struct Look {
    pub(crate) stream: u32,
}

/// What has arrived, and what it took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The serving side's clock, in nanoseconds.
    pub(crate) clock: u64,
    pub(crate) tally: Tally,
    pub(crate) usage: Usage,
    pub(crate) wire: Wire,
}

/// Ends a measurement.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct End {
    pub(crate) stream: u32,
}

/// Asks for the serving side's clock, in nanoseconds.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
pub(crate) struct Clock;

/// Advertises a service that does nothing, in place of the one before. The reply is the clock as it began.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Result<u64, String>")]
pub(crate) struct Appear {
    pub(crate) service: ServiceName,
}

/// Withdraws that service.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Vanish;
