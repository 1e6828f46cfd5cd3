//! Dialling: from the addresses of an endpoint to a connection whose other end has proved its identity.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use meshzero_proto::diagnosis::AttemptOutcome;
use meshzero_proto::discovery::addresses::{OwnAddress, is_here, is_own};
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::wire::hello::Hello;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

pub(crate) use self::attempt::Attempt;
pub(crate) use self::error::DialError;
pub(crate) use self::handshake::Handshaken;
pub(crate) use self::handshake::{HandshakeReadError, handshake_as_client, read_handshake};
use crate::link::attempt_record::{AttemptRecord, DialTrail};
use crate::net::network::Network;
use crate::runtime::clock;

mod attempt;
mod error;
mod handshake;
mod unused_connection;

/// The delay before the next address is tried in parallel with those already under way (RFC 8305 §5 recommends 250 ms for
/// the internet; on a local network a connection takes less than a millisecond).
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(50);

/// The time that the other addresses have once one has refused. All belong to the same listener, and where multicast is
/// blocked the IPv6 ones often lead nowhere, which shows only after seconds.
const TIMEOUT_AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// The most addresses that are tried, including those that are added while dialling.
const MAX_ADDRESSES: usize = 64;

/// Updates of an instance; `None` when it is known to be gone.
pub(crate) type InstanceUpdates = watch::Receiver<Option<Instance>>;

/// Connects to the first of `addresses` that accepts and answers `hello`, within `timeout`.
///
/// The addresses are raced in their order, a new one every 50 ms or as soon as one fails, and the first good
/// handshake wins.
///
/// # Errors
/// The [`DialError`] of the last address that failed; a rejection or a foreign protocol is preferred over an address that
/// merely did not answer, because it is more informative.
///
/// # Cancel safety
/// This function is cancel safe. Dropping the future closes all attempts.
pub(crate) async fn dial(
    network: &Network,
    addresses: &[SocketAddr],
    hello: &Hello,
    timeout: Duration,
) -> Result<Handshaken, DialError> {
    dial_listed(network, addresses, None, hello, timeout, &AttemptRecord::default()).await
}

/// Like [`dial`], where `updates` reports addresses that become known meanwhile: these are tried as well. The attempts are
/// recorded in `record`, which others can read meanwhile.
pub(crate) async fn dial_listed(
    network: &Network,
    addresses: &[SocketAddr],
    updates: Option<InstanceUpdates>,
    hello: &Hello,
    timeout: Duration,
    record: &AttemptRecord,
) -> Result<Handshaken, DialError> {
    let trail = DialTrail::default();
    record.follow(trail.clone());
    let candidates = Candidates::new(addresses, updates);
    let handshaken = time::timeout(timeout, race(network, candidates, hello, &trail))
        .await
        .unwrap_or(Err(DialError::TimedOut { after: timeout, attempts: Vec::new() }));
    match handshaken {
        Ok(handshaken) => {
            record.clear();
            Ok(handshaken)
        }
        Err(error) => Err(error.with_attempts(trail.finish())),
    }
}

/// The addresses to try.
struct Candidates {
    untried: VecDeque<SocketAddr>,
    known: Vec<SocketAddr>,
    updates: Option<InstanceUpdates>,
}

impl Candidates {
    fn new(addresses: &[SocketAddr], updates: Option<InstanceUpdates>) -> Self {
        Self { untried: addresses.iter().copied().collect(), known: addresses.to_vec(), updates }
    }

    /// Waits until there are more addresses; forever if there will be none.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    async fn added(&mut self) {
        while let Some(updates) = &mut self.updates {
            if updates.changed().await.is_err() {
                self.updates = None;
                break;
            }
            let before = self.known.len();
            if let Some(instance) = &*updates.borrow_and_update() {
                for &address in &instance.addresses {
                    if self.known.len() < MAX_ADDRESSES && !self.known.contains(&address) {
                        self.known.push(address);
                        self.untried.push_back(address);
                    }
                }
            }
            if self.known.len() > before {
                return;
            }
        }
        std::future::pending().await
    }
}

async fn race(
    network: &Network,
    mut candidates: Candidates,
    hello: &Hello,
    trail: &DialTrail,
) -> Result<Handshaken, DialError> {
    let attempt = Attempt::new(network, hello);
    let mut attempts = JoinSet::new();
    let mut next_at = Instant::now();
    let mut best_error = (0, DialError::NoAddress);
    let mut own: Option<Vec<OwnAddress>> = None;
    let mut deadline = None;
    loop {
        // Without a timer: even one that is due takes a millisecond, which is more than the whole handshake.
        while next_at <= Instant::now()
            && let Some(address) = candidates.untried.pop_front()
        {
            trail.begin(address);
            let (attempt, accepted) = (attempt.clone(), trail.clone());
            attempts.spawn(async move {
                (address, attempt.handshake(address, || accepted.accept(address)).await)
            });
            next_at = Instant::now() + NEXT_ADDRESS_DELAY;
        }
        let is_exhausted = candidates.untried.is_empty();
        if is_exhausted && attempts.is_empty() {
            return Err(best_error.1);
        }
        tokio::select! {
            biased;
            Some(attempt) = attempts.join_next() => match attempt {
                Ok((_, Ok(handshaken))) => return Ok(handshaken),
                Ok((address, Err(error))) => {
                    trail.end(address, AttemptOutcome::from(&error));
                    next_at = Instant::now();
                    let own = own.get_or_insert_with(|| network.own_addresses());
                    // The answer of another program on this host, while the endpoint may be on another.
                    let is_misled = is_own(address.ip(), own) && !is_here(&candidates.known, own);
                    let weight = if is_misled { weight(&error).min(MISLED_WEIGHT) } else { weight(&error) };
                    if weight >= REFUSAL_WEIGHT {
                        deadline.get_or_insert(next_at + TIMEOUT_AFTER_REFUSAL);
                    }
                    if weight >= best_error.0 {
                        best_error = (weight, error);
                    }
                }
                Err(error) => tracing::error!(%error, "a connection attempt panicked or was cancelled"),
            },
            () = time::sleep_until(next_at), if !is_exhausted => {}
            () = candidates.added() => {}
            () = clock::sleep_until(deadline) => return Err(best_error.1),
        }
    }
}

/// The greatest weight of an error at an address that this host has as well.
const MISLED_WEIGHT: u8 = 1;

/// The weight of an error by which the other host's system answered.
const REFUSAL_WEIGHT: u8 = 3;

/// Returns the weight of an error: how much it says about the endpoint.
fn weight(error: &DialError) -> u8 {
    match error {
        DialError::Rejected { rejection, .. } if rejection.is_from_expected_instance() => 5,
        DialError::Rejected { .. } | DialError::NotMeshzero { .. } => 4,
        DialError::Unreachable { error, .. } if error.kind() == io::ErrorKind::ConnectionRefused => {
            REFUSAL_WEIGHT
        }
        DialError::Unreachable { .. } | DialError::TimedOut { .. } => 2,
        DialError::NoAddress => 0,
    }
}

#[cfg(test)]
pub(crate) mod tests;
