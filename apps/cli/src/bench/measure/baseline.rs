//! The baselines of one measurement: their choice, the samples before and after it, and the ratios to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::measurement::Measurement;
use super::plan::{MessageKind, Plan};
use crate::bench::baseline::calls::{self, CallLoad};
use crate::bench::baseline::threads::Threads;
use crate::bench::baseline::{bulk, local, round_trips};
use crate::bench::gauge::percentiles::{DurationHistogram, Percentiles};
use crate::bench::peer::transport::Peer;
use crate::bench::traffic::packet::with_body;
use crate::failure::Failure;

/// A baseline of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) what: String,
    /// Percentiles of round trips.
    pub(crate) round_trip: Option<Percentiles>,
    /// The measurement's p50 divided by the baseline's.
    pub(crate) round_trip_ratio: Option<f64>,
    /// Messages one way, or round trips, per second.
    pub(crate) per_second: Option<f64>,
    /// The measurement's rate divided by the baseline's; none where a schedule set the rate.
    pub(crate) per_second_ratio: Option<f64>,
}

/// A sample of a baseline.
pub(crate) struct BaselineSample {
    what: String,
    times: DurationHistogram,
    /// One rate, or two: before and after.
    rates: Vec<f64>,
}

impl BaselineSample {
    fn times(what: &str, times: DurationHistogram) -> Self {
        Self { what: what.to_owned(), times, rates: Vec::new() }
    }

    fn rate(what: impl Into<String>, rate: f64) -> Self {
        Self { what: what.into(), times: DurationHistogram::default(), rates: vec![rate] }
    }

    fn window(what: String, (times, rate): (DurationHistogram, f64)) -> Self {
        Self { what, times, rates: vec![rate] }
    }
}

/// Returns the duration of each baseline sample; there is one before and one after.
pub(crate) fn time(plan: &Plan) -> Duration {
    (plan.duration / 8).clamp(Duration::from_millis(20), Duration::from_millis(500))
}

/// Returns the approximate duration of all baseline samples of a measurement.
pub(crate) fn total_time(plan: &Plan) -> Duration {
    time(plan) * 10
}

/// Samples the baselines of round trips, one at a time.
pub(crate) async fn round_trips(peer: &Peer, plan: &Plan) -> Result<Vec<BaselineSample>, Failure> {
    let (size, time) = (plan.size, time(plan));
    let mut samples = Vec::new();
    if let Some(address) = peer.baseline {
        samples
            .push(BaselineSample::times("bare TCP, tokio", round_trips::tokio(address, size, time).await?));
        samples.push(BaselineSample::times(
            "bare TCP, blocking",
            round_trips::blocking(address, size, time).await?,
        ));
    }
    samples.push(BaselineSample::times(
        "actix send, in process",
        with_body!(size, B => local::ping::<B>(size, time).await)?,
    ));
    Ok(samples)
}

/// The threads of baselines under tokio. The first is that of most programs; the second shares one thread like the mesh, and
/// is faster where that fills batches.
const THREADS: [Threads; 2] = [Threads::Workers, Threads::One];

/// Samples the baselines of throughput.
pub(crate) async fn rates(peer: &Peer, plan: &Plan) -> Result<Vec<BaselineSample>, Failure> {
    let (size, time, in_flight) = (plan.size, time(plan), plan.in_flight);
    let calls = CallLoad { size, in_flight, timed_every: plan.timed_every, time };
    let mut samples = Vec::new();
    for threads in THREADS {
        let Some(address) = peer.baseline else { break };
        let what = threads.name();
        samples.push(match plan.kind {
            MessageKind::Calls => {
                let what = format!("{what}, {in_flight} in flight");
                BaselineSample::window(what, calls::window(address, calls, threads).await?)
            }
            MessageKind::Tells => {
                BaselineSample::rate(what, bulk::tokio(address, size, 1, threads, time).await?)
            }
            MessageKind::News => {
                let connections = usize::from(plan.subscribers);
                let what = format!("{what}, to {connections}");
                BaselineSample::rate(what, bulk::tokio(address, size, connections, threads, time).await?)
            }
        });
    }
    if let (MessageKind::Tells, Some(address)) = (plan.kind, peer.baseline) {
        samples.push(BaselineSample::rate("bare TCP, blocking", bulk::blocking(address, size, time).await?));
    }
    samples.push(match plan.kind {
        MessageKind::Calls => BaselineSample::window(
            format!("actix send, in process, {in_flight} in flight"),
            with_body!(size, B => local::window::<B>(calls).await)?,
        ),
        MessageKind::Tells | MessageKind::News => BaselineSample::rate(
            "actix do_send, in process",
            with_body!(size, B => local::one_way::<B>(size, time).await)?,
        ),
    });
    Ok(samples)
}

/// Merges the samples from before and after, and computes the ratios of a measurement to them.
pub(crate) fn baselines(
    before: Vec<BaselineSample>,
    after: Vec<BaselineSample>,
    measured: &Measurement,
    made_by: RateSource,
) -> Vec<Baseline> {
    // Both were taken by the same function, so they are the same baselines in the same order.
    let pairs = before.into_iter().zip(after);
    pairs
        .map(|(mut baseline, after)| {
            baseline.times.add(&after.times);
            baseline.rates.extend(after.rates);
            let (round_trip, own) = (baseline.times.percentiles(), measured.round_trip);
            let rates = &baseline.rates;
            let per_second = (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64);
            let comparable = per_second.filter(|rate| *rate > 0.0 && made_by == RateSource::Throughput);
            Baseline {
                what: baseline.what,
                round_trip,
                round_trip_ratio: own.zip(round_trip).map(|(own, baseline)| own.p50 / baseline.p50),
                per_second,
                per_second_ratio: comparable.map(|rate| measured.received_per_second / rate),
            }
        })
        .collect()
}

/// The origin of a measurement's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateSource {
    Schedule,
    Throughput,
}
