//! The record of dialling one endpoint: every address that was tried, and how each ended.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meshzero_proto::diagnosis::{Attempt, Outcome};
use tokio::time::Instant;

/// How many addresses are remembered; an endpoint has fewer.
const MAX_ADDRESSES: usize = 64;
/// How many endpoints are remembered, and for how long: as long as the records of a service may live in caches.
const MAX_ENDPOINTS: usize = 64;
const REMEMBER: Duration = Duration::from_secs(150);

/// Every address of one endpoint that was tried since it answered last. Cheap to clone; all clones share one record, so that
/// attempts that are still open can be looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail(Arc<Mutex<Vec<Try>>>);

#[derive(Debug)]
struct Try {
    address: SocketAddr,
    begun: Instant,
    /// How it is taken to end if nothing more happens.
    open: Outcome,
    /// How it has ended; while it is open again, how it ended the time before.
    ended: Option<(Outcome, Duration)>,
}

impl Trail {
    /// Enters an address that is tried now.
    pub(crate) fn begin(&self, address: SocketAddr) {
        let mut tries = self.tries();
        let (begun, open) = (Instant::now(), Outcome::Silent);
        match tries.iter().position(|tried| tried.address == address) {
            Some(at) => (tries[at].begun, tries[at].open) = (begun, open),
            None if tries.len() < MAX_ADDRESSES => tries.push(Try { address, begun, open, ended: None }),
            None => {}
        }
    }

    /// Enters that a connection stands.
    pub(crate) fn accept(&self, address: SocketAddr) {
        if let Some(tried) = self.tries().iter_mut().find(|tried| tried.address == address) {
            tried.open = Outcome::Accepted;
        }
    }

    /// Enters how an attempt ended.
    pub(crate) fn end(&self, address: SocketAddr, outcome: Outcome) {
        if let Some(tried) = self.tries().iter_mut().find(|tried| tried.address == address) {
            tried.ended = Some((outcome, tried.begun.elapsed()));
        }
    }

    /// Dialling is over: what is open ends now.
    pub(crate) fn give_up(&self) {
        for tried in self.tries().iter_mut().filter(|tried| tried.ended.is_none()) {
            tried.ended = Some((tried.open, tried.begun.elapsed()));
        }
    }

    /// The endpoint has answered: what was tried before matters no more.
    pub(crate) fn clear(&self) {
        self.tries().clear();
    }

    /// All attempts, as they are now. One that is repeated counts as it ended the time before.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        let tries = self.tries();
        let attempts = tries.iter().map(|tried| {
            let (outcome, took) = tried.ended.unwrap_or_else(|| (tried.open, tried.begun.elapsed()));
            Attempt { address: tried.address, outcome, took }
        });
        attempts.collect()
    }

    fn last_begun(&self) -> Option<Instant> {
        self.tries().iter().map(|tried| tried.begun).max()
    }

    fn tries(&self) -> MutexGuard<'_, Vec<Try>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trails of several endpoints, with what belongs to each; the oldest makes room.
#[derive(Debug)]
pub(crate) struct Trails<K, V> {
    trails: BTreeMap<K, (V, Trail)>,
    order: VecDeque<K>,
}

impl<K, V> Default for Trails<K, V> {
    fn default() -> Self {
        Self { trails: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<K: Ord + Copy, V: Clone> Trails<K, V> {
    /// The trail to dial an endpoint along: the one that it has, or a new one.
    pub(crate) fn of(&mut self, key: K, value: V) -> Trail {
        if let Some((_, trail)) = self.trails.get(&key) {
            return trail.clone();
        }
        if self.order.len() >= MAX_ENDPOINTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.trails.remove(&oldest);
        }
        let trail = Trail::default();
        self.trails.insert(key, (value, trail.clone()));
        self.order.push_back(key);
        trail
    }

    /// Forgets an endpoint, which said goodbye.
    pub(crate) fn forget(&mut self, key: K) {
        if self.trails.remove(&key).is_some() {
            self.order.retain(|other| *other != key);
        }
    }

    /// The endpoints that did not answer lately, each with what was tried.
    pub(crate) fn unanswered(&self) -> Vec<(K, V, Vec<Attempt>)> {
        let lately = |trail: &Trail| trail.last_begun().is_some_and(|begun| begun.elapsed() <= REMEMBER);
        let unanswered = self.trails.iter().filter(|(_, (_, trail))| lately(trail));
        unanswered.map(|(key, (value, trail))| (*key, value.clone(), trail.attempts())).collect()
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
        let trail = Trail::default();
        let outcomes =
            || -> Vec<Outcome> { trail.attempts().iter().map(|attempt| attempt.outcome).collect() };
        trail.begin(address(1));
        assert_eq!(outcomes(), [Outcome::Silent]);
        trail.accept(address(1));
        assert_eq!(outcomes(), [Outcome::Accepted]);
        trail.end(address(1), Outcome::OtherProtocol);
        trail.begin(address(1));
        assert_eq!(outcomes(), [Outcome::OtherProtocol]);
        trail.clear();
        assert_eq!(outcomes(), []);
    }

    #[test]
    fn a_flood_of_endpoints_and_addresses_is_bounded() {
        let mut trails = Trails::default();
        for key in 0..1_000 {
            let trail = trails.of(key, ());
            for port in 1..200 {
                trail.begin(address(port));
            }
        }
        let unanswered = trails.unanswered();
        assert_eq!(unanswered.len(), MAX_ENDPOINTS);
        assert!(unanswered.iter().all(|(key, (), tried)| *key >= 900 && tried.len() == MAX_ADDRESSES));
        trails.forget(999);
        assert_eq!(trails.unanswered().len(), MAX_ENDPOINTS - 1);
    }
}
