//! The state that the senders of one measurement share, and closed-loop senders.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use meshzero::{CallError, Refusal, ServiceRef, UnknownReason};
use tokio::sync::Notify;

use super::one_way::{self, OneWaySender};
use crate::bench::gauge::percentiles::DurationHistogram;
use crate::bench::traffic::packet::{Body, Echo, OneWay, Packet};
use crate::bench::traffic::pattern::Pattern;
use crate::failure::Failure;

/// The packets, or their bytes, after which a sender yields to other tasks of its thread even if there is always room.
const TURN_PACKETS: u64 = 8_192;
const TURN_BYTES: u64 = 8 << 20;

/// The state that the senders of one measurement share.
pub(crate) struct LoadState {
    pub(crate) pattern: Pattern,
    pub(crate) stream: u16,
    pub(crate) size: usize,
    /// The number of packets taken for sending, which is the next packet's number.
    sent: AtomicU64,
    /// Nanoseconds that one-way senders waited for room.
    waited: AtomicU64,
    /// Calls that ended without a reply and do not end the measurement.
    failed: AtomicU64,
    /// Replies with wrong bytes.
    damaged: AtomicU64,
    has_ended: AtomicBool,
    /// Set by a one-way sender just before it yields: it does not wait for room then.
    yields: AtomicBool,
    is_recording: AtomicBool,
    times: Mutex<DurationHistogram>,
    late: Mutex<DurationHistogram>,
    failure: Mutex<Option<Failure>>,
    /// Notified at the end of the load.
    pub(crate) ended_notify: Notify,
}

impl LoadState {
    pub(crate) fn new(pattern: Pattern, stream: u16, size: usize) -> Arc<Self> {
        Arc::new(Self {
            pattern,
            stream,
            size,
            sent: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
            yields: AtomicBool::new(false),
            is_recording: AtomicBool::new(false),
            times: Mutex::default(),
            late: Mutex::default(),
            failure: Mutex::default(),
            ended_notify: Notify::new(),
        })
    }

    /// Takes the next packet.
    pub(crate) fn next<B: Body>(&self) -> Packet<B> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        self.pattern.packet(self.stream, number, self.size)
    }

    /// Takes back the last packet, which was not sent. For a load with a single sender.
    pub(crate) fn take_back(&self) {
        self.sent.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// Starts recording times.
    pub(crate) fn record(&self) {
        self.is_recording.store(true, Ordering::Relaxed);
    }

    /// Takes the round trips recorded since the last call.
    pub(crate) fn take_times(&self) -> DurationHistogram {
        lock(&self.times).take()
    }

    /// Takes the recorded lateness of packets.
    pub(crate) fn take_late(&self) -> DurationHistogram {
        lock(&self.late).take()
    }

    /// Returns whether senders have to end.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Ends the senders.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.ended_notify.notify_waiters();
        // Also wakes a sender that is just about to wait.
        self.ended_notify.notify_one();
    }

    /// Takes the failure that ended a sender, if there is one.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        lock(&self.failure).take()
    }

    /// Ends the load with a failure of a sender.
    pub(crate) fn fail(&self, failure: Failure) {
        lock(&self.failure).get_or_insert(failure);
        self.end();
    }

    /// Records the lateness of a packet.
    pub(crate) fn record_late(&self, late: Duration) {
        if self.is_recording.load(Ordering::Relaxed) {
            lock(&self.late).record(late);
        }
    }

    /// Records the time of a call beside packets without a reply.
    pub(crate) fn record_probe(&self, time: Duration) {
        if self.is_recording.load(Ordering::Relaxed) {
            lock(&self.times).record(time);
        }
    }

    /// Records a round trip, or a call without a reply. `time` is none for a call that was not timed.
    pub(crate) fn record_reply<B: Body>(
        &self,
        number: u64,
        time: Option<Duration>,
        reply: Result<Packet<B>, CallError>,
    ) {
        match reply {
            Ok(reply) => {
                if reply.number() != number || !self.pattern.is_intact(number, reply.body(), self.size) {
                    self.damaged.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(time) = time {
                    self.record_probe(time);
                }
            }
            Err(error) if is_overload(&error) => drop(self.failed.fetch_add(1, Ordering::Relaxed)),
            Err(error) => self.fail(error.into()),
        }
    }

    /// Makes one call after another until the load ends, and times one in `timed_every`.
    pub(crate) async fn call<B: Body>(self: Arc<Self>, service: ServiceRef, timed_every: u64) {
        while !self.has_ended() {
            let packet = self.next::<B>();
            let number = packet.number();
            let started = number.is_multiple_of(timed_every).then(Instant::now);
            let reply = service.send(Echo(packet)).await;
            self.record_reply(number, started.map(|started| started.elapsed()), reply);
        }
    }

    /// Sends packets without a reply until the load ends. There may be no other sender.
    pub(crate) async fn stream<B: Body>(self: Arc<Self>, way: OneWaySender) {
        // Each kind has its own loop: a future around both would be copied for every packet.
        let ended = match way {
            OneWaySender::Tell(service) => {
                self.measure_wait(self.repeat(|packet: Packet<B>| service.tell(OneWay(packet)))).await
            }
            OneWaySender::Publish(publisher) => {
                self.measure_wait(self.repeat(|packet: Packet<B>| one_way::publish(&publisher, packet))).await
            }
        };
        if let Err(failure) = ended {
            self.fail(failure);
        }
    }

    /// Sends packets with `send` until the load ends.
    async fn repeat<B, S, E>(&self, send: impl Fn(Packet<B>) -> S) -> Result<(), Failure>
    where
        B: Body,
        S: Future<Output = Result<(), E>>,
        E: Into<Failure>,
    {
        let turn = (TURN_BYTES / self.size.max(1) as u64).clamp(1, TURN_PACKETS);
        let mut number = self.sent();
        while !self.has_ended() {
            for _ in 0..turn {
                let packet = self.pattern.packet(self.stream, number, self.size);
                number += 1;
                self.sent.store(number, Ordering::Relaxed);
                send(packet).await.map_err(Into::into)?;
            }
            self.yields.store(true, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Awaits `sending`, one packet or many, and adds the time for which it waits for room to the time waited. Nothing is
    /// done for a packet that does not wait.
    pub(crate) async fn measure_wait<T>(&self, sending: impl Future<Output = T>) -> T {
        let (mut sending, mut waiting) = (pin!(sending), None::<Instant>);
        std::future::poll_fn(|task| {
            if let Some(since) = waiting.take() {
                self.waited.fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
            }
            let polled = sending.as_mut().poll(task);
            if polled.is_pending() && !self.yields.swap(false, Ordering::Relaxed) {
                waiting = Some(Instant::now());
            }
            polled
        })
        .await
    }
}

/// Returns whether a call failed because the service was overloaded, which is counted and does not end the
/// measurement.
fn is_overload(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Refused { reason: Refusal::Busy, .. }
            // Its deadline passed while it waited.
            | CallError::NotSent { attempts: 1.., .. }
            | CallError::Unknown { reason: UnknownReason::TimedOut { .. }, .. }
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
