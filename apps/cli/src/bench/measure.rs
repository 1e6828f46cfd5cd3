//! One measurement: senders start, the receiver is looked at in the middle of it, and everything sent is accounted for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshzero::Service;
use tokio::task::JoinSet;
use tokio::time;

use super::bottleneck::{Observed, bottleneck};
use super::load::Load;
use super::measured::{Measured, PerMessage, Side, Slice};
use super::pace::{self, Timetable};
use super::packet::Pattern;
use super::percentiles::Times;
use super::plan::{Kind, Plan};
use super::progress::Progress;
use super::protocol::{Begin, Clock, End, Follow, Look, Seen};
use super::serving::Silent;
use super::transport::{self, Far};
use super::usage::{self, Usage};
use super::way::Way;
use super::wire::Wire;
use crate::failure::Failure;

/// How long the receiver may take for a question, behind everything that waits before it.
const ANSWER: Duration = Duration::from_secs(30);
/// How long may pass without anything arriving before what is missing is lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often is looked whether everything has arrived.
const LOOK: Duration = Duration::from_millis(5);
/// How often a call is made beside packets without a reply.
const PROBE: Duration = Duration::from_millis(2);
/// How long senders may take to end.
const LAST: Duration = Duration::from_secs(5);
/// Steps in which times are told of packets that never set out.
const UNSENT_STEPS: u64 = 10_000;

/// Both sides at one moment.
struct Moment {
    at: Instant,
    sent: u64,
    waited: Duration,
    own: Usage,
    own_wire: Option<Wire>,
    seen: Seen,
}

/// Measures as planned.
pub(crate) async fn measure(far: &Far, plan: &Plan, progress: &Progress) -> Result<Measured, Failure> {
    let stream = far.service.send(Begin { size: plan.size as u64 }).await?.map_err(Failure::Refused)?;
    usage::forget_peak();
    let load = Load::new(Pattern::new(plan.size), stream, plan.size);
    let run = Run { far, plan, load: &load };
    let measured = tokio::select! {
        measured = run.measure(progress) => measured,
        failure = failed(&load) => Err(failure),
    };
    load.end();
    // Whoever serves forgets it anyway.
    let _ = far.service.send(End { stream }).await;
    measured
}

/// Waits until a sender cannot go on.
async fn failed(load: &Load) -> Failure {
    loop {
        if let Some(failure) = load.take_failure() {
            return failure;
        }
        time::sleep(LOOK).await;
    }
}

struct Run<'a> {
    far: &'a Far,
    plan: &'a Plan,
    load: &'a Arc<Load>,
}

impl Run<'_> {
    async fn measure(&self, progress: &Progress) -> Result<Measured, Failure> {
        let Self { plan, load, .. } = *self;
        let mut senders = JoinSet::new();
        let _publisher = self.prepare(&mut senders).await?;
        let begin = Instant::now();
        let timetable = plan.rate.map(|rate| Timetable::new(begin, rate));
        if let Some(timetable) = timetable {
            self.start_paced(timetable, _publisher.as_ref())?;
        } else {
            self.start_unpaced(&mut senders, _publisher.as_ref());
        }
        progress.wait_until(begin + plan.warm_up).await;

        load.take_times();
        load.record();
        let first = self.look().await?;
        let (mut slices, mut times) = (Vec::new(), Times::default());
        let mut before = first.seen.clone();
        let count = slice_count(plan.duration);
        let started = Instant::now();
        let mut last = None;
        for slice in 1..=count {
            progress.wait_until(started + plan.duration * slice / count).await;
            let moment = self.look().await?;
            let recorded = load.take_times();
            slices.push(slice_between(&before, &moment.seen, &recorded));
            times.add(&recorded);
            before = moment.seen.clone();
            last = Some(moment);
        }
        let last = last.ok_or_else(|| Failure::Usage("nothing was to be measured".to_owned()))?;

        load.end();
        let ended = Instant::now();
        while let Ok(Some(_)) = time::timeout_at((ended + LAST).into(), senders.join_next()).await {}
        if let (Some(timetable), Kind::Calls) = (timetable, plan.kind) {
            unsent(timetable, load.sent(), ended, &mut times);
        }
        let seen = self.arrived().await?;
        Ok(self.account(&first, &last, &seen, slices, &times))
    }

    /// Starts what goes on beside the packets, and whatever publishes them.
    async fn prepare(&self, senders: &mut JoinSet<()>) -> Result<Option<Service<Silent>>, Failure> {
        let Self { far, plan, load } = *self;
        if plan.kind != Kind::Calls {
            senders.spawn_local(probe(Arc::clone(load), far.service.clone()));
        }
        if plan.kind != Kind::News {
            return Ok(None);
        }
        let name = transport::name(&transport::unique("bench-news"))?;
        let service = super::serve::publisher(&far.mesh, &name).await?;
        let follow = Follow { stream: load.stream, service: name, subscribers: plan.subscribers };
        far.service.send(follow).timeout(ANSWER).await?.map_err(Failure::Refused)?;
        Ok(Some(service))
    }

    fn way(&self, publisher: Option<&Service<Silent>>) -> Way {
        publisher
            .map_or_else(|| Way::Tell(self.far.service.clone()), |service| Way::Publish(service.publisher()))
    }

    fn start_paced(&self, timetable: Timetable, publisher: Option<&Service<Silent>>) -> Result<(), Failure> {
        let load = Arc::clone(self.load);
        if self.plan.kind == Kind::Calls {
            pace::call(load, self.far.service.clone(), timetable, self.plan.in_flight)
        } else {
            pace::stream(load, self.way(publisher), timetable)
        }
    }

    fn start_unpaced(&self, senders: &mut JoinSet<()>, publisher: Option<&Service<Silent>>) {
        if self.plan.kind == Kind::Calls {
            for _ in 0..self.plan.in_flight {
                senders.spawn_local(Arc::clone(self.load).call(self.far.service.clone()));
            }
        } else {
            senders.spawn_local(Arc::clone(self.load).stream(self.way(publisher)));
        }
    }

    async fn look(&self) -> Result<Moment, Failure> {
        let seen = self.seen().await?;
        Ok(Moment {
            at: Instant::now(),
            sent: self.load.sent(),
            waited: self.load.waited(),
            own: Usage::now(),
            own_wire: Wire::of(&self.far.mesh),
            seen,
        })
    }

    async fn seen(&self) -> Result<Seen, Failure> {
        let forgotten = || Failure::Refused("whoever serves has forgotten this measurement".to_owned());
        let look = Look { stream: self.load.stream };
        self.far.service.send(look).timeout(ANSWER).await?.ok_or_else(forgotten)
    }

    /// Waits until everything has arrived, or nothing comes any more.
    async fn arrived(&self) -> Result<Seen, Failure> {
        let (mut since, mut before) = (Instant::now(), 0);
        loop {
            let seen = self.seen().await?;
            if seen.tally.received != before {
                (since, before) = (Instant::now(), seen.tally.received);
            }
            let expected = self.load.sent() * self.plan.receivers();
            if seen.tally.received >= expected || since.elapsed() > PATIENCE {
                return Ok(seen);
            }
            time::sleep(LOOK).await;
        }
    }

    fn account(
        &self,
        first: &Moment,
        last: &Moment,
        end: &Seen,
        slices: Vec<Slice>,
        times: &Times,
    ) -> Measured {
        let Self { far, plan, load } = *self;
        let seconds = (last.at - first.at).as_secs_f64();
        let receiver_seconds = between(&first.seen, &last.seen);
        let received = last.seen.tally.received.saturating_sub(first.seen.tally.received);
        let received_per_second = received as f64 / receiver_seconds;
        let own = (&first.own, &last.own, first.own_wire, last.own_wire);
        let sender = side(own, received, seconds);
        let (before, after) = (&first.seen, &last.seen);
        let receiver = (!far.is_here()).then(|| {
            side((&before.usage, &after.usage, before.wire, after.wire), received, receiver_seconds)
        });
        let sent = load.sent();
        let expected = sent * plan.receivers();
        let mut measured = Measured {
            seconds,
            offered_per_second: plan.rate,
            achieved_per_second: (last.sent - first.sent) as f64 / seconds,
            received_per_second,
            received_mib_per_second: received_per_second * plan.size as f64 / f64::from(1 << 20),
            sent,
            expected,
            received: end.tally.received,
            lost: expected.saturating_sub(end.tally.received).saturating_sub(load.failed()),
            repeated: end.tally.repeated,
            reordered: end.tally.reordered,
            damaged: end.tally.damaged + load.damaged(),
            failed: load.failed(),
            round_trip: times.percentiles(),
            late: load.take_late().percentiles(),
            sender,
            receiver,
            bottleneck: String::new(),
            slices,
        };
        measured.bottleneck = bottleneck(&Observed {
            kind: plan.kind,
            kept_timetable: plan.rate.map(|_| measured.kept_up()),
            sender,
            receiver,
            waited: (last.waited - first.waited).as_secs_f64() / seconds,
            shared_cores: far
                .floor
                .is_none_or(|floor| floor.ip().is_loopback())
                .then_some(far.greeting.machine.cores),
        });
        measured
    }
}

/// Calls now and then, behind the packets that wait on the same connection.
async fn probe(load: Arc<Load>, service: meshzero::ServiceRef) {
    let mut ticks = time::interval(PROBE);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    while !load.is_over() {
        ticks.tick().await;
        let started = Instant::now();
        match service.send(Clock).timeout(ANSWER).await {
            Ok(_) => load.probed(started.elapsed()),
            Err(error) => return load.fail(error.into()),
        }
    }
}

/// Packets that were due and never set out have waited at least until the end.
fn unsent(timetable: Timetable, sent: u64, ended: Instant, times: &mut Times) {
    let due = timetable.due_before(ended);
    let step = (due.saturating_sub(sent) / UNSENT_STEPS).max(1);
    let mut number = sent;
    while number < due {
        times.record_many(ended.saturating_duration_since(timetable.due(number)), step.min(due - number));
        number += step;
    }
}

/// In how many pieces the measured time is cut.
fn slice_count(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis() / 50).unwrap_or(u32::MAX).clamp(5, 40)
}

fn between(earlier: &Seen, later: &Seen) -> f64 {
    // Two looks are never at the same moment, but a clock may be coarse.
    later.clock.saturating_sub(earlier.clock).max(1) as f64 / 1e9
}

fn slice_between(earlier: &Seen, later: &Seen, times: &Times) -> Slice {
    let received = later.tally.received.saturating_sub(earlier.tally.received);
    let percentiles = times.percentiles();
    Slice {
        received_per_second: received as f64 / between(earlier, later),
        p50: percentiles.map(|percentiles| percentiles.p50),
        p99: percentiles.map(|percentiles| percentiles.p99),
    }
}

fn side(
    (earlier, later, earlier_wire, later_wire): (&Usage, &Usage, Option<Wire>, Option<Wire>),
    received: u64,
    seconds: f64,
) -> Side {
    let messages = received.max(1) as f64;
    let cpu = later.cpu_since(earlier);
    Side {
        cpu_seconds_per_million: cpu.map(|cpu| cpu / messages * 1e6),
        cpu: cpu.map(|cpu| cpu / seconds),
        busiest_thread: later.busiest_since(earlier).map(|cpu| cpu / seconds),
        peak_memory_bytes: later.peak_memory,
        wire: earlier_wire.zip(later_wire).map(|(earlier, later)| PerMessage {
            bytes_read: later.bytes_read.saturating_sub(earlier.bytes_read) as f64 / messages,
            bytes_written: later.bytes_written.saturating_sub(earlier.bytes_written) as f64 / messages,
            reads: later.reads.saturating_sub(earlier.reads) as f64 / messages,
            writes: later.writes.saturating_sub(earlier.writes) as f64 / messages,
        }),
    }
}
