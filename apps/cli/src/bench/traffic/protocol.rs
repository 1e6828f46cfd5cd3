//! What the side that measures asks of the side that serves, besides the packets themselves.

use actix::Message;
use meshzero::ServiceName;
use serde::{Deserialize, Serialize};

use super::counter::PacketCounts;
use crate::bench::gauge::machine::Machine;
use crate::bench::gauge::traffic_sample::TrafficSample;
use crate::bench::gauge::usage::ProcessUsage;

/// The name of the service when no other is given.
pub(crate) const NAME: &str = "bench";
/// Both sides must speak the same; raise it with every change of the messages here or in `packet`.
pub(crate) const VERSION: u32 = 2;
/// Subscriptions of one measurement.
pub(crate) const MOST_SUBSCRIBERS: u16 = 256;
/// The topic of packets that are published.
pub(crate) const TOPIC: &str = "packet";

/// Asks who serves.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "ServerInfo")]
pub(crate) struct BenchGreet;

/// Who serves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServerInfo {
    /// The serving side's [`VERSION`].
    pub(crate) version: u32,
    pub(crate) machine: Machine,
    /// The port where bare TCP is served for comparison.
    #[serde(rename = "floor")]
    pub(crate) baseline: u16,
}

/// Begins a measurement with packets of this many bytes. The reply is its stream.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Result<u32, String>")]
pub(crate) struct BeginStream {
    pub(crate) size: u64,
}

/// Has as many subscribers listen to a service's packets; the reply comes when all are confirmed.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Result<(), String>")]
pub(crate) struct SubscribePackets {
    pub(crate) stream: u32,
    pub(crate) service: ServiceName,
    pub(crate) subscribers: u16,
}

/// Asks what has arrived. Behind packets on the same connection it comes after them.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Option<ReceiverState>")]
pub(crate) struct ReadCounts {
    pub(crate) stream: u32,
}

/// What has arrived, and what it took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReceiverState {
    /// The serving side's clock, in nanoseconds.
    pub(crate) clock: u64,
    pub(crate) tally: PacketCounts,
    pub(crate) usage: ProcessUsage,
    pub(crate) wire: TrafficSample,
}

/// Ends a measurement.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct EndStream {
    pub(crate) stream: u32,
}

/// Asks for the serving side's clock, in nanoseconds.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
pub(crate) struct ReadClock;

/// Advertises a service that does nothing, in place of the one before. The reply is the clock as it began.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Result<u64, String>")]
pub(crate) struct AdvertiseProbe {
    pub(crate) service: ServiceName,
}

/// Withdraws that service.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct WithdrawProbe;
