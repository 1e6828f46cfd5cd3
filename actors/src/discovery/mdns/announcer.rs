//! The thread that owns the mDNS daemon: it applies the desired state, and replaces a daemon that died.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
const RESTART_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(5)).with_jitter(Jitter::None);
/// The time after which a daemon counts as working.
const WORKING_AFTER: Duration = Duration::from_secs(5);
/// The interval at which a daemon's health and its number of records are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// The limits of the random time after which a service is announced again: the daemon announces it twice, a second apart,
/// which is too short to outlast a disturbance of a wireless network. RFC 6762 §8.3 permits up to eight announcements.
const REPEAT_MIN: Duration = Duration::from_secs(5);
const REPEAT_MAX: Duration = Duration::from_secs(9);
/// The log message while nothing is announced.
const NOT_ANNOUNCED: &str = "services are not announced by multicast DNS; retrying";

/// The state of the thread.
pub(super) struct Announcer {
    shared: Arc<MdnsShared>,
    /// The services that the current daemon announces.
    registered: BTreeMap<InstanceId, Advert>,
    /// The services that are to be announced again, and when.
    repeats: VecDeque<(Instant, InstanceId)>,
    /// The time of the next check of the daemon.
    next_check: Instant,
    /// Set if another program holds the port exclusively in IPv6.
    conflict: Option<PortConflict>,
    /// The last problem that was logged.
    logged: Option<LoggedProblem>,
}

/// A problem that was logged.
struct LoggedProblem {
    problem: String,
    /// Set if the problem is over as soon as a daemon has started.
    ends_at_start: bool,
}

/// The next command of the announcer.
enum Command {
    Announce(Box<Advert>),
    Withdraw(InstanceId),
    /// Announce a service again that was announced a while ago.
    Repeat(InstanceId),
    /// Check the daemon's health.
    Check,
    Close(Option<oneshot::Sender<()>>),
}

/// The reason why a daemon has to be replaced.
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
            repeats: VecDeque::new(),
            next_check: Instant::now(),
            conflict: None,
            logged: None,
        }
    }

    /// Runs until the node leaves.
    pub(super) fn run(mut self) {
        let mut backoff = RESTART_BACKOFF;
        loop {
            let started = Instant::now();
            let ended =
                catch_unwind(AssertUnwindSafe(|| self.run_daemon())).unwrap_or(Err(DaemonFailure::Panicked));
            let failure = match ended {
                Ok(closed) => {
                    // There is no waiter if the node was dropped rather than closed.
                    if let Some(closed) = closed {
                        closed.send(()).ok();
                    }
                    return;
                }
                Err(failure) => failure,
            };
            self.shared.replaced.fetch_add(1, Ordering::Relaxed);
            // A program that floods it must not be able to silence this node.
            if started.elapsed() > WORKING_AFTER
                || matches!(failure, DaemonFailure::Overfull | DaemonFailure::PortFree)
            {
                backoff.reset();
            }
            match &failure {
                DaemonFailure::PortFree => {}
                DaemonFailure::Port(conflict) => self.log_problem(NOT_ANNOUNCED, conflict, true),
                failure => self.log_problem(NOT_ANNOUNCED, failure, false),
            }
            if self.pause(backoff.next_delay()) {
                // There is no daemon to send goodbyes.
                drop(self.shared.desired().closed.take());
                return;
            }
            self.announce_everything_again();
        }
    }

    /// Runs one daemon. Returns when the node leaves, with the sender to notify.
    fn run_daemon(&mut self) -> Result<Option<oneshot::Sender<()>>, DaemonFailure> {
        // The daemon would continue without the port, and report nothing.
        self.conflict = port::held_in_ipv6().map_err(DaemonFailure::Port)?;
        let daemon = Daemon::start(&self.shared)?;
        if let Some(conflict) = self.conflict.take() {
            self.log_problem(
                "services are announced by multicast DNS in IPv4 only; retrying",
                &conflict,
                true,
            );
            self.conflict = Some(conflict);
        } else if self.logged.as_ref().is_some_and(|logged| logged.ends_at_start) {
            self.log_recovery();
        }
        let started = Instant::now();
        self.next_check = started + CHECK_INTERVAL;
        let ended = self.serve(&daemon, started);
        if ended.is_err() {
            // Its goodbyes are revoked by the announcements of the next daemon: a record remains for a second after them.
            if let Err(error) = daemon.shut_down() {
                tracing::debug!(%error, "the old daemon had already ended");
            }
        }
        ended
    }

    /// Applies changes of the desired state until the node leaves.
    fn serve(
        &mut self,
        daemon: &Daemon,
        started: Instant,
    ) -> Result<Option<oneshot::Sender<()>>, DaemonFailure> {
        loop {
            match self.next_command() {
                Command::Announce(advert) => self.announce(daemon, *advert)?,
                Command::Withdraw(instance) => self.withdraw(daemon, instance)?,
                Command::Repeat(instance) => {
                    if let Some(advert) = self.registered.get(&instance) {
                        daemon.register(&record(advert)?)?;
                    }
                }
                Command::Check => {
                    if daemon.is_overfull()? {
                        return Err(DaemonFailure::Overfull);
                    }
                    match &self.conflict {
                        Some(conflict) if conflict.is_over() => return Err(DaemonFailure::PortFree),
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

    /// Logs a problem, unless it is the one that was logged last.
    fn log_problem(&mut self, message: &str, problem: &dyn fmt::Display, ends_at_start: bool) {
        let problem = problem.to_string();
        if self.logged.as_ref().is_none_or(|logged| logged.problem != problem) {
            tracing::warn!(%problem, "{message}");
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
                self.use_requested(daemon, &advert)?;
                daemon.register(&info)?;
                self.repeats.retain(|(_, instance)| *instance != advert.instance);
                self.repeats.push_back((repeat_at(), advert.instance));
                self.registered.insert(advert.instance, advert);
            }
            Err(error) => {
                tracing::error!(service = %advert.service, %error, "the service cannot be announced by multicast DNS")
            }
        }
        Ok(())
    }

    /// Makes the daemon use the surplus addresses that a service names now, and not at its next check.
    fn use_requested(&self, daemon: &Daemon, advert: &Advert) -> Result<(), Error> {
        match advert.addresses.iter().any(|address| self.shared.is_surplus(address.ip())) {
            true => daemon.choose_addresses_again(),
            false => Ok(()),
        }
    }

    /// Withdraws a service. Peers act on `bye=1` at once, and keep a record that is merely withdrawn for another second.
    fn withdraw(&mut self, daemon: &Daemon, instance: InstanceId) -> Result<(), Error> {
        if let Some(advert) = self.registered.remove(&instance) {
            daemon.register(&record(&Advert { leaving: true, ..advert })?)?;
            daemon.unregister(instance)?;
        }
        Ok(())
    }

    fn next_command(&mut self) -> Command {
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
                self.repeats = self.registered.keys().map(|instance| (repeat_at(), *instance)).collect();
            }
            // In the order of their announcements, which is nearly that of their times.
            let now = Instant::now();
            if self.next_check <= now {
                self.next_check = now + CHECK_INTERVAL;
                return Command::Check;
            }
            let until = match self.repeats.front().copied() {
                Some((at, instance)) if at <= now => {
                    self.repeats.pop_front();
                    return Command::Repeat(instance);
                }
                Some((at, _)) => self.next_check.min(at),
                None => self.next_check,
            };
            self.shared.changed.wait_for(&mut desired, until - now);
        }
    }

    /// Waits before starting the next daemon. Returns whether the node left meanwhile.
    fn pause(&self, pause: Duration) -> bool {
        let mut desired = self.shared.desired();
        self.shared.changed.wait_while_for(&mut desired, |desired| !desired.closing, pause);
        desired.closing
    }

    fn announce_everything_again(&mut self) {
        self.registered.clear();
        self.repeats.clear();
        let mut desired = self.shared.desired();
        desired.dirty = desired.announced.keys().copied().collect();
    }
}

/// Returns the time of the next announcement of a service that is announced now.
fn repeat_at() -> Instant {
    Instant::now() + REPEAT_MIN + (REPEAT_MAX - REPEAT_MIN).mul_f32(fastrand::f32())
}
