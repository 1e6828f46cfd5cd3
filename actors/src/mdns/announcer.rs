//! The thread that owns the daemon: it makes true what is wished for, and starts a new daemon when the old one died.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use mdns_sd::{Error, IfKind, IfPredicate, Metrics, ServiceDaemon};
use meshzero_proto::advert::Advert;
use meshzero_proto::id::InstanceId;
use meshzero_proto::query::LOOPBACK_DATAGRAM_BYTES;
use tokio::sync::oneshot;

use super::port::{self, Held};
use super::records::record;
use super::{GOODBYE, SERVICE_TYPE, Shared, patiently};
use crate::backoff::{Backoff, Jitter};

/// The delays before a daemon that died is replaced.
const REVIVE: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(5)).with_jitter(Jitter::None);
/// A daemon that lives for so long works.
const LASTING: Duration = Duration::from_secs(5);
/// How often a daemon is asked whether it lives, and how much it remembers.
const LOOK_AFTER: Duration = Duration::from_secs(2);
/// How many records a daemon may remember. One that asks nothing remembers hardly any, unless somebody floods it: it has no bound
/// of its own.
const MOST_RECORDS: i64 = 8_192;
/// When a service is announced again, at random between these: the daemon announces it twice, a second apart, which is too
/// soon to outlast a bad moment of a wireless network. RFC 6762 §8.3 permits up to eight announcements.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
const AGAIN_LAST: Duration = Duration::from_secs(9);
/// What is logged when nothing is announced.
const NOT_ANNOUNCED: &str = "services are not announced by multicast DNS; retrying";
/// How often a daemon looks for interfaces that have come or gone, in seconds.
const LOOK_FOR_INTERFACES: u32 = 2;

/// The thread itself.
pub(super) struct Announcer {
    shared: Arc<Shared>,
    /// What the present daemon announces.
    registered: BTreeMap<InstanceId, Advert>,
    /// What is to be announced again, and when.
    again: VecDeque<(Instant, InstanceId)>,
    /// The time of the next look at the daemon.
    look_at: Instant,
    /// Another program has the port for itself in IPv6.
    held: Option<Held>,
    /// What was last logged about services that are not announced.
    told: Option<Told>,
}

/// A problem that was logged.
struct Told {
    problem: String,
    /// It has passed when a daemon has begun.
    ends_at_start: bool,
}

/// What the announcer found to do.
enum Work {
    Announce(Box<Advert>),
    Withdraw(InstanceId),
    /// One that was announced a while ago.
    Repeat(InstanceId),
    /// To see whether the daemon is well.
    LookAfter,
    Close(Option<oneshot::Sender<()>>),
}

/// Why a daemon has to be replaced.
#[derive(Debug, thiserror::Error)]
enum Loss {
    #[error("{0}")]
    Daemon(#[from] Error),
    #[error("{0}")]
    Port(Held),
    #[error("UDP port 5353 is free again")]
    PortFree,
    #[error("it remembers more than it should")]
    Overfull,
    #[error("its thread panicked")]
    Panicked,
}

impl Announcer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            registered: BTreeMap::new(),
            again: VecDeque::new(),
            look_at: Instant::now(),
            held: None,
            told: None,
        }
    }

    /// Runs until the node leaves.
    pub(super) fn run(mut self) {
        let mut pauses = REVIVE;
        loop {
            let started = Instant::now();
            let lived = catch_unwind(AssertUnwindSafe(|| self.live())).unwrap_or(Err(Loss::Panicked));
            let loss = match lived {
                Ok(closed) => {
                    // Nobody waits for it when the node was dropped rather than closed.
                    if let Some(closed) = closed {
                        closed.send(()).ok();
                    }
                    return;
                }
                Err(loss) => loss,
            };
            self.shared.replaced.fetch_add(1, Ordering::Relaxed);
            // Who fills it must not thereby silence this node.
            if started.elapsed() > LASTING || matches!(loss, Loss::Overfull | Loss::PortFree) {
                pauses.reset();
            }
            match &loss {
                Loss::PortFree => {}
                Loss::Port(held) => self.tell(NOT_ANNOUNCED, held, true),
                loss => self.tell(NOT_ANNOUNCED, loss, false),
            }
            if self.pause(pauses.pause()) {
                // There is nobody to say goodbye to.
                drop(self.shared.wishes().closed.take());
                return;
            }
            self.announce_everything_again();
        }
    }

    /// Runs one daemon. Returns when the node leaves, with the sender to notify.
    fn live(&mut self) -> Result<Option<oneshot::Sender<()>>, Loss> {
        // The daemon would go on without the port, and say nothing.
        self.held = port::held_in_ipv6().map_err(Loss::Port)?;
        let daemon = self.start_daemon()?;
        if let Some(held) = self.held.take() {
            self.tell("services are announced by multicast DNS in IPv4 only; retrying", &held, true);
            self.held = Some(held);
        } else if self.told.as_ref().is_some_and(|told| told.ends_at_start) {
            self.tell_of_recovery();
        }
        let started = Instant::now();
        self.look_at = started + LOOK_AFTER;
        #[cfg(test)]
        self.shared.harm.expose(&daemon);
        let served = self.serve(&daemon, started);
        if served.is_err() {
            // Its goodbyes are called back by what the next one announces: a record lives on for a second after them.
            match patiently(|| daemon.shutdown()) {
                Ok(done) => drop(done.recv_timeout(GOODBYE)),
                Err(error) => tracing::debug!(%error, "the old daemon had ended by itself"),
            }
        }
        served
    }

    fn start_daemon(&self) -> Result<ServiceDaemon, Error> {
        let daemon = ServiceDaemon::new()?;
        // Commands are executed in order, so nothing is sent on an interface that was not chosen.
        let shared = Arc::clone(&self.shared);
        let chosen = IfPredicate::new(move |interface| shared.uses(&interface.name, interface.ip()));
        patiently(|| daemon.disable_interface(IfKind::All))?;
        patiently(|| daemon.enable_interface(IfKind::Predicate(chosen.clone())))?;
        patiently(|| daemon.set_max_packet_size(IfKind::LoopbackV4, LOOPBACK_DATAGRAM_BYTES))?;
        patiently(|| daemon.set_ip_check_interval(LOOK_FOR_INTERFACES))?;
        Ok(daemon)
    }

    /// Makes wishes true until the node leaves.
    fn serve(
        &mut self,
        daemon: &ServiceDaemon,
        started: Instant,
    ) -> Result<Option<oneshot::Sender<()>>, Loss> {
        loop {
            match self.next_work() {
                Work::Announce(advert) => self.announce(daemon, *advert)?,
                Work::Withdraw(instance) => self.withdraw(daemon, instance)?,
                Work::Repeat(instance) => {
                    if let Some(advert) = self.registered.get(&instance) {
                        let again = record(advert)?;
                        patiently(|| daemon.register(again.clone()))?;
                    }
                }
                Work::LookAfter => {
                    look_after(daemon)?;
                    match &self.held {
                        Some(held) if held.is_over() => return Err(Loss::PortFree),
                        None if started.elapsed() > LASTING => self.tell_of_recovery(),
                        _ => {}
                    }
                }
                Work::Close(closed) => {
                    for instance in self.registered.keys().copied().collect::<Vec<_>>() {
                        self.withdraw(daemon, instance)?;
                    }
                    let done = patiently(|| daemon.shutdown())?;
                    if done.recv_timeout(GOODBYE).is_err() {
                        tracing::warn!("multicast DNS did not confirm its goodbye");
                    }
                    return Ok(closed);
                }
            }
        }
    }

    /// Logs a problem. Once is enough until something else is wrong, or after all was well.
    fn tell(&mut self, what: &str, problem: &dyn fmt::Display, ends_at_start: bool) {
        let problem = problem.to_string();
        if self.told.as_ref().is_none_or(|told| told.problem != problem) {
            tracing::warn!(%problem, "{what}");
            self.told = Some(Told { problem, ends_at_start });
        }
    }

    fn tell_of_recovery(&mut self) {
        if self.told.take().is_some() {
            tracing::warn!("services are announced by multicast DNS again");
        }
    }

    fn announce(&mut self, daemon: &ServiceDaemon, advert: Advert) -> Result<(), Error> {
        match record(&advert) {
            Ok(info) => {
                self.use_given(daemon, &advert)?;
                patiently(|| daemon.register(info.clone()))?;
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

    /// Makes the daemon use the surplus addresses at which a service listens now, not when it looks next.
    fn use_given(&self, daemon: &ServiceDaemon, advert: &Advert) -> Result<(), Error> {
        if advert.addresses.iter().any(|address| self.shared.is_surplus(address.ip())) {
            // It decides anew about all addresses, by the one choice that it has.
            patiently(|| daemon.enable_interface(Vec::<IfKind>::new()))?;
        }
        Ok(())
    }

    /// Peers believe `bye=1` at once; a record that is merely withdrawn stays with them for another second.
    fn withdraw(&mut self, daemon: &ServiceDaemon, instance: InstanceId) -> Result<(), Error> {
        if let Some(advert) = self.registered.remove(&instance) {
            let leaving = record(&Advert { leaving: true, ..advert })?;
            patiently(|| daemon.register(leaving.clone()))?;
            patiently(|| daemon.unregister(&format!("{instance}.{SERVICE_TYPE}")))?;
        }
        Ok(())
    }

    fn next_work(&mut self) -> Work {
        let mut wishes = self.shared.wishes();
        loop {
            if wishes.closing {
                return Work::Close(wishes.closed.take());
            }
            while let Some(instance) = wishes.dirty.pop_front() {
                match wishes.announced.get(&instance) {
                    Some(advert) => return Work::Announce(Box::new(advert.clone())),
                    None if self.registered.contains_key(&instance) => return Work::Withdraw(instance),
                    None => {}
                }
            }
            if std::mem::take(&mut wishes.repeat) {
                self.again = self.registered.keys().map(|instance| (again_at(), *instance)).collect();
            }
            // In the order of their announcements, which is nearly that of their times.
            let now = Instant::now();
            if self.look_at <= now {
                self.look_at = now + LOOK_AFTER;
                return Work::LookAfter;
            }
            let until = match self.again.front().copied() {
                Some((at, instance)) if at <= now => {
                    self.again.pop_front();
                    return Work::Repeat(instance);
                }
                Some((at, _)) => self.look_at.min(at),
                None => self.look_at,
            };
            let waited = self.shared.changed.wait_timeout(wishes, until - now);
            (wishes, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits before the next daemon, and says whether the node left meanwhile.
    fn pause(&self, pause: Duration) -> bool {
        let wishes = self.shared.wishes();
        let (wishes, _) = self
            .shared
            .changed
            .wait_timeout_while(wishes, pause, |wishes| !wishes.closing)
            .unwrap_or_else(PoisonError::into_inner);
        wishes.closing
    }

    fn announce_everything_again(&mut self) {
        self.registered.clear();
        self.again.clear();
        let mut wishes = self.shared.wishes();
        wishes.dirty = wishes.announced.keys().copied().collect();
    }
}

/// The time at which what is announced now is announced again.
fn again_at() -> Instant {
    Instant::now() + AGAIN_FIRST + (AGAIN_LAST - AGAIN_FIRST).mul_f32(fastrand::f32())
}

/// # Errors
/// It has ended, or remembers too much.
fn look_after(daemon: &ServiceDaemon) -> Result<(), Loss> {
    match daemon.get_metrics() {
        Ok(metrics) => match metrics.recv_timeout(GOODBYE) {
            Ok(metrics) if records(&metrics) > MOST_RECORDS => Err(Loss::Overfull),
            // One that is busy answers next time.
            Ok(_) | Err(_) => Ok(()),
        },
        Err(Error::Again) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns how many records of others a daemon remembers.
fn records(metrics: &Metrics) -> i64 {
    metrics.iter().filter(|(counter, _)| counter.starts_with("cached-")).map(|(_, count)| count).sum()
}
