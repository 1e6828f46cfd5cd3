//! The settings, counters and memory that the message connections of a node share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshzero_proto::limits::Limits;
use meshzero_proto::stream::BufferPool;
use meshzero_proto::stream::stall::DialBudget;
use parking_lot::Mutex;

use crate::link::send_queue::{AheadShare, SendQueue};
use crate::net::connection::WriteHalf;
use crate::net::network::Network;
use crate::telemetry::counters::TrafficCounters;

/// The settings, counters and memory that the message connections of a node share.
#[derive(Debug, Clone, Default)]
pub struct LinkConfig {
    /// The limits.
    pub limits: Arc<Limits>,
    /// The time for which a connection polls for bytes before its thread may sleep.
    pub spin: Duration,
    /// The network.
    pub network: Network,
    /// The counters of the traffic.
    pub traffic: Arc<TrafficCounters>,
    /// The memory for batches of frames.
    pub buffer_pool: BufferPool,
    /// The bytes that wait in front of the sockets of links.
    pub(crate) ahead: Arc<AheadShare>,
    /// The budget for dials of connections that stand by for links.
    pub(crate) dial_allowance: Arc<DialAllowance>,
}

impl LinkConfig {
    /// Creates the outgoing half of a link, which begins over `writer`.
    pub(crate) fn send_queue(&self, writer: WriteHalf) -> SendQueue {
        SendQueue::new(writer, &self.limits, &self.traffic, &self.buffer_pool, &self.ahead)
    }

    /// Returns whether another standby connection may be dialled now.
    pub(crate) fn may_dial_standby(&self, now: Instant) -> bool {
        self.dial_allowance.take(self.limits.races_per_second, now)
    }
}

/// Returns the time for which an endpoint keeps a link that has lost its connection. The client's own time begins when it
/// notices the loss, which may take as long as the keep-alive takes to detect a silent host.
pub(crate) fn resume_window(limits: &Limits) -> Duration {
    let detection = limits.keep_alive.saturating_mul(crate::net::socket::PROBES + 1);
    limits.reconnect.saturating_add(detection)
}

/// The budget of dials of standby connections, for all links of a node.
#[derive(Debug, Default)]
pub(crate) struct DialAllowance {
    budget: Mutex<Option<DialBudget>>,
}

impl DialAllowance {
    /// Takes one of `per_second`, if one is left.
    fn take(&self, per_second: u32, now: Instant) -> bool {
        let mut budget = self.budget.lock();
        budget.get_or_insert_with(|| DialBudget::new(per_second, now)).take(now)
    }
}
