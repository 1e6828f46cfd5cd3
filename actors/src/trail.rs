//! The record of one dialling: every address that was tried, and how each ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use meshzero_proto::diagnosis::{Attempt, Outcome};
use tokio::time::Instant;

/// Every address that was tried; at most one entry for each address it was given.
#[derive(Debug, Default)]
pub(crate) struct Trail(Vec<Try>);

#[derive(Debug)]
struct Try {
    address: SocketAddr,
    begun: Instant,
    accepted: Accepted,
    ended: Option<(Outcome, Instant)>,
}

/// Set by an attempt once its connection stands, because one that is dropped cannot report.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accepted(Arc<AtomicBool>);

impl Accepted {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Trail {
    /// Enters an address that is tried now; its number and what its attempt reports to are returned.
    pub(crate) fn begin(&mut self, address: SocketAddr) -> (usize, Accepted) {
        let accepted = Accepted::default();
        self.0.push(Try { address, begun: Instant::now(), accepted: accepted.clone(), ended: None });
        (self.0.len() - 1, accepted)
    }

    /// Enters how the attempt with this number ended.
    pub(crate) fn end(&mut self, number: usize, outcome: Outcome) {
        if let Some(tried) = self.0.get_mut(number) {
            tried.ended = Some((outcome, Instant::now()));
        }
    }

    /// All attempts; those that are open end now.
    pub(crate) fn finish(self) -> Vec<Attempt> {
        let now = Instant::now();
        let finished = |tried: Try| {
            let open =
                if tried.accepted.0.load(Ordering::Relaxed) { Outcome::Accepted } else { Outcome::Silent };
            let (outcome, ended) = tried.ended.unwrap_or((open, now));
            Attempt { address: tried.address, outcome, took: ended.duration_since(tried.begun) }
        };
        self.0.into_iter().map(finished).collect()
    }
}
