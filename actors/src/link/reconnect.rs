//! Reconnection: dials an endpoint again, to resume a link whose connection was lost.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use meshzero_proto::diagnosis::absence::{is_gone, is_refusal};
use meshzero_proto::diagnosis::{Attempt, AttemptOutcome};
use meshzero_proto::discovery::addresses::is_own;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::id::LinkId;
use meshzero_proto::wire::hello::{self, Hello, Purpose, Rejection, Resume, Welcome};
use tokio::sync::watch;
use tokio::time::{self, Instant};

pub(crate) use self::liveness_probe::LivenessProbe;
use crate::link::attempt_record::AttemptRecord;
use crate::link::config::LinkConfig;
use crate::link::dial::{self, DialError, Handshaken};
use crate::link::run::{ConnectionSource, NextConnection};
use crate::link::standby::{DialRacer, StandbyDials};
use crate::net::network::Network;
use crate::runtime::backoff::Backoff;
use crate::runtime::clock;

mod liveness_probe;

/// The backoff before the second attempt and later ones; the first is made at once.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// A link with less than this left of its time is given up.
const MIN_DELAY: Duration = Duration::from_millis(10);

/// The least time between two dials while there is no connection.
const DIAL_INTERVAL: Duration = Duration::from_millis(100);

/// The timeout of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeout of an attempt at the node's limit of dials for other links: the next attempt may be a standby connection.
const THROTTLED_TIMEOUT: Duration = Duration::from_secs(1);

/// The reconnection of the client's end of one link.
pub(crate) struct Reconnector {
    hello: Hello,
    link: Option<LinkId>,
    /// Discovery's updates of the instance, unless the user gave its address; they may report it gone by mistake.
    updates: Option<watch::Receiver<Option<Instance>>>,
    /// The addresses that are known.
    addresses: Vec<SocketAddr>,
    /// The remote address of the connection.
    address: SocketAddr,
    /// The local address of the connection.
    own: Option<IpAddr>,
    /// The number of the last attempt to resume the link.
    attempt: u64,
    /// A standby connection.
    standby: Option<Handshaken>,
    /// Set unless the endpoint is known not to permit standby connections.
    allows_standby: bool,
    window: Duration,
    keep_alive: Duration,
    network: Network,
    link_config: LinkConfig,
}

impl Reconnector {
    /// Creates a reconnector for the link that was opened with `hello` over `handshaken`.
    pub(crate) fn new(
        hello: &Hello,
        handshaken: &Handshaken,
        updates: Option<watch::Receiver<Option<Instance>>>,
        link_config: &LinkConfig,
    ) -> Self {
        let Welcome { instance, link, .. } = handshaken.welcome;
        let mut reconnector = Self {
            hello: Hello { instance: Some(instance), ..hello.clone() },
            link,
            updates,
            addresses: vec![handshaken.address],
            address: handshaken.address,
            own: handshaken.connection.get().local_ip(),
            attempt: 0,
            standby: None,
            allows_standby: link_config.limits.races_per_second > 0,
            window: link_config.limits.reconnect,
            keep_alive: link_config.limits.keep_alive,
            network: link_config.network.clone(),
            link_config: link_config.clone(),
        };
        reconnector.update();
        reconnector
    }

    /// Returns the remote address of the current connection.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a racer that dials beside the current connection; `None` if the endpoint permits no standby connection.
    pub(crate) fn dial_racer(&self) -> Option<DialRacer> {
        if !self.allows_standby {
            return None;
        }
        let hello =
            Hello { purpose: Purpose::Probe, resume: None, standby: Some(self.link?), ..self.hello.clone() };
        let (updates, known) = (self.updates.clone(), self.addresses.clone());
        let first = match known.first() {
            Some(first) if !known.contains(&self.address) => *first,
            _ => self.address,
        };
        Some(DialRacer::new(&hello, first, known, updates, &self.network))
    }

    /// Makes the link continue over this standby connection, if there is one.
    pub(crate) fn stand_by(&mut self, standby: Option<Handshaken>) {
        self.standby = standby;
    }

    /// Dials repeatedly, faster than the system would repeat its request on one connection, until there is a standby connection
    /// or dialling all addresses at once would be more informative. Returns the timeout for that; `None` if there is a standby
    /// connection.
    ///
    /// # Errors
    /// The last error, with the last attempt at each address, if there was no answer in time.
    async fn dial_standby(&mut self, timeout: Duration) -> Result<Option<Duration>, DialError> {
        let Some(mut dials) = self.dial_racer().map(StandbyDials::new) else { return Ok(Some(timeout)) };
        let deadline = Instant::now() + timeout;
        let (mut has_begun, mut next, mut last_error) = (false, Instant::now(), None);
        let mut made: Vec<Attempt> = Vec::new();
        loop {
            if next <= Instant::now() {
                next = Instant::now() + DIAL_INTERVAL.mul_f64(1.0 + fastrand::f64() / 4.0);
                if dials.may_begin() {
                    if self.link_config.may_dial_standby(clock::now()) {
                        dials.begin();
                        has_begun = true;
                    } else if !has_begun {
                        return Ok(Some(timeout.min(THROTTLED_TIMEOUT)));
                    }
                }
            }
            let result = tokio::select! {
                biased;
                result = dials.ended() => result,
                () = time::sleep_until(deadline) => {
                    let error = last_error.unwrap_or(DialError::TimedOut { after: timeout, attempts: Vec::new() });
                    return Err(error.with_attempts(made));
                }
                () = time::sleep_until(next) => continue,
            };
            match result {
                Ok(handshaken) if handshaken.welcome.standby.is_some() => {
                    self.standby = Some(handshaken);
                    return Ok(None);
                }
                Ok(_) => {
                    self.allows_standby = false;
                    return Ok(Some(timeout));
                }
                Err(error) => {
                    for attempt in error.attempts() {
                        made.retain(|earlier| earlier.address != attempt.address);
                        made.push(*attempt);
                    }
                    if self.is_final(&error, &made) {
                        tracing::debug!(%error, "there is no standby connection");
                        return Ok(Some(timeout));
                    }
                    last_error = Some(error);
                }
            }
        }
    }

    /// Returns whether a retry is useless after `error`, when `attempts` were the last at each address: the endpoint is gone,
    /// or does not know the link. It may still be reached at addresses that were not tried.
    fn is_final(&self, error: &DialError, attempts: &[Attempt]) -> bool {
        match error {
            DialError::Rejected { rejection, .. } if rejection.is_from_expected_instance() => {
                *rejection != Rejection::Full
            }
            _ if !attempts.iter().any(|attempt| is_refusal(&attempt.outcome)) => false,
            _ => {
                let untried =
                    |address: &&SocketAddr| attempts.iter().all(|attempt| attempt.address != **address);
                let untried = self.addresses.iter().filter(untried).map(|address| Attempt {
                    address: *address,
                    outcome: AttemptOutcome::Silent,
                    took: Duration::ZERO,
                });
                let all: Vec<Attempt> = attempts.iter().copied().chain(untried).collect();
                let own = self.network.own_addresses();
                is_gone(&all, Some(self.address), is_refusal, |ip| is_own(ip, &own))
            }
        }
    }

    /// Returns a test of the current connection.
    pub(crate) fn liveness_probe(&self) -> LivenessProbe {
        let hello = Hello { purpose: Purpose::Probe, resume: None, ..self.hello.clone() };
        LivenessProbe { own: self.own, address: self.address, hello, network: self.network.clone() }
    }

    /// Updates the addresses to those that discovery knows.
    fn update(&mut self) {
        if let Some(updates) = &mut self.updates
            && let Some(instance) = &*updates.borrow_and_update()
            && !instance.addresses.is_empty()
        {
            self.addresses.clone_from(&instance.addresses);
        }
    }

    /// Waits until discovery has an update; forever if there will be none.
    async fn updated(&mut self) {
        let is_updated = match &mut self.updates {
            Some(updates) => updates.changed().await.is_ok(),
            None => false,
        };
        if !is_updated {
            std::future::pending::<()>().await;
        }
    }
}

impl ConnectionSource for Reconnector {
    /// Waits until discovery no longer lists the address of the current connection.
    async fn watch(&mut self) {
        loop {
            self.updated().await;
            let was_known = self.addresses.contains(&self.address);
            self.update();
            if was_known && !self.addresses.contains(&self.address) {
                return;
            }
        }
    }

    async fn next(&mut self, received: u64) -> Result<NextConnection, String> {
        let Some(link) = self.link else { return Err("the link cannot be resumed".to_owned()) };
        let deadline = clock::later(Instant::now(), self.window);
        let remaining = || deadline.saturating_duration_since(Instant::now());
        let mut backoff = BACKOFF;
        loop {
            self.update();
            let standby = match self.standby {
                Some(_) => Ok(None),
                None => self.dial_standby(ATTEMPT_TIMEOUT.min(remaining())).await,
            };
            self.attempt += 1;
            let resume = Resume { link, received, attempt: self.attempt };
            let hello = Hello { resume: Some(resume), ..self.hello.clone() };
            let handshaken = match (standby, self.standby.take()) {
                (Err(error), _) => Err(error),
                (Ok(_), Some(Handshaken { connection, address, .. })) => {
                    let timeout = ATTEMPT_TIMEOUT.min(remaining());
                    let hello = hello::encode_hello(&hello);
                    let handshake = dial::handshake_as_client(connection, address, &hello, false);
                    let timed_out = |_| Err(DialError::TimedOut { after: timeout, attempts: Vec::new() });
                    time::timeout(timeout, handshake).await.unwrap_or_else(timed_out)
                }
                // Only all addresses together show whether the endpoint is gone.
                (Ok(timeout), None) => {
                    let timeout = timeout.unwrap_or(ATTEMPT_TIMEOUT).min(remaining());
                    let (network, addresses, updates) =
                        (&self.network, &self.addresses, self.updates.clone());
                    let record = AttemptRecord::default();
                    dial::dial_listed(network, addresses, updates, &hello, timeout, &record).await
                }
            };
            let error = match handshaken {
                Ok(handshaken) if handshaken.welcome.link == Some(link) => {
                    let Handshaken { connection, welcome, address, .. } = handshaken;
                    let connection = connection.into_used();
                    connection.keep_alive(self.keep_alive);
                    self.address = address;
                    self.own = connection.local_ip();
                    return Ok(NextConnection {
                        connection,
                        resume_from: welcome.received,
                        is_latest: false,
                    });
                }
                Ok(_) => return Err("the endpoint opened another link instead".to_owned()),
                Err(error) => error,
            };
            // The delay ends before the remaining time does.
            let delay = backoff.next_delay().min(remaining() / 2);
            if self.is_final(&error, error.attempts()) || delay < MIN_DELAY {
                return Err(error.to_string());
            }
            tokio::select! {
                biased;
                () = time::sleep(delay) => {}
                () = self.updated() => backoff.reset(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
