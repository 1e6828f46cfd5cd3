//! The discovery benchmark: how soon a watcher sees a new service, and how soon a new node discovers one.

use std::time::{Duration, Instant};

use meshzero::{Mesh, WatchEvent};
use tokio::time;

use crate::bench::gauge::percentiles::DurationHistogram;
use crate::bench::measure::progress::Progress;
use crate::bench::peer::transport::{self, Peer, Transport};
use crate::bench::report::document::{Benchmark, DiscoveryTimes, Report, RoundTimes};
use crate::bench::traffic::protocol::{AdvertiseProbe, ReadClock, WithdrawProbe};
use crate::failure::Failure;
use crate::render::millis;
use crate::session::Session;

/// The timeout of one round.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The number of readings of the other clock; the quickest one counts.
const CLOCK_READINGS: usize = 32;
/// The approximate duration of a round, for the progress bar.
const ROUND: Duration = Duration::from_millis(10);

/// Runs the benchmark for a number of rounds.
pub(crate) async fn discovery(
    session: &Session,
    peer: &Peer,
    transport: &Transport,
    rounds: u32,
) -> Result<Report, Failure> {
    let mut report = Report::new(Benchmark::Discovery, transport, peer);
    let progress = Progress::new(ROUND * rounds * 2);
    progress.stage("watching");
    let seen = seen(peer, rounds, &progress).await?;
    progress.stage("discovering");
    let (cold, joined) = cold(session, peer, rounds, &progress).await?;
    report.discovery = Some(DiscoveryTimes { seen, cold, joined });
    Ok(report)
}

/// Measures from the start of advertising there until a watcher here sees it.
async fn seen(peer: &Peer, rounds: u32, progress: &Progress) -> Result<RoundTimes, Failure> {
    let prefix = transport::unique("bench-appears");
    let clock = PeerClock::read(peer).await?;
    let mut watch = peer.mesh.watch(&prefix);
    let mut times = Vec::new();
    for round in 0..rounds {
        let service = transport::name(&format!("{prefix}/{round}"))?;
        let wanted = service.clone();
        let up = async {
            while let Some(event) = watch.next().await {
                if matches!(&event, WatchEvent::Up(instance) if instance.service == wanted) {
                    return Ok(Instant::now());
                }
            }
            Err(Failure::Unavailable("the mesh was left".to_owned()))
        };
        let appear = async { peer.service.send(AdvertiseProbe { service }).await?.map_err(Failure::Refused) };
        let both = async { tokio::try_join!(up, appear) };
        let late = || Failure::OutcomeUnknown(format!("a service was not seen within {TIMEOUT:?}"));
        let (up, appeared) = time::timeout(TIMEOUT, both).await.map_err(|_| late())??;
        times.push(up.saturating_duration_since(clock.here(appeared)));
        peer.service.send(WithdrawProbe).await?;
        progress.skip(ROUND);
    }
    RoundTimes::of(&times)
}

/// Measures `discover` by a new node: alone, and including the join.
async fn cold(
    session: &Session,
    peer: &Peer,
    rounds: u32,
    progress: &Progress,
) -> Result<(RoundTimes, RoundTimes), Failure> {
    let name = peer.service.describe().await?.service;
    let (mut cold, mut joined) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begun = Instant::now();
        let mesh: Mesh = session.join_as(|join| peer.join(join)).await?;
        let is_joined = Instant::now();
        let found = mesh.discover(&name).within(TIMEOUT).await;
        cold.push(is_joined.elapsed());
        joined.push(begun.elapsed());
        mesh.close().await;
        found?;
        progress.skip(ROUND);
    }
    Ok((RoundTimes::of(&cold)?, RoundTimes::of(&joined)?))
}

/// The other side's clock, read to within half of the quickest round trip.
struct PeerClock {
    here: Instant,
    there: u64,
}

impl PeerClock {
    async fn read(peer: &Peer) -> Result<Self, Failure> {
        let mut best: Option<(Duration, Self)> = None;
        for _ in 0..CLOCK_READINGS {
            let asked = Instant::now();
            let there = peer.service.send(ReadClock).await?;
            let took = asked.elapsed();
            if best.as_ref().is_none_or(|(least, _)| took < *least) {
                best = Some((took, Self { here: asked + took / 2, there }));
            }
        }
        best.map(|(_, clock)| clock)
            .ok_or_else(|| Failure::OutcomeUnknown("the other clock could not be read".to_owned()))
    }

    /// Converts a reading of the other clock to local time.
    fn here(&self, there: u64) -> Instant {
        self.here + Duration::from_nanos(there.saturating_sub(self.there))
    }
}

impl RoundTimes {
    fn of(rounds: &[Duration]) -> Result<Self, Failure> {
        let mut times = DurationHistogram::default();
        rounds.iter().for_each(|time| times.record(*time));
        let percentiles =
            times.percentiles().ok_or_else(|| Failure::Usage("there were no rounds".to_owned()))?;
        Ok(Self { percentiles, rounds_ms: rounds.iter().copied().map(millis).collect() })
    }
}
