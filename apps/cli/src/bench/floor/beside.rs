//! The floors of one measurement: which apply to it, taken before and after it, and how it stands to them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{bulk, local, ping};
use crate::bench::measured::Measured;
use crate::bench::percentiles::{Percentiles, Times};
use crate::bench::plan::{Kind, Plan};
use crate::bench::transport::Far;
use crate::failure::Failure;

/// One floor, beside a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Floor {
    pub(crate) what: String,
    /// Of round trips.
    pub(crate) round_trip: Option<Percentiles>,
    /// Of messages one way, or of calls at once.
    pub(crate) per_second: Option<f64>,
    /// The measurement's p50, or its rate, divided by this floor's.
    pub(crate) ratio: Option<f64>,
}

/// A floor as it was taken.
pub(crate) struct Sample {
    what: String,
    value: Value,
}

enum Value {
    Times(Box<Times>),
    Rates(Vec<f64>),
}

impl Sample {
    fn times(what: impl Into<String>, times: Times) -> Self {
        Self { what: what.into(), value: Value::Times(Box::new(times)) }
    }

    fn rate(what: impl Into<String>, rate: f64) -> Self {
        Self { what: what.into(), value: Value::Rates(vec![rate]) }
    }
}

/// How long each floor is measured, before and once more after.
pub(crate) fn time(plan: &Plan) -> Duration {
    (plan.duration / 8).clamp(Duration::from_millis(50), Duration::from_millis(500))
}

/// About how long all floors of a measurement take together.
pub(crate) fn time_of_all(plan: &Plan) -> Duration {
    time(plan) * 8
}

/// The floors of round trips, one at a time.
pub(crate) async fn round_trips(far: &Far, plan: &Plan) -> Result<Vec<Sample>, Failure> {
    let (size, time) = (plan.size, time(plan));
    let mut samples = Vec::new();
    if let Some(address) = far.floor {
        samples.push(Sample::times("bare TCP, tokio", ping::tokio(address, size, time).await?));
        samples.push(Sample::times("bare TCP, blocking", ping::blocking(address, size, time).await?));
    }
    samples.push(Sample::times("actix send, in process", local::ping(size, time).await?));
    Ok(samples)
}

/// The floors of what goes through in a second.
pub(crate) async fn rates(far: &Far, plan: &Plan) -> Result<Vec<Sample>, Failure> {
    let (size, time) = (plan.size, time(plan));
    let mut samples = Vec::new();
    let in_flight = plan.in_flight;
    match (plan.kind, far.floor) {
        (Kind::Calls, Some(address)) => {
            let what = format!("bare TCP, tokio, {in_flight} in flight");
            samples.push(Sample::rate(what, ping::window(address, size, in_flight, time).await?));
        }
        (Kind::Tells, Some(address)) => {
            samples.push(Sample::rate("bare TCP, tokio", bulk::tokio(address, size, 1, time).await?));
            samples.push(Sample::rate("bare TCP, blocking", bulk::blocking(address, size, time).await?));
        }
        (Kind::News, Some(address)) => {
            let connections = usize::from(plan.subscribers);
            let what = format!("bare TCP, tokio, to {connections}");
            samples.push(Sample::rate(what, bulk::tokio(address, size, connections, time).await?));
        }
        (_, None) => {}
    }
    samples.push(match plan.kind {
        Kind::Calls => Sample::rate(
            format!("actix send, in process, {in_flight} in flight"),
            local::window(size, in_flight, time).await?,
        ),
        Kind::Tells | Kind::News => {
            Sample::rate("actix do_send, in process", local::one_way(size, time).await?)
        }
    });
    Ok(samples)
}

/// The same floors from before and after, and how `measured` stands to them.
pub(crate) fn floors(before: Vec<Sample>, after: Vec<Sample>, measured: &Measured) -> Vec<Floor> {
    let pairs = before.into_iter().zip(after);
    pairs
        .map(|(before, after)| match (before.value, after.value) {
            (Value::Times(mut times), Value::Times(later)) => {
                times.add(&later);
                let round_trip = times.percentiles();
                let own = measured.round_trip;
                let ratio = own.zip(round_trip).map(|(own, floor)| own.p50 / floor.p50);
                Floor { what: before.what, round_trip, per_second: None, ratio }
            }
            (Value::Rates(mut rates), Value::Rates(later)) => {
                rates.extend(later);
                let rate = rates.iter().sum::<f64>() / rates.len() as f64;
                let ratio = (rate > 0.0).then(|| measured.received_per_second / rate);
                Floor { what: before.what, round_trip: None, per_second: Some(rate), ratio }
            }
            // Both lists are made by the same function.
            _ => Floor { what: before.what, round_trip: None, per_second: None, ratio: None },
        })
        .collect()
}
