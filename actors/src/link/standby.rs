//! Dials in parallel to a connection that has stalled. The first connection that completes the handshake stands by for the
//! link.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use meshzero_proto::diagnosis::{Attempt, AttemptOutcome};
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::wire::hello::Hello;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use crate::link::dial::{self, DialError, Handshaken};
use crate::net::network::Network;
use crate::runtime::backoff::Backoff;
use crate::runtime::clock;

/// The most dials under way for one link. An older one has had the time of several round trips.
const MAX_DIALS: usize = 3;

/// One of this number of dials is to another address than that of the connection, if there are any.
const DIALS_PER_OTHER_ADDRESS: usize = 4;

/// The backoff while an endpoint accepts connections and does not answer: its process is busy or stopped.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));

/// The addresses that one link dials in parallel to its connection.
pub(crate) struct DialRacer {
    attempt: dial::Attempt,
    /// The remote address of the connection.
    address: SocketAddr,
    /// The addresses that were known when it was created.
    known: Vec<SocketAddr>,
    /// The updates of the instance from discovery.
    updates: Option<watch::Receiver<Option<Instance>>>,
    /// The number of the next dial.
    next: usize,
}

impl DialRacer {
    /// Creates a racer that sends `hello`, while there is a connection to `address`.
    pub(crate) fn new(
        hello: &Hello,
        address: SocketAddr,
        known: Vec<SocketAddr>,
        updates: Option<watch::Receiver<Option<Instance>>>,
        network: &Network,
    ) -> Self {
        Self { attempt: dial::Attempt::new(network, hello), address, known, updates, next: 0 }
    }

    /// Returns the next address to dial.
    fn address(&mut self) -> SocketAddr {
        let number = self.next;
        self.next += 1;
        if number % DIALS_PER_OTHER_ADDRESS != DIALS_PER_OTHER_ADDRESS - 1 {
            return self.address;
        }
        let current = self.updates.as_ref().and_then(|updates| {
            let addresses = updates.borrow().as_ref()?.addresses.clone();
            (!addresses.is_empty()).then_some(addresses)
        });
        let mut others = current.unwrap_or_else(|| self.known.clone());
        others.retain(|address| *address != self.address);
        if others.is_empty() { self.address } else { others[number / DIALS_PER_OTHER_ADDRESS % others.len()] }
    }
}

/// The dials of one link that are under way. Dropping it cancels them.
pub(crate) struct StandbyDials {
    racer: DialRacer,
    dials: JoinSet<Result<Handshaken, DialError>>,
    /// The handles of the most recent dials, oldest first.
    handles: VecDeque<AbortHandle>,
    /// The number of dials that are connected and wait for the endpoint's answer.
    connected: Arc<AtomicUsize>,
    backoff: Backoff,
    not_before: Option<Instant>,
}

impl StandbyDials {
    pub(crate) fn new(racer: DialRacer) -> Self {
        Self {
            racer,
            dials: JoinSet::new(),
            handles: VecDeque::new(),
            connected: Arc::default(),
            backoff: BACKOFF,
            not_before: None,
        }
    }

    /// Returns whether another dial may begin: an endpoint that has yet to answer on one connection is given time.
    pub(crate) fn may_begin(&mut self) -> bool {
        if self.connected() == 0 {
            self.not_before = None;
            self.backoff.reset();
            return true;
        }
        let now = clock::now();
        let not_before = *self.not_before.get_or_insert_with(|| now + self.backoff.next_delay());
        if now < not_before {
            return false;
        }
        self.not_before = Some(now + self.backoff.next_delay());
        true
    }

    /// Dials once more. At the limit, this replaces the oldest dial.
    pub(crate) fn begin(&mut self) {
        if self.handles.len() == MAX_DIALS
            && let Some(oldest) = self.handles.pop_front()
        {
            oldest.abort();
        }
        let address = self.racer.address();
        let dial = dial(self.racer.attempt.clone(), address, Arc::clone(&self.connected));
        self.handles.push_back(self.dials.spawn(dial));
    }

    /// Returns the number of dials that are connected and wait for the endpoint's answer.
    pub(crate) fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// Cancels all dials.
    pub(crate) fn cancel_all(&mut self) {
        if !self.dials.is_empty() {
            self.dials = JoinSet::new();
            self.handles.clear();
        }
    }

    /// Waits until a dial has ended, and returns its result; forever if there are none.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn ended(&mut self) -> Result<Handshaken, DialError> {
        loop {
            match self.dials.join_next().await {
                Some(Ok(result)) => return result,
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => tracing::error!(%error, "a dial panicked"),
                None => std::future::pending().await,
            }
        }
    }
}

/// Counts one connected dial until it is dropped.
struct ConnectedCount(Arc<AtomicUsize>);

impl ConnectedCount {
    fn new(connected: &Arc<AtomicUsize>) -> Self {
        connected.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connected))
    }
}

impl Drop for ConnectedCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn dial(
    attempt: dial::Attempt,
    address: SocketAddr,
    connected: Arc<AtomicUsize>,
) -> Result<Handshaken, DialError> {
    let started = clock::now();
    let mut count = None;
    let handshake = attempt.handshake(address, || {
        count.get_or_insert_with(|| ConnectedCount::new(&connected));
    });
    handshake.await.map_err(|error| {
        let outcome = AttemptOutcome::from(&error);
        error.with_attempts(vec![Attempt { address, outcome, took: clock::now() - started }])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_dials_are_to_the_address_of_the_connection_and_some_to_others() {
        let [first, second, third] = [1, 2, 3].map(|last| SocketAddr::from(([10, 0, 0, last], 9)));
        let sequence = |known: Vec<SocketAddr>| {
            let mut racer = DialRacer::new(&dial::tests::hello(), first, known, None, &Network::default());
            (0..8).map(|_| racer.address()).collect::<Vec<_>>()
        };
        assert_eq!(sequence(vec![first]), [first; 8]);
        let expected = [first, first, first, second, first, first, first, third];
        assert_eq!(sequence(vec![second, first, third]), expected);
    }
}
