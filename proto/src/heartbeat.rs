//! Keep-alive: when to ask a silent peer for a sign of life, and when to take it for dead.

use std::time::{Duration, Instant};

/// Silence, in units of the keep-alive time, after which a peer is dead.
const PATIENCE: u32 = 4;

/// What to do about a peer's silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Nothing yet.
    Wait,
    /// Send a ping.
    Ping,
    /// Take the peer for dead.
    Dead,
}

/// Watches the silence of one connection.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    idle: Duration,
    heard: Instant,
    pings: u32,
}

impl Heartbeat {
    /// Starts with a peer that has just been heard. `idle` is the silence after which it is asked.
    pub fn new(idle: Duration, now: Instant) -> Self {
        Self { idle, heard: now, pings: 0 }
    }

    /// Any byte arrived.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pings = 0;
    }

    /// When [`Heartbeat::handle_timeout`] should be called next.
    pub fn poll_timeout(&self) -> Instant {
        self.heard + self.idle * (self.pings + 1)
    }

    /// Decides what the silence up to `now` means. A ping is asked for once in every idle time.
    pub fn handle_timeout(&mut self, now: Instant) -> Beat {
        if now < self.poll_timeout() {
            return Beat::Wait;
        }
        self.pings += 1;
        if self.pings >= PATIENCE { Beat::Dead } else { Beat::Ping }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_asked_three_times_and_then_dead() {
        let start = Instant::now();
        let idle = Duration::from_millis(2_500);
        let mut beat = Heartbeat::new(idle, start);
        assert_eq!(beat.handle_timeout(start + idle / 2), Beat::Wait);
        for tick in 1..PATIENCE {
            assert_eq!(beat.handle_timeout(start + idle * tick), Beat::Ping);
        }
        assert_eq!(beat.handle_timeout(start + idle * PATIENCE), Beat::Dead);
    }

    #[test]
    fn a_sign_of_life_starts_over() {
        let start = Instant::now();
        let idle = Duration::from_secs(1);
        let mut beat = Heartbeat::new(idle, start);
        assert_eq!(beat.handle_timeout(start + idle), Beat::Ping);
        beat.heard(start + idle);
        assert_eq!(beat.poll_timeout(), start + idle * 2);
        assert_eq!(beat.handle_timeout(start + idle * 2), Beat::Ping);
    }
}
