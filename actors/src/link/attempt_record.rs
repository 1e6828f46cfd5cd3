//! The record of dialling endpoints: every address that was tried, and how each attempt ended.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meshzero_proto::diagnosis::{Attempt, AttemptOutcome};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The most addresses that are recorded; an endpoint has fewer.
const MAX_ADDRESSES: usize = 64;
/// The most endpoints that are recorded, and for how long: the lifetime of a service's mDNS records in caches.
pub(crate) const MAX_ENDPOINTS: usize = 256;
const RETENTION: Duration = Duration::from_secs(150);

/// The attempts of one dialling, at every address that it has tried. Cheap to clone; all clones share one record, so that open
/// attempts can be observed.
#[derive(Debug, Clone, Default)]
pub(crate) struct DialTrail(Arc<Mutex<Vec<DialAttempt>>>);

#[derive(Debug, Clone, Copy)]
struct DialAttempt {
    address: SocketAddr,
    started: Instant,
    /// The outcome if it ends now.
    open: AttemptOutcome,
    ended: Option<(AttemptOutcome, Instant)>,
}

impl DialTrail {
    /// Records an attempt that begins now.
    pub(crate) fn begin(&self, address: SocketAddr) {
        self.begin_at(address, Instant::now());
    }

    fn begin_at(&self, address: SocketAddr, now: Instant) {
        self.0.lock().push(DialAttempt { address, started: now, open: AttemptOutcome::Silent, ended: None });
    }

    /// Records that a connection was accepted.
    pub(crate) fn accept(&self, address: SocketAddr) {
        if let Some(attempt) = self.0.lock().iter_mut().rev().find(|attempt| attempt.address == address) {
            attempt.open = AttemptOutcome::Accepted;
        }
    }

    /// Records how an attempt ended.
    pub(crate) fn end(&self, address: SocketAddr, outcome: AttemptOutcome) {
        self.end_at(address, outcome, Instant::now());
    }

    fn end_at(&self, address: SocketAddr, outcome: AttemptOutcome, now: Instant) {
        let mut attempts = self.0.lock();
        let open = |attempt: &&mut DialAttempt| attempt.address == address && attempt.ended.is_none();
        if let Some(attempt) = attempts.iter_mut().find(open) {
            attempt.ended = Some((outcome, now));
        }
    }

    /// Returns all attempts; open ones end now.
    pub(crate) fn finish(&self) -> Vec<Attempt> {
        self.finish_at(Instant::now())
    }

    fn finish_at(&self, now: Instant) -> Vec<Attempt> {
        for attempt in self.0.lock().iter_mut().filter(|attempt| attempt.ended.is_none()) {
            attempt.ended = Some((attempt.open, now));
        }
        self.0.lock().iter().map(|attempt| attempt.state(now)).collect()
    }
}

impl DialAttempt {
    /// Returns the state of the attempt at `now`.
    fn state(&self, now: Instant) -> Attempt {
        let (outcome, ended) = self.ended.unwrap_or((self.open, now));
        Attempt { address: self.address, outcome, took: ended.duration_since(self.started) }
    }
}

/// The attempts to reach one endpoint since it last answered. Cheap to clone; all clones share one record.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttemptRecord(Arc<Mutex<RecordState>>);

#[derive(Debug, Default)]
struct RecordState {
    /// The last attempt at each address, of earlier dials.
    past: Vec<OpenAttempt>,
    present: DialTrail,
    since: Option<Instant>,
}

/// An attempt, and when it began.
#[derive(Debug, Clone, Copy)]
struct OpenAttempt {
    attempt: Attempt,
    /// The time since which the address has been silent, or at which the attempt began.
    started: Instant,
}

impl AttemptRecord {
    /// Begins to follow another dial of the endpoint, whose attempts are in `trail`.
    pub(crate) fn follow(&self, trail: DialTrail) {
        self.follow_at(trail, Instant::now());
    }

    fn follow_at(&self, trail: DialTrail, now: Instant) {
        let past = self.merged(now);
        *self.0.lock() = RecordState { past, present: trail, since: Some(now) };
    }

    /// Clears the record, because the endpoint has answered: earlier attempts no longer matter.
    pub(crate) fn clear(&self) {
        *self.0.lock() = RecordState::default();
    }

    /// Returns the last attempt at each address, in its current state. One that is being repeated counts with its earlier
    /// outcome; silence in all of them counts as one long silence.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.attempts_at(Instant::now())
    }

    fn attempts_at(&self, now: Instant) -> Vec<Attempt> {
        self.merged(now).into_iter().map(|merged| merged.attempt).collect()
    }

    /// Merges the attempts of the current dial with the earlier ones.
    fn merged(&self, now: Instant) -> Vec<OpenAttempt> {
        let state = self.0.lock();
        let mut all = state.past.clone();
        for attempt in state.present.0.lock().iter() {
            let mut newer = OpenAttempt { attempt: attempt.state(now), started: attempt.started };
            let Some(index) = all.iter().position(|earlier| earlier.attempt.address == attempt.address)
            else {
                if all.len() < MAX_ADDRESSES {
                    all.push(newer);
                }
                continue;
            };
            let earlier = &mut all[index];
            if earlier.is_silence() && earlier.attempt.outcome == newer.attempt.outcome {
                newer.attempt.took += attempt.started.duration_since(earlier.started);
                earlier.attempt = newer.attempt;
            } else if attempt.ended.is_some() {
                *earlier = newer;
            }
        }
        all
    }

    /// Returns whether the endpoint has been dialled lately, and has not answered since.
    fn is_unanswered(&self) -> bool {
        self.0.lock().since.is_some_and(|since| since.elapsed() <= RETENTION)
    }

    /// Returns whether the record is of no use: there is no dial of the endpoint, and no recent attempt.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && !self.is_unanswered()
    }
}

impl OpenAttempt {
    fn is_silence(&self) -> bool {
        matches!(self.attempt.outcome, AttemptOutcome::Silent | AttemptOutcome::Accepted)
    }
}

/// The records of several endpoints, each with associated data. At the limit, the oldest whose endpoint has answered is
/// evicted, and if there is none, the oldest.
#[derive(Debug)]
pub(crate) struct AttemptRecords<K, V> {
    records: BTreeMap<K, (V, AttemptRecord)>,
    order: VecDeque<K>,
}

impl<K, V> Default for AttemptRecords<K, V> {
    fn default() -> Self {
        Self { records: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<K: Ord + Copy, V: Clone> AttemptRecords<K, V> {
    /// Returns the record of an endpoint: the existing one, or a new one.
    pub(crate) fn record_for(&mut self, key: K, value: V) -> AttemptRecord {
        if let Some((_, record)) = self.records.get(&key) {
            return record.clone();
        }
        if self.order.len() >= MAX_ENDPOINTS {
            self.make_room();
        }
        let record = AttemptRecord::default();
        self.records.insert(key, (value, record.clone()));
        self.order.push_back(key);
        record
    }

    fn make_room(&mut self) {
        let is_idle = |key: &K| self.records.get(key).is_none_or(|(_, record)| record.is_idle());
        let index = self.order.iter().position(is_idle).unwrap_or(0);
        if let Some(key) = self.order.remove(index) {
            self.records.remove(&key);
        }
    }

    /// Forgets an endpoint that withdrew.
    pub(crate) fn forget(&mut self, key: K) {
        if self.records.remove(&key).is_some() {
            self.order.retain(|other| *other != key);
        }
    }

    /// Returns the endpoints that did not answer lately, each with its attempts.
    pub(crate) fn unanswered(&self) -> Vec<(K, V, Vec<Attempt>)> {
        let unanswered = self.records.iter().filter(|(_, (_, record))| record.is_unanswered());
        unanswered.map(|(key, (value, record))| (*key, value.clone(), record.attempts())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    #[test]
    fn a_repeated_attempt_counts_with_its_earlier_outcome() {
        let record = AttemptRecord::default();
        let outcomes =
            || -> Vec<AttemptOutcome> { record.attempts().iter().map(|attempt| attempt.outcome).collect() };
        let first = DialTrail::default();
        record.follow(first.clone());
        first.begin(address(1));
        assert_eq!(outcomes(), [AttemptOutcome::Silent]);
        first.accept(address(1));
        assert_eq!(outcomes(), [AttemptOutcome::Accepted]);
        first.end(address(1), AttemptOutcome::OtherProtocol);
        let second = DialTrail::default();
        record.follow(second.clone());
        second.begin(address(1));
        second.begin(address(2));
        assert_eq!(outcomes(), [AttemptOutcome::OtherProtocol, AttemptOutcome::Silent]);
        let outcomes_of_second: Vec<AttemptOutcome> =
            second.finish().iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(
            outcomes_of_second,
            [AttemptOutcome::Silent; 2],
            "an error lists the attempts of its own dial only"
        );
        assert_eq!(outcomes(), [AttemptOutcome::Silent; 2]);
        record.clear();
        assert_eq!(outcomes(), []);
    }

    #[test]
    fn a_silence_lasts_from_the_first_attempt_to_the_end_of_the_last() {
        let (record, started) = (AttemptRecord::default(), Instant::now());
        let at = |ms| started + Duration::from_millis(ms);
        let took = |ms| record.attempts_at(at(ms))[0].took;
        let ms = Duration::from_millis;
        for round in [0, 100, 200] {
            let trail = DialTrail::default();
            record.follow_at(trail.clone(), at(round));
            trail.begin_at(address(1), at(round));
            assert_eq!(took(round + 20), ms(round + 20), "it goes on");
            trail.finish_at(at(round + 50));
            assert_eq!(took(round + 90), ms(round + 50), "it has ended");
        }
        let other = DialTrail::default();
        record.follow_at(other.clone(), at(300));
        other.begin_at(address(1), at(300));
        other.end_at(address(1), AttemptOutcome::OtherProtocol, at(310));
        assert_eq!(took(400), ms(10), "it is another outcome");
    }

    #[test]
    fn a_flood_of_endpoints_and_addresses_is_bounded() {
        let mut records = AttemptRecords::default();
        for key in 0..1_000 {
            let (record, trail) = (records.record_for(key, ()), DialTrail::default());
            record.follow(trail.clone());
            for port in 1..200 {
                trail.begin(address(port));
            }
        }
        let unanswered = records.unanswered();
        assert_eq!(unanswered.len(), MAX_ENDPOINTS);
        assert!(
            unanswered
                .iter()
                .all(|(key, (), attempts)| *key >= 1_000 - MAX_ENDPOINTS && attempts.len() == MAX_ADDRESSES)
        );
        records.forget(999);
        assert_eq!(records.unanswered().len(), MAX_ENDPOINTS - 1);
    }

    #[test]
    fn records_of_endpoints_that_answered_are_evicted_first() {
        let mut records = AttemptRecords::default();
        let dead = records.record_for(0, ());
        dead.follow(DialTrail::default());
        drop(dead);
        // About to be dialled, one after the other.
        let records_in_use: Vec<(usize, AttemptRecord)> =
            (1..100).map(|key| (key, records.record_for(key, ()))).collect();
        for key in 100..2 * MAX_ENDPOINTS {
            let record = records.record_for(key, ());
            record.follow(DialTrail::default());
            record.clear();
        }
        for (_, record) in &records_in_use {
            record.follow(DialTrail::default());
        }
        let unanswered: Vec<usize> = records.unanswered().into_iter().map(|(key, ..)| key).collect();
        assert_eq!(unanswered, (0..100).collect::<Vec<_>>());
    }
}
