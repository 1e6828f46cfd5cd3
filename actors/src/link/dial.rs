//! Dialling: from the addresses of an endpoint to a connection whose other end has proved its identity.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use meshzero_proto::diagnosis::AttemptOutcome;
use meshzero_proto::discovery::addresses::{OwnAddress, is_here, is_own};
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::wire::hello::{self, Hello};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

pub(crate) use self::error::DialError;
pub(crate) use self::handshake::Handshaken;
pub(crate) use self::handshake::{HandshakeReadError, handshake_as_client, read_handshake};
use crate::link::attempt_record::{AttemptRecord, DialTrail};
use crate::net::network::Network;
use crate::runtime::clock;

mod error;
mod handshake;

/// The pause before the next address is tried beside those already under way (RFC 8305 §5 recommends 250 ms for
/// the internet; on a local network a connection takes less than a millisecond).
const NEXT_ADDRESS: Duration = Duration::from_millis(50);

/// The time that the other addresses have once one has answered that the endpoint is not there. All lead to the same listener, and
/// where multicast is blocked the IPv6 ones often lead nowhere, which shows only after seconds.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// The most addresses that are tried, including those that are added while dialling.
const MOST_ADDRESSES: usize = 64;

/// Updates of an instance; `None` when it is known to be gone.
pub(crate) type InstanceUpdates = watch::Receiver<Option<Instance>>;

/// Connects to the first of `addresses` that accepts and answers `hello`, within `timeout`.
///
/// The addresses are raced in their order, a new one every 50 ms or as soon as one fails, and the first good
/// handshake wins.
///
/// [`DialError`] of the last address that failed; a rejection or a foreign protocol is preferred over an address that merely
/// did not answer, because it is more informative.
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

/// As [`dial`], where `listed` reports addresses that become known meanwhile: these are tried as well. The attempts are
/// recorded in `record`, which others can read meanwhile.
pub(crate) async fn dial_listed(
    network: &Network,
    addresses: &[SocketAddr],
    listed: Option<InstanceUpdates>,
    hello: &Hello,
    timeout: Duration,
    record: &AttemptRecord,
) -> Result<Handshaken, DialError> {
    let trail = DialTrail::default();
    record.follow(trail.clone());
    let candidates = Candidates::new(addresses, listed);
    let dialled = time::timeout(timeout, race(network, candidates, hello, &trail))
        .await
        .unwrap_or(Err(DialError::TimedOut { after: timeout, attempts: Vec::new() }));
    match dialled {
        Ok(dialled) => {
            record.clear();
            Ok(dialled)
        }
        Err(told) => Err(told.after(trail.finish())),
    }
}

/// The addresses to try.
struct Candidates {
    waiting: VecDeque<SocketAddr>,
    known: Vec<SocketAddr>,
    listed: Option<InstanceUpdates>,
}

impl Candidates {
    fn new(addresses: &[SocketAddr], listed: Option<InstanceUpdates>) -> Self {
        Self { waiting: addresses.iter().copied().collect(), known: addresses.to_vec(), listed }
    }

    /// Waits until there are more; forever if there will be none.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    async fn added(&mut self) {
        while let Some(listed) = &mut self.listed {
            if listed.changed().await.is_err() {
                self.listed = None;
                break;
            }
            let before = self.known.len();
            if let Some(instance) = &*listed.borrow_and_update() {
                for &address in &instance.addresses {
                    if self.known.len() < MOST_ADDRESSES && !self.known.contains(&address) {
                        self.known.push(address);
                        self.waiting.push_back(address);
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
    let hello = hello::encode_hello(hello);
    let mut attempts = JoinSet::new();
    let mut next_at = Instant::now();
    let mut told = (0, DialError::NoAddress);
    let mut own: Option<Vec<OwnAddress>> = None;
    let mut give_up = None;
    loop {
        // Without a timer: even one that is due takes a millisecond, which is more than the whole handshake.
        while next_at <= Instant::now()
            && let Some(address) = candidates.waiting.pop_front()
        {
            trail.begin(address);
            let attempt = handshake(network.clone(), address, hello.clone(), trail.clone());
            attempts.spawn(async move { (address, attempt.await) });
            next_at = Instant::now() + NEXT_ADDRESS;
        }
        let exhausted = candidates.waiting.is_empty();
        if exhausted && attempts.is_empty() {
            return Err(told.1);
        }
        tokio::select! {
            biased;
            Some(attempt) = attempts.join_next() => match attempt {
                Ok((_, Ok(dialled))) => return Ok(dialled),
                Ok((address, Err(error))) => {
                    trail.end(address, AttemptOutcome::from(&error));
                    next_at = Instant::now();
                    let own = own.get_or_insert_with(|| network.own_addresses());
                    // The answer of another program on this host, while the endpoint may be on another.
                    let is_misled = is_own(address.ip(), own) && !is_here(&candidates.known, own);
                    let weight = if is_misled { weight(&error).min(MISLED) } else { weight(&error) };
                    if weight >= REFUSAL {
                        give_up.get_or_insert(next_at + AFTER_REFUSAL);
                    }
                    if weight >= told.0 {
                        told = (weight, error);
                    }
                }
                Err(error) => tracing::error!(%error, "a connection attempt panicked or was cancelled"),
            },
            () = time::sleep_until(next_at), if !exhausted => {}
            () = candidates.added() => {}
            () = clock::sleep_until(give_up) => return Err(told.1),
        }
    }
}

/// The most weight that an error can have at an address that this host has as well.
const MISLED: u8 = 1;

/// The weight of an error that is an answer, if only of the other host's system.
const REFUSAL: u8 = 3;

/// Returns the weight of an error: how much it says about the endpoint.
fn weight(error: &DialError) -> u8 {
    match error {
        DialError::Rejected { rejection, .. } if rejection.is_its_own() => 5,
        DialError::Rejected { .. } | DialError::NotMeshzero { .. } => 4,
        DialError::Unreachable { error, .. } if error.kind() == io::ErrorKind::ConnectionRefused => REFUSAL,
        DialError::Unreachable { .. } | DialError::TimedOut { .. } => 2,
        DialError::NoAddress => 0,
    }
}

async fn handshake(
    network: Network,
    address: SocketAddr,
    hello: Vec<u8>,
    trail: DialTrail,
) -> Result<Handshaken, DialError> {
    let unreachable = |error| DialError::Unreachable { address, error, attempts: Vec::new() };
    let connection = network.connect(address).await.map_err(unreachable)?;
    trail.accept(address);
    handshake_as_client(connection, address, &hello).await
}

#[cfg(test)]
pub(crate) mod tests;
