//! The thread that owns the mDNS daemon: it applies the desired state, and replaces a daemon that died.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use mdns_sd::Error;
use meshzero_proto::discovery::advert::Advert;
use meshzero_proto::id::InstanceId;
use tokio::sync::oneshot;

use super::MdnsShared;
use super::daemon::Daemon;
use super::port::{self, PortConflict};
use super::records::record;
use crate::runtime::backoff::{Backoff, Jitter};

/// The delays before a daemon that died is replaced.
const REVIVE: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(5)).with_jitter(Jitter::None);
/// The time after which a daemon counts as working.
const WORKING_AFTER: Duration = Duration::from_secs(5);
/// The interval at which a daemon's health and its number of records are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// The time after which a service is announced again, at random between these: the daemon announces it twice, a second apart,
/// which is too soon to outlast a disturbance of a wireless network. RFC 6762 §8.3 permits up to eight announcements.
const REPEAT_MIN: Duration = Duration::from_secs(5);
const REPEAT_MAX: Duration = Duration::from_secs(9);
/// The log message while nothing is announced.
const NOT_ANNOUNCED: &str = "services are not announced by multicast DNS; retrying";

/// The state of the thread.
pub(super) struct Announcer {
    shared: Arc<MdnsShared>,
    /// The services that the current daemon announces.
    registered: BTreeMap<InstanceId, Advert>,
    /// The services that are to be announced again, each with the time.
    again: VecDeque<(Instant, InstanceId)>,
    /// The time of the next check of the daemon.
    look_at: Instant,
    /// Set if another program has the port for itself in IPv6.
    held: Option<PortConflict>,
    /// The last problem that was logged about services that are not announced.
    logged: Option<LoggedProblem>,
}

/// A problem that was logged.
struct LoggedProblem {
    problem: String,
    /// Set if the problem has passed as soon as a daemon has started.
    ends_at_start: bool,
}

/// The next action of the announcer.
enum Command {
    Announce(Box<Advert>),
    Withdraw(InstanceId),
    /// Announce a service again that was announced a while ago.
    Repeat(InstanceId),
    /// Check the daemon's health.
    LookAfter,
    Close(Option<oneshot::Sender<()>>),
}

/// The reasons for which a daemon has to be replaced.
#[derive(Debug, thiserror::Error)]
enum DaemonFailure {
    #[error("{0}")]
    Daemon(#[from] Error),
    #[error("{0}")]
    Port(PortConflict),
    #[error("UDP port 5353 is free again")]
    PortFree,
    #[error("it stores too many records")]
    Overfull,
    #[error("its thread panicked")]
    Panicked,
}

impl Announcer {
    pub(super) fn new(shared: Arc<MdnsShared>) -> Self {
        Self {
            shared,
            registered: BTreeMap::new(),
            again: VecDeque::new(),
            look_at: Instant::now(),
            held: None,
            logged: None,
        }
    }

    /// Runs until the node leaves.
    pub(super) fn run(mut self) {
        let mut pauses = REVIVE;
        loop {
            let started = Instant::now();
            let lived =
                catch_unwind(AssertUnwindSafe(|| self.live())).unwrap_or(Err(DaemonFailure::Panicked));
            let loss = match lived {
                Ok(closed) => {
                    // There is no waiter if the node was dropped rather than closed.
                    if let Some(closed) = closed {
                        closed.send(()).ok();
                    }
                    return;
                }
                Err(loss) => loss,
            };
            self.shared.replaced.fetch_add(1, Ordering::Relaxed);
            // A program that fills its memory must not thereby silence this node.
            if started.elapsed() > WORKING_AFTER
                || matches!(loss, DaemonFailure::Overfull | DaemonFailure::PortFree)
            {
                pauses.reset();
            }
            match &loss {
                DaemonFailure::PortFree => {}
                DaemonFailure::Port(held) => self.log_problem(NOT_ANNOUNCED, held, true),
                loss => self.log_problem(NOT_ANNOUNCED, loss, false),
            }
            if self.pause(pauses.next_delay()) {
                // There is no daemon to send goodbyes.
                drop(self.shared.desired().closed.take());
                return;
            }
            self.announce_everything_again();
        }
    }

    /// Runs one daemon. Returns when the node leaves, with the sender to notify.
    fn live(&mut self) -> Result<Option<oneshot::Sender<()>>, DaemonFailure> {
        // The daemon would continue without the port, and report nothing.
        self.held = port::held_in_ipv6().map_err(DaemonFailure::Port)?;
        let daemon = Daemon::start(&self.shared)?;
        if let Some(held) = self.held.take() {
            self.log_problem("services are announced by multicast DNS in IPv4 only; retrying", &held, true);
            self.held = Some(held);
        } else if self.logged.as_ref().is_some_and(|told| told.ends_at_start) {
            self.log_recovery();
        }
        let started = Instant::now();
        self.look_at = started + CHECK_INTERVAL;
        let served = self.serve(&daemon, started);
        if served.is_err() {
            // Its goodbyes are revoked by the announcements of the next one: a record lives on for a second after them.
            if let Err(error) = daemon.shut_down() {
                tracing::debug!(%error, "the old daemon had already ended");
            }
        }
        served
    }

    /// Applies changes of the desired state until the node leaves.
    fn serve(
        &mut self,
        daemon: &Daemon,
        started: Instant,
    ) -> Result<Option<oneshot::Sender<()>>, DaemonFailure> {
        loop {
            match self.next_work() {
                Command::Announce(advert) => self.announce(daemon, *advert)?,
                Command::Withdraw(instance) => self.withdraw(daemon, instance)?,
                Command::Repeat(instance) => {
                    if let Some(advert) = self.registered.get(&instance) {
                        daemon.register(&record(advert)?)?;
                    }
                }
                Command::LookAfter => {
                    if daemon.is_overfull()? {
                        return Err(DaemonFailure::Overfull);
                    }
                    match &self.held {
                        Some(held) if held.is_over() => return Err(DaemonFailure::PortFree),
                        None if started.elapsed() > WORKING_AFTER => self.log_recovery(),
                        _ => {}
                    }
                }
                Command::Close(closed) => {
                    for instance in self.registered.keys().copied().collect::<Vec<_>>() {
                        self.withdraw(daemon, instance)?;
                    }
                    if !daemon.shut_down()? {
                        tracing::warn!("multicast DNS did not confirm its goodbyes");
                    }
                    return Ok(closed);
                }
            }
        }
    }

    /// Logs a problem, once until the problem is another one or has passed.
    fn log_problem(&mut self, what: &str, problem: &dyn fmt::Display, ends_at_start: bool) {
        let problem = problem.to_string();
        if self.logged.as_ref().is_none_or(|told| told.problem != problem) {
            tracing::warn!(%problem, "{what}");
            self.logged = Some(LoggedProblem { problem, ends_at_start });
        }
    }

    fn log_recovery(&mut self) {
        if self.logged.take().is_some() {
            tracing::warn!("services are announced by multicast DNS again");
        }
    }

    fn announce(&mut self, daemon: &Daemon, advert: Advert) -> Result<(), Error> {
        match record(&advert) {
            Ok(info) => {
                self.use_given(daemon, &advert)?;
                daemon.register(&info)?;
                self.again.retain(|(_, instance)| *instance != advert.instance);
                self.again.push_back((again_at(), advert.instance));
                self.registered.insert(advert.instance, advert);
            }
            Err(error) => {
                tracing::error!(service = %advert.service, %error, "the service cannot be announced")
            }
        }
        Ok(())
    }

    /// Makes the daemon use the surplus addresses at which a service listens at once, not at its next check.
    fn use_given(&self, daemon: &Daemon, advert: &Advert) -> Result<(), Error> {
        match advert.addresses.iter().any(|address| self.shared.is_surplus(address.ip())) {
            true => daemon.choose_addresses_again(),
            false => Ok(()),
        }
    }

    /// Withdraws a service. Peers act on `bye=1` at once; a record that is merely withdrawn stays with them for another second.
    fn withdraw(&mut self, daemon: &Daemon, instance: InstanceId) -> Result<(), Error> {
        if let Some(advert) = self.registered.remove(&instance) {
            daemon.register(&record(&Advert { leaving: true, ..advert })?)?;
            daemon.unregister(instance)?;
        }
        Ok(())
    }

    fn next_work(&mut self) -> Command {
        let mut desired = self.shared.desired();
        loop {
            if desired.closing {
                return Command::Close(desired.closed.take());
            }
            while let Some(instance) = desired.dirty.pop_front() {
                match desired.announced.get(&instance) {
                    Some(advert) => return Command::Announce(Box::new(advert.clone())),
                    None if self.registered.contains_key(&instance) => return Command::Withdraw(instance),
                    None => {}
                }
            }
            if std::mem::take(&mut desired.repeat) {
                self.again = self.registered.keys().map(|instance| (again_at(), *instance)).collect();
            }
            // In the order of their announcements, which is nearly that of their times.
            let now = Instant::now();
            if self.look_at <= now {
                self.look_at = now + CHECK_INTERVAL;
                return Command::LookAfter;
            }
            let until = match self.again.front().copied() {
                Some((at, instance)) if at <= now => {
                    self.again.pop_front();
                    return Command::Repeat(instance);
                }
                Some((at, _)) => self.look_at.min(at),
                None => self.look_at,
            };
            let waited = self.shared.changed.wait_timeout(desired, until - now);
            (desired, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits before the next daemon. Returns whether the node left meanwhile.
    fn pause(&self, pause: Duration) -> bool {
        let desired = self.shared.desired();
        let (desired, _) = self
            .shared
            .changed
            .wait_timeout_while(desired, pause, |desired| !desired.closing)
            .unwrap_or_else(PoisonError::into_inner);
        desired.closing
    }

    fn announce_everything_again(&mut self) {
        self.registered.clear();
        self.again.clear();
        let mut desired = self.shared.desired();
        desired.dirty = desired.announced.keys().copied().collect();
    }
}

/// Returns the time of the next announcement of a service that is announced now.
fn again_at() -> Instant {
    Instant::now() + REPEAT_MIN + (REPEAT_MAX - REPEAT_MIN).mul_f32(fastrand::f32())
}
