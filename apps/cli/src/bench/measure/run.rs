//! The execution of one measurement: senders start, the receiver's counts are read meanwhile, and everything sent is
//! accounted for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshzero::{Service, ServiceRef};
use tokio::task::JoinSet;
use tokio::time;

use super::measurement::Measurement;
use super::plan::{MessageKind, Plan};
use super::progress::Progress;
use super::summary::{Observations, Snapshot, slice_between, summarize};
use crate::bench::gauge::percentiles::DurationHistogram;
use crate::bench::gauge::traffic_sample::TrafficSample;
use crate::bench::gauge::usage::{self, ProcessUsage};
use crate::bench::load::one_way::OneWaySender;
use crate::bench::load::open_loop::{self, Schedule};
use crate::bench::load::sender::LoadState;
use crate::bench::peer::serve;
use crate::bench::peer::service::IdleActor;
use crate::bench::peer::transport::{self, Peer};
use crate::bench::traffic::packet::{Body, with_body};
use crate::bench::traffic::pattern::Pattern;
use crate::bench::traffic::protocol::{
    BeginStream, EndStream, ReadClock, ReadCounts, ReceiverState, SubscribePackets,
};
use crate::failure::Failure;

/// The timeout of a request to the receiver, behind all packets that wait before it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The time without any arrival after which missing packets count as lost.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The interval between two checks for outstanding packets.
const LOOK: Duration = Duration::from_millis(5);
/// The interval between two checks for failures.
const FAILED: Duration = Duration::from_millis(50);
/// The interval between two calls beside packets without a reply.
const PROBE: Duration = Duration::from_millis(2);
/// The limit of such calls waiting for a reply.
const PROBES: usize = 1_000;
/// The time in which senders have to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of steps in which the waits of unsent packets are recorded.
const UNSENT_STEPS: u64 = 10_000;

/// Measures as planned.
pub(crate) async fn measure(peer: &Peer, plan: &Plan, progress: &Progress) -> Result<Measurement, Failure> {
    let stream =
        peer.service.send(BeginStream { size: plan.size as u64 }).await?.map_err(Failure::Refused)?;
    usage::reset_peak();
    let load = LoadState::new(Pattern::new(plan.size), stream, plan.size);
    let run = Run { peer, plan, load: &load };
    let measured = tokio::select! {
        measured = run.measure(progress) => measured,
        failure = failed(peer, &load) => Err(failure),
    };
    load.end();
    // The service forgets the measurement anyway.
    let _ = peer.service.send(EndStream { stream }).timeout(TIMEOUT).await;
    measured
}

/// Waits until a sender has failed or the service is gone; requests would wait for another instance then.
async fn failed(peer: &Peer, load: &LoadState) -> Failure {
    loop {
        time::sleep(FAILED).await;
        if let Some(failure) = load.take_failure() {
            return failure;
        }
        if peer.service.instances().is_empty() {
            return Failure::OutcomeUnknown(
                "the connection to the serving side was lost during the measurement".to_owned(),
            );
        }
    }
}

struct Run<'a> {
    peer: &'a Peer,
    plan: &'a Plan,
    load: &'a Arc<LoadState>,
}

impl Run<'_> {
    async fn measure(&self, progress: &Progress) -> Result<Measurement, Failure> {
        let Self { plan, load, .. } = *self;
        let mut senders = JoinSet::new();
        let publisher = self.prepare(&mut senders).await?;
        let begin = Instant::now();
        let schedule = plan.rate.map(|rate| Schedule::new(begin, rate));
        let publisher = publisher.as_ref();
        with_body!(plan.size, B => match schedule {
            Some(schedule) => self.start_paced::<B>(&mut senders, schedule, publisher)?,
            None => self.start_unpaced::<B>(&mut senders, publisher),
        });
        progress.wait_until(begin + plan.warm_up).await;

        load.take_times();
        load.record();
        let first = self.snapshot().await?;
        let (mut slices, mut times) = (Vec::new(), DurationHistogram::default());
        let mut before = first.receiver.clone();
        let count = slice_count(plan.duration);
        let started = Instant::now();
        let mut last = None;
        for slice in 1..=count {
            progress.wait_until(started + plan.duration * slice / count).await;
            let moment = self.snapshot().await?;
            let recorded = load.take_times();
            slices.push(slice_between(&before, &moment.receiver, &recorded));
            times.add(&recorded);
            before = moment.receiver.clone();
            last = Some(moment);
        }
        let last = last.ok_or_else(|| Failure::Usage("the measured time is empty".to_owned()))?;

        load.end();
        let ended = Instant::now();
        while let Ok(Some(_)) = time::timeout_at((ended + END_TIMEOUT).into(), senders.join_next()).await {}
        // Packets under way at the end, which took the longest under overload.
        times.add(&load.take_times());
        if let (Some(schedule), MessageKind::Calls) = (schedule, plan.kind) {
            record_unsent(schedule, load.sent(), ended, &mut times);
        }
        let receiver = self.wait_for_arrivals().await?;
        Ok(summarize(self.peer, plan, load, Observations { first, last, end: receiver, slices, times }))
    }

    /// Starts the calls beside the packets, and the publisher if there is one.
    async fn prepare(&self, senders: &mut JoinSet<()>) -> Result<Option<Service<IdleActor>>, Failure> {
        let Self { peer, plan, load } = *self;
        if plan.kind != MessageKind::Calls {
            senders.spawn_local(probe(Arc::clone(load), peer.service.clone()));
        }
        if plan.kind != MessageKind::News {
            return Ok(None);
        }
        let name = transport::name(&transport::unique("bench-news"))?;
        let service = with_body!(plan.size, B => serve::publisher::<B>(&peer.mesh, &name).await)?;
        let follow = SubscribePackets { stream: load.stream, service: name, subscribers: plan.subscribers };
        peer.service.send(follow).timeout(REQUEST_TIMEOUT).await?.map_err(Failure::Refused)?;
        Ok(Some(service))
    }

    fn way(&self, publisher: Option<&Service<IdleActor>>) -> OneWaySender {
        publisher.map_or_else(
            || OneWaySender::Tell(self.peer.service.clone()),
            |service| OneWaySender::Publish(service.publisher()),
        )
    }

    fn start_paced<B: Body>(
        &self,
        senders: &mut JoinSet<()>,
        schedule: Schedule,
        publisher: Option<&Service<IdleActor>>,
    ) -> Result<(), Failure> {
        let load = Arc::clone(self.load);
        if self.plan.kind == MessageKind::Calls {
            let service = self.peer.service.clone();
            senders.spawn_local(open_loop::call::<B>(load, service, schedule, self.plan.in_flight)?);
        } else {
            senders.spawn_local(open_loop::stream::<B>(load, self.way(publisher), schedule)?);
        }
        Ok(())
    }

    fn start_unpaced<B: Body>(&self, senders: &mut JoinSet<()>, publisher: Option<&Service<IdleActor>>) {
        if self.plan.kind == MessageKind::Calls {
            for _ in 0..self.plan.in_flight {
                let load = Arc::clone(self.load);
                senders.spawn_local(load.call::<B>(self.peer.service.clone(), self.plan.timed_every));
            }
        } else {
            senders.spawn_local(Arc::clone(self.load).stream::<B>(self.way(publisher)));
        }
    }

    async fn snapshot(&self) -> Result<Snapshot, Failure> {
        let receiver = self.receiver().await?;
        Ok(Snapshot {
            at: Instant::now(),
            sent: self.load.sent(),
            waited: self.load.waited(),
            own: ProcessUsage::now(),
            own_wire: TrafficSample::of(&self.peer.mesh),
            receiver,
        })
    }

    async fn receiver(&self) -> Result<ReceiverState, Failure> {
        let forgotten = || Failure::Refused("the serving side no longer has this measurement".to_owned());
        let request = ReadCounts { stream: self.load.stream };
        self.peer.service.send(request).timeout(REQUEST_TIMEOUT).await?.ok_or_else(forgotten)
    }

    /// Waits until everything has arrived, or nothing arrives any more.
    async fn wait_for_arrivals(&self) -> Result<ReceiverState, Failure> {
        let (mut since, mut before) = (Instant::now(), 0);
        loop {
            let receiver = self.receiver().await?;
            if receiver.counts.received != before {
                (since, before) = (Instant::now(), receiver.counts.received);
            }
            let expected = self.load.sent() * self.plan.receivers();
            if receiver.counts.received >= expected || since.elapsed() > TIMEOUT {
                return Ok(receiver);
            }
            time::sleep(LOOK).await;
        }
    }
}

/// Makes calls at intervals, behind the packets on the same connection. They do not wait for each other, so that a
/// stall that holds up many of them shows in each.
async fn probe(load: Arc<LoadState>, service: ServiceRef) {
    let mut ticks = time::interval(PROBE);
    let mut probes = JoinSet::new();
    while !load.has_ended() {
        let due = ticks.tick().await.into_std();
        while probes.try_join_next().is_some() {}
        if probes.len() == PROBES {
            probes.join_next().await;
        }
        // A timer is late by up to a millisecond, and this thread may be late; only the latter counts.
        let now = Instant::now();
        let started = if now - due > PROBE { due } else { now };
        let (load, service) = (Arc::clone(&load), service.clone());
        probes.spawn_local(async move {
            match service.send(ReadClock).timeout(REQUEST_TIMEOUT).await {
                Ok(_) => load.record_probe(started.elapsed()),
                Err(error) => load.fail(error.into()),
            }
        });
    }
    // Calls under way began in the measured time.
    probes.join_all().await;
}

/// Records packets that were due and never sent: they have waited at least until the end.
fn record_unsent(schedule: Schedule, sent: u64, ended: Instant, times: &mut DurationHistogram) {
    let due = schedule.due_before(ended);
    let step = (due.saturating_sub(sent) / UNSENT_STEPS).max(1);
    let mut number = sent;
    while number < due {
        times.record_many(ended.saturating_duration_since(schedule.due(number)), step.min(due - number));
        number += step;
    }
}

/// Returns the number of slices of the measured time.
fn slice_count(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis() / 50).unwrap_or(u32::MAX).clamp(5, 40)
}
