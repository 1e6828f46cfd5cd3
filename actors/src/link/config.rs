//! The settings, counters and memory that the message connections of a node share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use meshzero_proto::limits::Limits;
use meshzero_proto::stream::BufferPool;
use meshzero_proto::stream::stall::DialBudget;

use crate::link::send_queue::SendQueue;
use crate::net::connection::WriteHalf;
use crate::net::network::Network;
use crate::telemetry::counters::TrafficCounters;

/// The settings, counters and memory that the message connections of a node share.
#[derive(Debug, Clone, Default)]
pub struct LinkConfig {
    /// Their bounds.
    pub limits: Arc<Limits>,
    /// For how long a connection looks for bytes again and again before its thread may sleep.
    pub spin: Duration,
    /// The network that they are made in.
    pub network: Network,
    /// Counts what is carried.
    pub meter: Arc<TrafficCounters>,
    /// Memory for their next batches.
    pub spares: BufferPool,
    /// The allowance for dials of connections that stand by for links.
    pub(crate) races: Arc<DialAllowance>,
}

impl LinkConfig {
    /// Makes the outgoing half of a link, which begins over `writer`.
    pub(crate) fn outbox(&self, writer: WriteHalf) -> SendQueue {
        SendQueue::new(writer, &self.limits, &self.meter, &self.spares)
    }

    /// Returns whether another standby connection may be dialled now.
    pub(crate) fn may_dial_beside(&self, now: Instant) -> bool {
        self.races.take(self.limits.races_per_second, now)
    }
}

/// The time for which an endpoint keeps a link that has lost its connection. The client's own time begins when it notices the loss,
/// which may take as long as the keep-alive takes to detect a silent host.
pub(crate) fn resume_window(limits: &Limits) -> Duration {
    let detection = limits.keep_alive.saturating_mul(crate::net::socket::PROBES + 1);
    limits.reconnect.saturating_add(detection)
}

/// The dials of connections that stand by for links, of all links of a node.
#[derive(Debug, Default)]
pub(crate) struct DialAllowance {
    allowance: Mutex<Option<DialBudget>>,
}

impl DialAllowance {
    /// Takes one of so many in a second, if there is one.
    fn take(&self, per_second: u32, now: Instant) -> bool {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        allowance.get_or_insert_with(|| DialBudget::new(per_second, now)).take(now)
    }
}
