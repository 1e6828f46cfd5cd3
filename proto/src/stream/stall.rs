//! Stall detection for one link: the times at which to send a ping, and to race the connection by dialling again.
//!
//! TCP retransmits lost data after delays that double, so that after an outage of T seconds a connection stays silent for up to T
//! more, while a new one would work at once. So a link that expects data and receives none sends a ping, and if that is not
//! answered, it dials repeatedly in parallel to the old connection, until bytes arrive on the old one or a new one has
//! completed its handshake.
//!
//! All of this is measured at this end of the link, by received bytes; bytes that a connection accepts prove nothing.

use std::time::{Duration, Instant};

use crate::wire::frame::{self, FrameKind};

/// The shortest time that a ping may stay unanswered before the connection is raced. A thread of either end may be busy for some
/// tens of milliseconds.
pub const MIN_PING_TIMEOUT: Duration = Duration::from_millis(100);

/// The shortest silence after which a ping is sent.
pub const MIN_SILENCE: Duration = Duration::from_millis(50);

/// The longest silence after which a ping is sent while a reply or an acknowledgement is outstanding.
pub const MAX_SILENCE: Duration = Duration::from_millis(500);

/// The longest silence after which a ping is sent while only news is expected, regardless of the configured limits.
const MAX_KEEP_ALIVE: Duration = Duration::from_secs(24 * 3_600);

/// The ping timeout before a round trip has been measured (RFC 6298 §2.1).
const INITIAL_PING_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum factor by which the ping timeout grows while the other end repeatedly turns out to be busy.
const MAX_BUSY_FACTOR: u32 = 16;

/// The delay beyond the requested time after which this end itself counts as held up.
const MAX_DELAY: Duration = Duration::from_millis(40);

/// The silence after which a ping is sent, as a multiple of the interval between two arrivals.
const SILENCE_PERIODS: u32 = 3;

/// The totals received on a link since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceivedSoFar {
    /// Bytes.
    pub bytes: u64,
    /// Reads that returned some bytes.
    pub reads: u64,
    /// Acknowledgements among them.
    pub acks: u64,
}

/// The kind of data that a link expects from the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing: everything that was sent is acknowledged and answered. Or this end is not reading at the moment.
    Nothing,
    /// Only the acknowledgement of sent bytes.
    Ack,
    /// A reply.
    Reply,
    /// News, at the rate observed so far.
    News,
}

/// The next action of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StallAction {
    /// Nothing, until data is expected.
    Rest,
    /// Nothing, until this time.
    Wait(Instant),
    /// Send a ping.
    Ping,
    /// Dial in parallel to the connection.
    Race,
}

/// The stall detector of one link.
#[derive(Debug)]
pub struct StallDetector {
    /// The longest silence after which a ping is sent while only news is expected.
    keep_alive: Duration,
    /// The lengthening of the intervals between dials, as a fraction of a quarter.
    jitter: f64,
    round_trip: Option<SmoothedRtt>,
    /// The factor by which the other end is given more time, because it was busy.
    busy_factor: u32,
    /// The number of bytes that had arrived when it last moved to another connection.
    bytes_at_move: Option<u64>,
    expectation: Expectation,
    /// The silence after which a ping is sent.
    silence: Duration,
    received: ReceivedSoFar,
    phase: StallPhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StallPhase {
    /// Waits for arrivals; they are compared some time after `since` with the totals `previous`.
    Listening { since: Instant, previous: ReceivedSoFar },
    /// A ping is unanswered. Until `due` that is normal.
    PingSent { at: Instant, due: Instant },
    /// The connection is being raced; the next dial is due.
    Racing { due: Instant },
}

impl StallDetector {
    /// Creates the detector of a link that begins at `now`, whose handshake took `round_trip`. A subscription without news costs
    /// a ping every `keep_alive`. `jitter`, from 0 to 1, should differ from link to link, so that links behind one outage do not
    /// dial all at once.
    pub fn new(now: Instant, round_trip: Option<Duration>, keep_alive: Duration, jitter: f64) -> Self {
        Self {
            keep_alive: keep_alive.clamp(MIN_SILENCE, MAX_KEEP_ALIVE),
            jitter: jitter.clamp(0.0, 1.0),
            round_trip: round_trip.map(SmoothedRtt::first),
            busy_factor: 1,
            bytes_at_move: None,
            expectation: Expectation::Nothing,
            silence: MIN_SILENCE,
            received: ReceivedSoFar::default(),
            phase: StallPhase::Listening { since: now, previous: ReceivedSoFar::default() },
        }
    }

    /// Returns the action at `now`, with the totals `received` and the expected data. Call it when the time of
    /// [`StallAction::Wait`] has come, and as soon as bytes arrive while a ping [is unanswered](Self::has_unanswered_ping).
    pub fn poll(&mut self, now: Instant, received: ReceivedSoFar, expectation: Expectation) -> StallAction {
        let previous = std::mem::replace(&mut self.received, received);
        if received.bytes != previous.bytes && self.has_unanswered_ping() {
            self.record_arrival(now, previous);
        }
        let expected = std::mem::replace(&mut self.expectation, expectation);
        if expectation == Expectation::Nothing {
            self.listen(now);
            return StallAction::Rest;
        }
        if expected != expectation
            && (expected == Expectation::Nothing || expectation == Expectation::Reply)
            && !self.has_unanswered_ping()
        {
            self.listen(now);
            if expectation == Expectation::Reply {
                self.silence = self.min_silence();
            }
        }
        match self.phase {
            StallPhase::Listening { since, previous } => self.end_listening(now, since, previous),
            StallPhase::PingSent { due, .. } | StallPhase::Racing { due } if now < due => {
                StallAction::Wait(due)
            }
            // Bytes that arrived meanwhile have not been read yet.
            StallPhase::PingSent { at, due } if now > due + MAX_DELAY => {
                let due = now + self.ping_timeout();
                self.phase = StallPhase::PingSent { at, due };
                StallAction::Wait(due)
            }
            StallPhase::PingSent { .. } | StallPhase::Racing { .. } => {
                let interval = self.ping_timeout().mul_f64(1.0 + self.jitter / 4.0);
                self.phase = StallPhase::Racing { due: now + interval };
                StallAction::Race
            }
        }
    }

    /// Returns true while a ping is unanswered.
    pub fn has_unanswered_ping(&self) -> bool {
        !matches!(self.phase, StallPhase::Listening { .. })
    }

    /// Returns the time that a ping may stay unanswered before the connection is raced, which is also the shortest interval
    /// between two dials.
    pub fn ping_timeout(&self) -> Duration {
        let ping_timeout = self.round_trip.map_or(INITIAL_PING_TIMEOUT, |round_trip| round_trip.timeout());
        ping_timeout.max(MIN_PING_TIMEOUT) * self.busy_factor
    }

    /// Records that the other end was alive but had nothing to send, or no time: next time it is given longer.
    pub fn record_busy(&mut self) {
        self.busy_factor = (self.busy_factor * 2).min(MAX_BUSY_FACTOR);
    }

    /// Records that the link begins, or continues over another connection.
    pub fn record_move(&mut self, now: Instant, received: ReceivedSoFar) {
        self.received = received;
        // If the last one received nothing either, the next is not dialled as soon.
        if self.bytes_at_move.replace(self.received.bytes) == Some(self.received.bytes) {
            self.record_busy();
        } else {
            self.busy_factor = 1;
        }
        self.silence = self.min_silence();
        self.listen(now);
    }

    fn listen(&mut self, now: Instant) {
        self.phase = StallPhase::Listening { since: now, previous: self.received };
    }

    /// Records that bytes have arrived while a ping was unanswered.
    fn record_arrival(&mut self, now: Instant, previous: ReceivedSoFar) {
        if let StallPhase::PingSent { at, .. } = self.phase
            && self.received.acks > previous.acks
        {
            // An answer that arrived while others were dialled measures the outage.
            let sample = now.saturating_duration_since(at);
            match &mut self.round_trip {
                Some(round_trip) => round_trip.add(sample),
                None => self.round_trip = Some(SmoothedRtt::first(sample)),
            }
            self.busy_factor = (self.busy_factor / 2).max(1);
            let answer = frame::length_of(FrameKind::Ack, 0) as u64;
            if self.received.bytes - previous.bytes == answer {
                self.silence = (self.silence * 2).min(self.max_silence());
            }
        }
        self.listen(now);
    }

    /// Ends a listening period, if it is over.
    fn end_listening(&mut self, now: Instant, since: Instant, previous: ReceivedSoFar) -> StallAction {
        let silence = match self.expectation {
            Expectation::Ack => MAX_SILENCE,
            _ => self.silence.min(self.max_silence()),
        };
        let deadline = since + silence;
        if now < deadline {
            return StallAction::Wait(deadline);
        }
        if self.received.bytes == previous.bytes {
            self.phase = StallPhase::PingSent { at: now, due: now + self.ping_timeout() };
            return StallAction::Ping;
        }
        // Reads that returned only acknowledgements are not news.
        let arrivals =
            (self.received.reads - previous.reads).saturating_sub(self.received.acks - previous.acks);
        if arrivals > 1 {
            let interval = now.saturating_duration_since(since) / u32::try_from(arrivals).unwrap_or(u32::MAX);
            self.silence = (interval * SILENCE_PERIODS).clamp(self.min_silence(), self.max_silence());
        }
        self.listen(now);
        StallAction::Wait(now + self.silence)
    }

    fn min_silence(&self) -> Duration {
        let round_trip = self.round_trip.map_or(Duration::ZERO, |round_trip| round_trip.smoothed);
        MIN_SILENCE.max(round_trip * 2).min(self.max_silence())
    }

    fn max_silence(&self) -> Duration {
        if self.expectation == Expectation::News { self.keep_alive } else { MAX_SILENCE }
    }
}

/// The round-trip time of a link, smoothed by RFC 6298 §2.
#[derive(Debug, Clone, Copy)]
struct SmoothedRtt {
    smoothed: Duration,
    deviation: Duration,
}

impl SmoothedRtt {
    fn first(sample: Duration) -> Self {
        Self { smoothed: sample, deviation: sample / 2 }
    }

    fn add(&mut self, sample: Duration) {
        self.deviation = self.deviation * 3 / 4 + self.smoothed.abs_diff(sample) / 4;
        self.smoothed = self.smoothed * 7 / 8 + sample / 8;
    }

    fn timeout(self) -> Duration {
        (self.smoothed * 4).max(self.smoothed + self.deviation * 4)
    }
}

/// The budget of dials of all links of a node together, in parallel to stalled connections.
#[derive(Debug)]
pub struct DialBudget {
    per_second: u32,
    /// The number of dials that may be made at once.
    tokens: f64,
    since: Instant,
}

impl DialBudget {
    /// Creates a budget of `per_second` dials, a quarter of them at once.
    pub fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, tokens: Self::max_burst(per_second), since: now }
    }

    /// Takes one dial, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let more = now.saturating_duration_since(self.since).as_secs_f64() * f64::from(self.per_second);
        self.tokens = (self.tokens + more).min(Self::max_burst(self.per_second));
        self.since = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    fn max_burst(per_second: u32) -> f64 {
        if per_second == 0 { 0.0 } else { (f64::from(per_second) / 4.0).max(1.0) }
    }
}

#[cfg(test)]
mod tests;
