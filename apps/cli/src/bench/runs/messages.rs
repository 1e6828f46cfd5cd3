//! The message benchmarks: latency, throughput, fan-out and the sweep, each from a plan to a report.

use std::time::Duration;

use super::find_max::{LatencyBound, find_max};
use crate::bench::measure::baseline::{self, RateSource};
use crate::bench::measure::plan::{MessageKind, Plan};
use crate::bench::measure::progress::Progress;
use crate::bench::measure::run::measure;
use crate::bench::peer::transport::{Peer, Transport};
use crate::bench::report::document::{Benchmark, Case, Report};
use crate::bench::traffic::packet::{LONGEST, SHORTEST};
use crate::failure::Failure;

/// The sizes of a sweep.
const SIZES: [usize; 9] = [SHORTEST, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// The loads of a sweep, as shares of the highest throughput.
const LOADS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// The concurrent calls with which a sweep determines the highest throughput.
const MANY: usize = 64;
/// One in this many calls is timed where their rate is measured: two readings of the clock take a tenth of a call.
pub(crate) const TIMED_THROUGHPUT: u64 = 16;
/// The default limit of concurrent calls on a schedule: as many as one connection may have.
pub(crate) const SCHEDULED_CALLS: usize = 1_024;

// `SHORTEST` and the sweep's longest are packets.
const _: () = assert!(SIZES[0] >= SHORTEST && SIZES[SIZES.len() - 1] <= LONGEST);

/// Runs one measurement with its baselines: latency, throughput or fan-out, or the highest rate that keeps a bound.
pub(crate) async fn single(
    peer: &Peer,
    transport: &Transport,
    subject: Benchmark,
    plan: Plan,
    bound: Option<LatencyBound>,
) -> Result<Report, Failure> {
    let mut report = Report::new(subject, transport, peer);
    let once = plan.warm_up + plan.duration;
    let trials = if bound.is_some() { 14 } else { 1 };
    let progress = Progress::new(once * trials + baseline::total_time(&plan));
    fits(peer, plan.size).await?;
    let is_paced = plan.rate.is_some() || bound.is_some();
    // On a schedule calls seldom wait for each other, unless under overload.
    let one_by_one = subject == Benchmark::Latency && (plan.in_flight == 1 || is_paced);
    let which = if one_by_one { BaselineKind::RoundTrips } else { BaselineKind::Rates };
    let before = baselines(peer, which, &plan, &progress).await?;
    let (plan, measured) = match bound {
        None => {
            progress.stage(subject.name());
            let measured = measure(peer, &plan, &progress).await?;
            (plan, measured)
        }
        Some(bound) => {
            let search = find_max(bound, async |rate| {
                progress.stage(format!("{rate} a second"));
                measure(peer, &Plan { rate: Some(rate), ..plan.clone() }, &progress).await
            });
            let (found, rate, measured) = search.await?;
            report.find_max = Some(found);
            (Plan { rate: Some(rate), ..plan }, measured)
        }
    };
    let after = baselines(peer, which, &plan, &progress).await?;
    // The highest rate was searched for, not requested.
    let asked = plan.rate.is_some() && report.find_max.is_none();
    let made_by = if asked { RateSource::Schedule } else { RateSource::Throughput };
    let baselines = baseline::baselines(before, after, &measured, made_by);
    report.run = Some(Case { plan, measured, baselines });
    Ok(report)
}

/// Runs a sweep: throughput by size, and latency by load.
pub(crate) async fn sweep(
    peer: &Peer,
    transport: &Transport,
    duration: Duration,
    warm_up: Duration,
) -> Result<Report, Failure> {
    let mut report = Report::new(Benchmark::Sweep, transport, peer);
    let plan = |kind, size, rate, in_flight| Plan {
        kind,
        size,
        rate,
        in_flight,
        subscribers: 0,
        timed_every: TIMED_THROUGHPUT,
        duration,
        warm_up,
    };
    let cases = SIZES.len() + LOADS.len() + 2;
    let baselines_take = baseline::total_time(&plan(MessageKind::Tells, SHORTEST, None, 1));
    let progress = Progress::new((warm_up + duration + baselines_take) * cases as u32);
    for size in SIZES {
        let plan = plan(MessageKind::Tells, size, None, 1);
        fits(peer, size).await?;
        let before = baselines(peer, BaselineKind::Rates, &plan, &progress).await?;
        progress.stage(format!("{size} bytes"));
        let measured = measure(peer, &plan, &progress).await?;
        let after = baselines(peer, BaselineKind::Rates, &plan, &progress).await?;
        let baselines = baseline::baselines(before, after, &measured, RateSource::Throughput);
        report.sizes.push(Case { plan, measured, baselines });
    }
    progress.stage("the highest throughput");
    let unpaced =
        measure(peer, &plan(MessageKind::Calls, 64, None, MANY), &progress).await?.received_per_second;
    // Scheduled calls come from another thread, so fewer go through: the offered load exceeds the possible one.
    let most =
        measure(peer, &plan(MessageKind::Calls, 64, Some(2.0 * unpaced), SCHEDULED_CALLS), &progress).await?;
    let most = most.received_per_second;
    for load in LOADS {
        let plan = plan(MessageKind::Calls, 64, Some((most * load).max(1.0).round()), SCHEDULED_CALLS);
        let before = baselines(peer, BaselineKind::RoundTrips, &plan, &progress).await?;
        progress.stage(format!("{:.0} % load", load * 100.0));
        let measured = measure(peer, &plan, &progress).await?;
        let after = baselines(peer, BaselineKind::RoundTrips, &plan, &progress).await?;
        let baselines = baseline::baselines(before, after, &measured, RateSource::Schedule);
        report.loads.push(Case { plan, measured, baselines });
    }
    Ok(report)
}

/// Checks that a packet of this size goes through, before anything is measured with it.
async fn fits(peer: &Peer, size: usize) -> Result<(), Failure> {
    use crate::bench::traffic::packet::{Echo, NO_STREAM, with_body};
    use crate::bench::traffic::pattern::Pattern;

    let pattern = Pattern::new(size);
    let echoed = with_body!(size, B => {
        peer.service.send(Echo(pattern.packet::<B>(NO_STREAM, 0, size))).await.map(drop)
    });
    echoed.map_err(|error| match &error {
        meshzero::CallError::NotSent { reason, .. } if reason.contains("bytes") => Failure::Usage(format!(
            "packets of {size} bytes cannot be sent: {reason}. The limit is that of MESHZERO_LIMITS; unset it, or set \
             message_bytes above {size} on both sides"
        )),
        _ => error.into(),
    })
}

/// The kind of the baselines of a measurement.
#[derive(Debug, Clone, Copy)]
enum BaselineKind {
    /// Round trips, one at a time.
    RoundTrips,
    /// Throughput.
    Rates,
}

async fn baselines(
    peer: &Peer,
    which: BaselineKind,
    plan: &Plan,
    progress: &Progress,
) -> Result<Vec<baseline::BaselineSample>, Failure> {
    progress.stage("baselines");
    let samples = match which {
        BaselineKind::RoundTrips => baseline::round_trips(peer, plan).await?,
        BaselineKind::Rates => baseline::rates(peer, plan).await?,
    };
    progress.skip(baseline::total_time(plan) / 2);
    Ok(samples)
}
