//! Reconnection: dialling an endpoint again, to resume a link whose connection was lost.

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

/// The pauses before the second attempt and later ones; the first is made at once.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// A link with less than this left of its time is given up.
const MIN_PAUSE: Duration = Duration::from_millis(10);

/// The shortest pause between two dials while there is no connection.
const DIAL_INTERVAL: Duration = Duration::from_millis(100);

/// The timeout of one attempt.
const PATIENCE: Duration = Duration::from_secs(3);

/// The timeout of an attempt at the node's limit of dials for other links: the next attempt may be a standby connection.
const THROTTLED_TIMEOUT: Duration = Duration::from_secs(1);

/// The reconnection of the client's end of one link.
pub(crate) struct Reconnector {
    hello: Hello,
    link: Option<LinkId>,
    /// Discovery's updates of the instance, unless its address was given; they may report it gone by mistake.
    listed: Option<watch::Receiver<Option<Instance>>>,
    /// The addresses that were known last.
    addresses: Vec<SocketAddr>,
    /// The address that the connection leads to.
    address: SocketAddr,
    /// The address of this host that the connection comes from.
    own: Option<IpAddr>,
    /// The number of the last attempt to resume the link.
    attempt: u64,
    /// A standby connection.
    standby: Option<Handshaken>,
    /// Set if the endpoint permits standby connections, as far as is known.
    stands_by: bool,
    window: Duration,
    keep_alive: Duration,
    network: Network,
    link_config: LinkConfig,
}

impl Reconnector {
    /// Creates a reconnector for the link that was opened with `hello` over `dialled`.
    pub(crate) fn new(
        hello: &Hello,
        dialled: &Handshaken,
        listed: Option<watch::Receiver<Option<Instance>>>,
        link_config: &LinkConfig,
    ) -> Self {
        let Welcome { instance, link, .. } = dialled.welcome;
        let mut reconnector = Self {
            hello: Hello { instance: Some(instance), ..hello.clone() },
            link,
            listed,
            addresses: vec![dialled.address],
            address: dialled.address,
            own: dialled.connection.local_ip(),
            attempt: 0,
            standby: None,
            stands_by: link_config.limits.races_per_second > 0,
            window: link_config.limits.reconnect,
            keep_alive: link_config.limits.keep_alive,
            network: link_config.network.clone(),
            link_config: link_config.clone(),
        };
        reconnector.update();
        reconnector
    }

    /// Returns the address that the current connection leads to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a racer that dials beside the current connection; `None` if the endpoint permits no standby connection.
    pub(crate) fn racer(&self) -> Option<DialRacer> {
        if !self.stands_by {
            return None;
        }
        let hello =
            Hello { purpose: Purpose::Probe, resume: None, standby: Some(self.link?), ..self.hello.clone() };
        let (listed, known) = (self.listed.clone(), self.addresses.clone());
        let first = match known.first() {
            Some(first) if !known.contains(&self.address) => *first,
            _ => self.address,
        };
        Some(DialRacer::new(&hello, first, known, listed, self.network.clone()))
    }

    /// Makes the link continue over this standby connection, if there is one.
    pub(crate) fn stand_by(&mut self, standby: Option<Handshaken>) {
        self.standby = standby;
    }

    /// Dials repeatedly, faster than the system would repeat its request on one connection, until a connection stands by or
    /// dialling all addresses at once would be more informative. Returns the time that this may take; `None` if a connection
    /// stands by.
    ///
    /// # Errors
    /// The last error, with the last attempt at each address, when there was no answer in time.
    async fn dial_standby(&mut self, patience: Duration) -> Result<Option<Duration>, DialError> {
        let Some(mut dials) = self.racer().map(StandbyDials::new) else { return Ok(Some(patience)) };
        let until = Instant::now() + patience;
        let (mut has_begun, mut next, mut told) = (false, Instant::now(), None);
        let mut tried: Vec<Attempt> = Vec::new();
        loop {
            if next <= Instant::now() {
                next = Instant::now() + DIAL_INTERVAL.mul_f64(1.0 + fastrand::f64() / 4.0);
                if dials.may_begin() {
                    if self.link_config.may_dial_standby(clock::now()) {
                        dials.begin();
                        has_begun = true;
                    } else if !has_begun {
                        return Ok(Some(patience.min(THROTTLED_TIMEOUT)));
                    }
                }
            }
            let ended = tokio::select! {
                biased;
                ended = dials.ended() => ended,
                () = time::sleep_until(until) => {
                    let told = told.unwrap_or(DialError::TimedOut { after: patience, attempts: Vec::new() });
                    return Err(told.after(tried));
                }
                () = time::sleep_until(next) => continue,
            };
            match ended {
                Ok(dialled) if dialled.welcome.standby.is_some() => {
                    self.standby = Some(dialled);
                    return Ok(None);
                }
                Ok(_) => {
                    self.stands_by = false;
                    return Ok(Some(patience));
                }
                Err(error) => {
                    for attempt in error.attempts() {
                        tried.retain(|earlier| earlier.address != attempt.address);
                        tried.push(*attempt);
                    }
                    if self.is_final(&error, &tried) {
                        tracing::debug!(%error, "no connection stands by");
                        return Ok(Some(patience));
                    }
                    told = Some(error);
                }
            }
        }
    }

    /// Returns whether another try is useless after `error`, when `attempts` were the last at each address: the endpoint has
    /// gone, or does not know the link. Addresses that were not tried may still lead there.
    fn is_final(&self, error: &DialError, attempts: &[Attempt]) -> bool {
        match error {
            DialError::Rejected { rejection, .. } if rejection.is_its_own() => *rejection != Rejection::Full,
            _ if !attempts.iter().any(|attempt| is_refusal(&attempt.outcome)) => false,
            _ => {
                let untried = |address: &&SocketAddr| attempts.iter().all(|tried| tried.address != **address);
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
        if let Some(listed) = &mut self.listed
            && let Some(instance) = &*listed.borrow_and_update()
            && !instance.addresses.is_empty()
        {
            self.addresses.clone_from(&instance.addresses);
        }
    }

    /// Waits until discovery has an update; forever if there will be none.
    async fn updated(&mut self) {
        let told = match &mut self.listed {
            Some(listed) => listed.changed().await.is_ok(),
            None => false,
        };
        if !told {
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
        let until = clock::later(Instant::now(), self.window);
        let left = || until.saturating_duration_since(Instant::now());
        let mut pauses = PAUSES;
        loop {
            self.update();
            let standby = match self.standby {
                Some(_) => Ok(None),
                None => self.dial_standby(PATIENCE.min(left())).await,
            };
            self.attempt += 1;
            let resume = Resume { link, received, attempt: self.attempt };
            let hello = Hello { resume: Some(resume), ..self.hello.clone() };
            let dialled = match (standby, self.standby.take()) {
                (Err(nobody), _) => Err(nobody),
                (Ok(_), Some(Handshaken { connection, address, .. })) => {
                    let patience = PATIENCE.min(left());
                    let hello = hello::encode_hello(&hello);
                    let greeting = dial::handshake_as_client(connection, address, &hello);
                    let timed_out = |_| Err(DialError::TimedOut { after: patience, attempts: Vec::new() });
                    time::timeout(patience, greeting).await.unwrap_or_else(timed_out)
                }
                // Only all addresses together show whether the endpoint is gone.
                (Ok(patience), None) => {
                    let patience = patience.unwrap_or(PATIENCE).min(left());
                    let (network, addresses, listed) = (&self.network, &self.addresses, self.listed.clone());
                    let record = AttemptRecord::default();
                    dial::dial_listed(network, addresses, listed, &hello, patience, &record).await
                }
            };
            let error = match dialled {
                Ok(dialled) if dialled.welcome.link == Some(link) => {
                    let Handshaken { connection, welcome, address, .. } = dialled;
                    connection.keep_alive(self.keep_alive);
                    self.address = address;
                    self.own = connection.local_ip();
                    return Ok(NextConnection { connection, from: welcome.received, is_latest: false });
                }
                Ok(_) => return Err("the endpoint opened another link instead".to_owned()),
                Err(error) => error,
            };
            // Pauses end before the remaining time does.
            let pause = pauses.next_delay().min(left() / 2);
            if self.is_final(&error, error.attempts()) || pause < MIN_PAUSE {
                return Err(error.to_string());
            }
            tokio::select! {
                biased;
                () = time::sleep(pause) => {}
                () = self.updated() => pauses.reset(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
