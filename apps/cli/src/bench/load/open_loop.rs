//! The open loop: sending on a fixed schedule, independent of replies.
//!
//! A dedicated thread sleeps until a packet is due and sends it; all times count from the due time. So a mesh that
//! holds up the sender cannot hide it (coordinated omission): the following packets are late, and recorded as late.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use meshzero::{Request, ServiceRef, block_on};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::one_way::OneWaySender;
use super::sender::LoadState;
use crate::bench::traffic::packet::{Body, Echo};
use crate::failure::Failure;

/// The longest sleep, so that the end is noticed.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);
/// The shortest sleep; packets due within it are sent together.
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);

/// The schedule of packets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    begin: Instant,
    rate: f64,
}

impl Schedule {
    /// A schedule of `rate` packets per second from `begin` on.
    pub(crate) fn new(begin: Instant, rate: f64) -> Self {
        Self { begin, rate }
    }

    /// Returns the due time of packet `number`.
    pub(crate) fn due(&self, number: u64) -> Instant {
        self.begin + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// Returns the number of packets due before `then`.
    pub(crate) fn due_before(&self, then: Instant) -> u64 {
        (then.saturating_duration_since(self.begin).as_secs_f64() * self.rate).ceil() as u64
    }
}

/// A call that waits for its reply.
struct PendingCall<B: Body> {
    number: u64,
    due: Instant,
    request: Request<Echo<B>>,
    room: OwnedSemaphorePermit,
}

/// Sends packets without a reply on the schedule until the load ends. The returned future completes with the last
/// packet.
pub(crate) fn stream<B: Body>(
    load: Arc<LoadState>,
    way: OneWaySender,
    schedule: Schedule,
) -> Result<impl Future<Output = ()>, Failure> {
    let (is_running, ended) = oneshot::channel::<()>();
    spawn(move || {
        let _is_running = is_running;
        follow(&load, schedule, |_| {
            let sending = load.measure_wait(way.send(load.next::<B>()));
            let sent = block_on(async {
                tokio::select! {
                    biased;
                    sent = sending => sent,
                    () = load.ended_notify.notified() => {
                        load.take_back();
                        Ok(())
                    }
                }
            });
            if let Err(failure) = sent {
                load.fail(failure);
            }
        });
    })?;
    // The channel is only ever dropped.
    Ok(async { drop(ended.await) })
}

/// Calls on the schedule until the load ends, with at most `in_flight` calls waiting for replies; calls beyond that
/// are late. The returned future must be polled and completes with the last reply.
pub(crate) fn call<B: Body>(
    load: Arc<LoadState>,
    service: ServiceRef,
    schedule: Schedule,
    in_flight: usize,
) -> Result<impl Future<Output = ()>, Failure> {
    // Bounded by the permits for calls.
    let (calls, called) = mpsc::unbounded_channel();
    let collecting = collect(Arc::clone(&load), called);
    let room = Arc::new(Semaphore::new(in_flight));
    spawn(move || {
        follow(&load, schedule, |due| {
            let permit = block_on(async {
                tokio::select! {
                    permit = Arc::clone(&room).acquire_owned() => permit.ok(),
                    () = load.ended_notify.notified() => None,
                }
            });
            let Some(permit) = permit else { return };
            let packet = load.next::<B>();
            let number = packet.number();
            let mut request = service.send(Echo(packet));
            // The first poll sends it, from this thread; the collector polls it again.
            match Pin::new(&mut request).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(reply) => load.record_reply(number, Some(due.elapsed()), reply),
                // Without a collector the load has ended.
                Poll::Pending => drop(calls.send(PendingCall { number, due, request, room: permit })),
            }
        });
    })?;
    Ok(collecting)
}

async fn collect<B: Body>(load: Arc<LoadState>, mut called: mpsc::UnboundedReceiver<PendingCall<B>>) {
    let mut calls = JoinSet::new();
    while let Some(PendingCall { number, due, request, room }) = called.recv().await {
        let load = Arc::clone(&load);
        calls.spawn_local(async move {
            let reply = request.await;
            load.record_reply(number, Some(due.elapsed()), reply);
            drop(room);
        });
        while calls.try_join_next().is_some() {}
    }
    calls.join_all().await;
}

fn spawn(run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name("pace".to_owned()).spawn(run);
    spawned.map(drop).map_err(|error| Failure::Local(format!("cannot start a thread: {error}")))
}

/// Calls `send` whenever a packet is due, until the load ends.
fn follow(load: &LoadState, schedule: Schedule, mut send: impl FnMut(Instant)) {
    while !load.has_ended() {
        let due = schedule.due(load.sent());
        let now = Instant::now();
        if let Some(early) = due.checked_duration_since(now).filter(|early| !early.is_zero()) {
            thread::sleep(early.clamp(SHORTEST_SLEEP, LONGEST_SLEEP));
        } else {
            load.record_late(now - due);
            send(due);
        }
    }
}

/// Lets threads that are spawned from this one wake on time, where the platform delays timers to save energy.
pub(crate) fn reduce_timer_slack() {
    #[cfg(target_os = "linux")]
    // Without permission packets are up to 50 µs later, which is recorded.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_does_not_drift() {
        let begin = Instant::now();
        let schedule = Schedule::new(begin, 3.0);
        assert_eq!(schedule.due(0), begin);
        assert_eq!(schedule.due(3_000_000), begin + Duration::from_secs(1_000_000));
        assert_eq!(schedule.due_before(begin), 0);
        assert_eq!(schedule.due_before(begin + Duration::from_secs(10)), 30);
    }
}
