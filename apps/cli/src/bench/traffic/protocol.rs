//! The control protocol of a measurement: requests of the measuring side to the serving side.

use actix::Message;
use meshzero::ServiceName;
use serde::{Deserialize, Serialize};

use super::counter::PacketCounts;
use crate::bench::gauge::machine::Machine;
use crate::bench::gauge::traffic_sample::TrafficSample;
use crate::bench::gauge::usage::ProcessUsage;

/// The default name of the service.
pub(crate) const NAME: &str = "bench";
/// The version of the protocol, the same on both sides; raise it with every change of the messages here or in
/// `packet`, and of bare TCP in `baseline`.
pub(crate) const VERSION: u32 = 5;
/// The limit of subscriptions of one measurement.
pub(crate) const MAX_SUBSCRIBERS: u16 = 256;
/// The topic of packets that are published.
pub(crate) const TOPIC: &str = "packet";

/// Asks for the identity of the serving side. Its name stays the same in all versions.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "ServerInfo")]
pub(crate) struct BenchGreet;

/// The identity of the serving side.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServerInfo {
    /// The serving side's [`VERSION`].
    pub(crate) version: u32,
    pub(crate) machine: Machine,
    /// The port of bare TCP for baselines.
    #[serde(rename = "floor")]
    pub(crate) baseline: u16,
}

/// Begins a measurement with packets of `size` bytes. The reply is the number of its stream.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Result<u16, String>")]
pub(crate) struct BeginStream {
    pub(crate) size: u64,
}

/// Starts subscribers of a service's packets; the reply comes when all are confirmed.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Result<(), String>")]
pub(crate) struct SubscribePackets {
    pub(crate) stream: u16,
    pub(crate) service: ServiceName,
    pub(crate) subscribers: u16,
}

/// Asks for the counts so far. Behind packets on the same connection it comes after them.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Option<ReceiverState>")]
pub(crate) struct ReadCounts {
    pub(crate) stream: u16,
}

/// The counts and resources of the receiver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReceiverState {
    /// The serving side's clock, in nanoseconds.
    pub(crate) clock: u64,
    pub(crate) counts: PacketCounts,
    pub(crate) usage: ProcessUsage,
    pub(crate) wire: TrafficSample,
}

/// Ends a measurement.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct EndStream {
    pub(crate) stream: u16,
}

/// Asks for the serving side's clock, in nanoseconds.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
pub(crate) struct ReadClock;

/// Advertises a probe service in place of the one before. The reply is the clock at its start.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Result<u64, String>")]
pub(crate) struct AdvertiseProbe {
    pub(crate) service: ServiceName,
}

/// Withdraws the probe service.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct WithdrawProbe;
