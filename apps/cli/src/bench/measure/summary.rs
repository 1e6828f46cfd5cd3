//! The summary of a measurement, computed from snapshots of both sides at its beginning, middle and end.

use std::time::{Duration, Instant};

use super::bottleneck::{BottleneckInput, bottleneck};
use super::measurement::{Measurement, PerMessage, Side, Slice};
use super::plan::Plan;
use crate::bench::gauge::percentiles::DurationHistogram;
use crate::bench::gauge::traffic_sample::TrafficSample;
use crate::bench::gauge::usage::ProcessUsage;
use crate::bench::load::sender::LoadState;
use crate::bench::peer::transport::Peer;
use crate::bench::traffic::protocol::ReceiverState;

/// A snapshot of both sides.
pub(crate) struct Snapshot {
    pub(crate) at: Instant,
    pub(crate) sent: u64,
    pub(crate) waited: Duration,
    pub(crate) own: ProcessUsage,
    pub(crate) own_wire: TrafficSample,
    pub(crate) receiver: ReceiverState,
}

/// The observations of one measurement.
pub(crate) struct Observations {
    /// The begin of the measured time, after the warm-up.
    pub(crate) first: Snapshot,
    /// The end of the measured time, while packets were still being sent.
    pub(crate) last: Snapshot,
    /// The receiver once everything had arrived.
    pub(crate) end: ReceiverState,
    pub(crate) slices: Vec<Slice>,
    pub(crate) times: DurationHistogram,
}

/// Summarises the observations.
pub(crate) fn summarize(peer: &Peer, plan: &Plan, load: &LoadState, watched: Observations) -> Measurement {
    let Observations { first, last, end, slices, times } = watched;
    let seconds = (last.at - first.at).as_secs_f64();
    let receiver_seconds = between(&first.receiver, &last.receiver);
    let received = last.receiver.counts.received.saturating_sub(first.receiver.counts.received);
    let received_per_second = received as f64 / receiver_seconds;
    let own = (&first.own, &last.own, first.own_wire, last.own_wire);
    let sender = side(own, received, seconds);
    let (before, after) = (&first.receiver, &last.receiver);
    let receiver = (!peer.is_local())
        .then(|| side((&before.usage, &after.usage, before.wire, after.wire), received, receiver_seconds));
    let sent = load.sent();
    let expected = sent * plan.receivers();
    let mut measured = Measurement {
        seconds,
        offered_per_second: plan.rate,
        achieved_per_second: (last.sent - first.sent) as f64 / seconds,
        received_per_second,
        received_mib_per_second: received_per_second * plan.size as f64 / f64::from(1 << 20),
        sent,
        expected,
        received: end.counts.received,
        lost: expected.saturating_sub(end.counts.received).saturating_sub(load.failed()),
        repeated: end.counts.repeated,
        reordered: end.counts.reordered,
        damaged: end.counts.damaged + load.damaged(),
        failed: load.failed(),
        round_trip: times.percentiles(),
        late: load.take_late().percentiles(),
        sender,
        receiver,
        bottleneck: String::new(),
        slices,
    };
    measured.bottleneck = bottleneck(&BottleneckInput {
        kind: plan.kind,
        kept_schedule: plan.rate.map(|_| measured.kept_up()),
        sender,
        receiver,
        waited: (last.waited - first.waited).as_secs_f64() / seconds,
        shared_cores: peer.shares_cores().then_some(peer.greeting.machine.cores),
    });
    measured
}

fn between(earlier: &ReceiverState, later: &ReceiverState) -> f64 {
    // Two snapshots are never simultaneous, but a clock may be coarse.
    later.clock.saturating_sub(earlier.clock).max(1) as f64 / 1e9
}

/// Returns the slice between two states of the receiver.
pub(crate) fn slice_between(
    earlier: &ReceiverState,
    later: &ReceiverState,
    times: &DurationHistogram,
) -> Slice {
    let received = later.counts.received.saturating_sub(earlier.counts.received);
    let percentiles = times.percentiles();
    Slice {
        received_per_second: received as f64 / between(earlier, later),
        p50: percentiles.map(|percentiles| percentiles.p50),
        p99: percentiles.map(|percentiles| percentiles.p99),
    }
}

fn side(
    (earlier, later, earlier_wire, later_wire): (&ProcessUsage, &ProcessUsage, TrafficSample, TrafficSample),
    received: u64,
    seconds: f64,
) -> Side {
    let messages = received.max(1) as f64;
    let per_message = |earlier: u64, later: u64| later.saturating_sub(earlier) as f64 / messages;
    let cpu = later.cpu_since(earlier);
    Side {
        cpu_seconds_per_million: cpu.map(|cpu| cpu / messages * 1e6),
        cpu: cpu.map(|cpu| cpu / seconds),
        busiest_thread: later.busiest_since(earlier, seconds),
        peak_memory_bytes: later.peak_memory,
        wire: PerMessage {
            bytes_read: per_message(earlier_wire.bytes_read, later_wire.bytes_read),
            bytes_written: per_message(earlier_wire.bytes_written, later_wire.bytes_written),
            reads: per_message(earlier_wire.reads, later_wire.reads),
            writes: per_message(earlier_wire.writes, later_wire.writes),
        },
    }
}
