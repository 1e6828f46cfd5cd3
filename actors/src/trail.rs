//! The record of dialling endpoints: every address that was tried, and how each attempt ended.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meshzero_proto::diagnosis::{Attempt, Outcome};
use tokio::time::Instant;

/// The most addresses that are remembered; an endpoint has fewer.
const MAX_ADDRESSES: usize = 64;
/// How many endpoints are remembered, and for how long: as long as the records of a service may live in caches.
const MAX_ENDPOINTS: usize = 64;
const REMEMBER: Duration = Duration::from_secs(150);

/// Every address that one dialling has tried. Cheap to clone; all clones share one record, so that open attempts can be observed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Vec<Try>>>);

#[derive(Debug, Clone, Copy)]
struct Try {
    address: SocketAddr,
    begun: Instant,
    /// The outcome if nothing more happens.
    open: Outcome,
    ended: Option<(Outcome, Instant)>,
}

impl Trail {
    /// Records an attempt that begins now.
    pub(crate) fn begin(&self, address: SocketAddr) {
        let tried = Try { address, begun: Instant::now(), open: Outcome::Silent, ended: None };
        lock(&self.0).push(tried);
    }

    /// Records that a connection was accepted.
    pub(crate) fn accept(&self, address: SocketAddr) {
        if let Some(tried) = lock(&self.0).iter_mut().rev().find(|tried| tried.address == address) {
            tried.open = Outcome::Accepted;
        }
    }

    /// Records how an attempt ended.
    pub(crate) fn end(&self, address: SocketAddr, outcome: Outcome) {
        let mut tries = lock(&self.0);
        let open = |tried: &&mut Try| tried.address == address && tried.ended.is_none();
        if let Some(tried) = tries.iter_mut().find(open) {
            tried.ended = Some((outcome, Instant::now()));
        }
    }

    /// All attempts; those that are open end now.
    pub(crate) fn finish(&self) -> Vec<Attempt> {
        for tried in lock(&self.0).iter_mut().filter(|tried| tried.ended.is_none()) {
            tried.ended = Some((tried.open, Instant::now()));
        }
        lock(&self.0).iter().map(Try::attempt).collect()
    }
}

impl Try {
    fn attempt(&self) -> Attempt {
        let (outcome, ended) = self.ended.unwrap_or_else(|| (self.open, Instant::now()));
        Attempt { address: self.address, outcome, took: ended.duration_since(self.begun) }
    }
}

/// The attempts to reach one endpoint since it last answered. Cheap to clone; all clones share one record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    /// Of dialling that is over, the last attempt at each address.
    past: Vec<Entered>,
    present: Trail,
    since: Option<Instant>,
}

/// An attempt as others are told of it.
#[derive(Debug, Clone, Copy)]
struct Entered {
    attempt: Attempt,
    /// The time since which the address is silent, or when the attempt began.
    begun: Instant,
}

impl Record {
    /// The endpoint is dialled again, along `trail`.
    pub(crate) fn follow(&self, trail: Trail) {
        let past = self.entered();
        *lock(&self.0) = Recorded { past, present: trail, since: Some(Instant::now()) };
    }

    /// The endpoint has answered: what was tried before matters no more.
    pub(crate) fn clear(&self) {
        *lock(&self.0) = Recorded::default();
    }

    /// The last attempt at each address, as it is now. One that is being repeated counts as it ended the time before; where nothing
    /// has come back all the time, that is one silence.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.entered().into_iter().map(|entered| entered.attempt).collect()
    }

    fn entered(&self) -> Vec<Entered> {
        let recorded = lock(&self.0);
        let mut all = recorded.past.clone();
        for tried in lock(&recorded.present.0).iter() {
            let mut entered = Entered { attempt: tried.attempt(), begun: tried.begun };
            let Some(at) = all.iter().position(|known| known.attempt.address == tried.address) else {
                if all.len() < MAX_ADDRESSES {
                    all.push(entered);
                }
                continue;
            };
            let known = &mut all[at];
            if known.is_silence() && known.attempt.outcome == entered.attempt.outcome {
                entered.attempt.took += tried.begun.duration_since(known.begun);
                known.attempt = entered.attempt;
            } else if tried.ended.is_some() {
                *known = entered;
            }
        }
        all
    }

    fn since(&self) -> Option<Instant> {
        lock(&self.0).since
    }
}

impl Entered {
    fn is_silence(&self) -> bool {
        matches!(self.attempt.outcome, Outcome::Silent | Outcome::Accepted)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The records of several endpoints, with what belongs to each; the oldest makes room.
#[derive(Debug)]
pub(crate) struct Records<K, V> {
    records: BTreeMap<K, (V, Record)>,
    order: VecDeque<K>,
}

impl<K, V> Default for Records<K, V> {
    fn default() -> Self {
        Self { records: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<K: Ord + Copy, V: Clone> Records<K, V> {
    /// The record of an endpoint: the one that there is, or a new one.
    pub(crate) fn of(&mut self, key: K, value: V) -> Record {
        if let Some((_, record)) = self.records.get(&key) {
            return record.clone();
        }
        if self.order.len() >= MAX_ENDPOINTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.records.remove(&oldest);
        }
        let record = Record::default();
        self.records.insert(key, (value, record.clone()));
        self.order.push_back(key);
        record
    }

    /// Forgets an endpoint, which said goodbye.
    pub(crate) fn forget(&mut self, key: K) {
        if self.records.remove(&key).is_some() {
            self.order.retain(|other| *other != key);
        }
    }

    /// The endpoints that did not answer lately, each with what was tried.
    pub(crate) fn unanswered(&self) -> Vec<(K, V, Vec<Attempt>)> {
        let lately = |record: &Record| record.since().is_some_and(|since| since.elapsed() <= REMEMBER);
        let unanswered = self.records.iter().filter(|(_, (_, record))| lately(record));
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
    fn an_attempt_that_is_repeated_counts_as_it_ended_before() {
        let record = Record::default();
        let outcomes =
            || -> Vec<Outcome> { record.attempts().iter().map(|attempt| attempt.outcome).collect() };
        let first = Trail::default();
        record.follow(first.clone());
        first.begin(address(1));
        assert_eq!(outcomes(), [Outcome::Silent]);
        first.accept(address(1));
        assert_eq!(outcomes(), [Outcome::Accepted]);
        first.end(address(1), Outcome::OtherProtocol);
        let second = Trail::default();
        record.follow(second.clone());
        second.begin(address(1));
        second.begin(address(2));
        assert_eq!(outcomes(), [Outcome::OtherProtocol, Outcome::Silent]);
        let told: Vec<Outcome> = second.finish().iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(told, [Outcome::Silent; 2], "an error tells of its own dialling only");
        assert_eq!(outcomes(), [Outcome::Silent; 2]);
        record.clear();
        assert_eq!(outcomes(), []);
    }

    #[test]
    fn a_silence_lasts_from_the_first_attempt_to_the_end_of_the_last() {
        let record = Record::default();
        let took = || record.attempts()[0].took;
        let first = Instant::now();
        for _ in 0..3 {
            let trail = Trail::default();
            record.follow(trail.clone());
            trail.begin(address(1));
            let (last, before) = (first.elapsed(), took());
            while first.elapsed() < last + Duration::from_millis(2) {}
            assert!(took() > before, "it goes on");
            trail.finish();
            let ended = took();
            assert!(ended > last && ended <= first.elapsed() && took() == ended, "{ended:?} of {last:?}");
        }
        let other = Trail::default();
        record.follow(other.clone());
        other.begin(address(1));
        let begun = Instant::now();
        other.end(address(1), Outcome::OtherProtocol);
        assert!(took() < first.elapsed() - begun.elapsed(), "this one only");
    }

    #[test]
    fn a_flood_of_endpoints_and_addresses_is_bounded() {
        let mut records = Records::default();
        for key in 0..1_000 {
            let (record, trail) = (records.of(key, ()), Trail::default());
            record.follow(trail.clone());
            for port in 1..200 {
                trail.begin(address(port));
            }
        }
        let unanswered = records.unanswered();
        assert_eq!(unanswered.len(), MAX_ENDPOINTS);
        assert!(unanswered.iter().all(|(key, (), tried)| *key >= 900 && tried.len() == MAX_ADDRESSES));
        records.forget(999);
        assert_eq!(records.unanswered().len(), MAX_ENDPOINTS - 1);
    }
}
