//! Sending on a fixed timetable, whatever comes back: an open loop.
//!
//! A thread of its own sleeps until a packet is due and sends it, and everything counts from when it was due. So a mesh
//! that holds up the sender cannot hide it: the packets behind are late, and say so.

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
use crate::bench::traffic::packet::Echo;
use crate::failure::Failure;

/// The longest sleep, so that the end is noticed.
const NAP: Duration = Duration::from_millis(20);
/// The shortest: what is due within it goes together.
const TICK: Duration = Duration::from_micros(50);

/// When packets are due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    begin: Instant,
    rate: f64,
}

impl Schedule {
    /// `rate` packets a second from `begin` on.
    pub(crate) fn new(begin: Instant, rate: f64) -> Self {
        Self { begin, rate }
    }

    /// When packet `number` is due.
    pub(crate) fn due(&self, number: u64) -> Instant {
        self.begin + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// How many packets are due before then.
    pub(crate) fn due_before(&self, then: Instant) -> u64 {
        (then.saturating_duration_since(self.begin).as_secs_f64() * self.rate).ceil() as u64
    }
}

/// A call that has set out.
struct PendingCall {
    number: u64,
    due: Instant,
    request: Request<Echo>,
    room: OwnedSemaphorePermit,
}

/// Sends packets without a reply by the timetable, until it is over. What is returned ends with the last of them.
pub(crate) fn stream(
    load: Arc<LoadState>,
    way: OneWaySender,
    timetable: Schedule,
) -> Result<impl Future<Output = ()>, Failure> {
    let (is_running, ended) = oneshot::channel::<()>();
    spawn(move || {
        let _is_running = is_running;
        follow(&load, timetable, |_| {
            let sending = load.waiting(way.send(load.next()));
            let sent = block_on(async {
                tokio::select! {
                    biased;
                    sent = sending => sent,
                    () = load.over.notified() => {
                        load.recall();
                        Ok(())
                    }
                }
            });
            if let Err(failure) = sent {
                load.fail(failure);
            }
        });
    })?;
    // It is only ever dropped.
    Ok(async { drop(ended.await) })
}

/// Calls by the timetable, until it is over, with at most so many that wait for their reply: those beyond are late. What
/// is returned has to be polled, and ends with the last reply.
pub(crate) fn call(
    load: Arc<LoadState>,
    service: ServiceRef,
    timetable: Schedule,
    in_flight: usize,
) -> Result<impl Future<Output = ()>, Failure> {
    // Bounded by the room for calls.
    let (calls, called) = mpsc::unbounded_channel();
    let collecting = collect(Arc::clone(&load), called);
    let room = Arc::new(Semaphore::new(in_flight));
    spawn(move || {
        follow(&load, timetable, |due| {
            let permit = block_on(async {
                tokio::select! {
                    permit = Arc::clone(&room).acquire_owned() => permit.ok(),
                    () = load.over.notified() => None,
                }
            });
            let Some(permit) = permit else { return };
            let packet = load.next();
            let number = packet.number;
            let mut request = service.send(Echo(packet));
            // The first poll sends it, from this thread; whoever collects it polls it again.
            match Pin::new(&mut request).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(reply) => load.returned(number, due.elapsed(), reply),
                // When nobody collects, it is over.
                Poll::Pending => drop(calls.send(PendingCall { number, due, request, room: permit })),
            }
        });
    })?;
    Ok(collecting)
}

async fn collect(load: Arc<LoadState>, mut called: mpsc::UnboundedReceiver<PendingCall>) {
    let mut calls = JoinSet::new();
    while let Some(PendingCall { number, due, request, room }) = called.recv().await {
        let load = Arc::clone(&load);
        calls.spawn_local(async move {
            let reply = request.await;
            load.returned(number, due.elapsed(), reply);
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

/// Does `send` whenever a packet is due, until it is over.
fn follow(load: &LoadState, timetable: Schedule, mut send: impl FnMut(Instant)) {
    while !load.is_over() {
        let due = timetable.due(load.sent());
        let now = Instant::now();
        if let Some(early) = due.checked_duration_since(now).filter(|early| !early.is_zero()) {
            thread::sleep(early.clamp(TICK, NAP));
        } else {
            load.set_out(now - due);
            send(due);
        }
    }
}

/// Lets threads that are started from this one wake on time, where the platform delays that to save energy.
pub(crate) fn be_punctual() {
    #[cfg(target_os = "linux")]
    // Where it is not allowed, packets are later by 50 µs, which is told.
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timetable_does_not_drift() {
        let begin = Instant::now();
        let timetable = Schedule::new(begin, 3.0);
        assert_eq!(timetable.due(0), begin);
        assert_eq!(timetable.due(3_000_000), begin + Duration::from_secs(1_000_000));
        assert_eq!(timetable.due_before(begin), 0);
        assert_eq!(timetable.due_before(begin + Duration::from_secs(10)), 30);
    }
}
