//! The thread that owns the daemon: it makes true what is wished for, and starts a new daemon when the old one died.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use mdns_sd::{Error, IfKind, IfPredicate, Metrics, ServiceDaemon};
use meshzero_proto::advert::Advert;
use meshzero_proto::id::InstanceId;
use meshzero_proto::query::LOOPBACK_DATAGRAM_BYTES;
use tokio::sync::oneshot;

use super::records::record;
use super::{GOODBYE, SERVICE_TYPE, Shared, patiently};
use crate::host;
use crate::socket::{self, Family};

/// The pause before a daemon that died is replaced: doubled each time up to the second value.
const REVIVE_FIRST: Duration = Duration::from_millis(50);
const REVIVE_LAST: Duration = Duration::from_secs(5);
/// How often a daemon is asked whether it lives, and how much it remembers.
const LOOK_AFTER: Duration = Duration::from_secs(2);
/// How many records a daemon may remember. One that asks nothing remembers hardly any, unless somebody floods it: it has no bound
/// of its own.
const MOST_RECORDS: i64 = 8_192;
/// When a service is announced again, at random between these: the daemon announces it twice, a second apart, which is too
/// soon to outlast a bad moment of a wireless network. RFC 6762 §8.3 permits up to eight announcements.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
const AGAIN_LAST: Duration = Duration::from_secs(9);
/// How often a daemon looks for interfaces that have come or gone, in seconds.
const LOOK_FOR_INTERFACES: u32 = 2;

/// The thread itself.
pub(super) struct Announcer {
    shared: Arc<Shared>,
    /// What the present daemon announces.
    registered: BTreeMap<InstanceId, Advert>,
    /// Addresses that it uses because a service listens there only, and would leave out.
    given: BTreeSet<IpAddr>,
    /// What is to be announced again, and when.
    again: VecDeque<(Instant, InstanceId)>,
    /// The time of the next look at the daemon.
    look_at: Instant,
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
    #[error(
        "another program has UDP port 5353 for itself ({0}); find it with `ss -ulpn`, or let it share the port"
    )]
    Port(io::Error),
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
            given: BTreeSet::new(),
            again: VecDeque::new(),
            look_at: Instant::now(),
        }
    }

    /// Runs until the node leaves.
    pub(super) fn run(mut self) {
        let mut pause = REVIVE_FIRST;
        let mut told = String::new();
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
            if started.elapsed() > REVIVE_LAST || matches!(loss, Loss::Overfull) {
                pause = REVIVE_FIRST;
                told.clear();
            }
            // Once is enough until something else is wrong.
            let problem = loss.to_string();
            if problem != told {
                tracing::warn!(%problem, "services are not announced by multicast DNS; retrying");
                told = problem;
            }
            if self.pause(pause) {
                return;
            }
            pause = (pause * 2).min(REVIVE_LAST);
            self.announce_everything_again();
        }
    }

    /// Runs one daemon. Returns when the node leaves, with the sender to notify.
    fn live(&mut self) -> Result<Option<oneshot::Sender<()>>, Loss> {
        // The daemon would go on without the port, and say nothing.
        match socket::check_mdns_port(Family::V4(Ipv4Addr::UNSPECIFIED)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(Loss::Port(error)),
            // Any other problem is of one family, or will be the daemon's as well.
            _ => {}
        }
        let daemon = self.start_daemon()?;
        self.look_at = Instant::now() + LOOK_AFTER;
        #[cfg(test)]
        self.shared.harm.expose(&daemon);
        let served = self.serve(&daemon);
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
        let chosen = IfPredicate::new(move |interface| {
            let (name, chosen) = (host::without_label(&interface.name), shared.chosen());
            shared.interfaces.includes(&interface.name, interface.ip())
                && !chosen.left_out.contains(name)
                && (interface.ip().is_ipv4() || !chosen.ipv4.contains(name))
                && !chosen.surplus.contains(&(name.to_owned(), interface.ip()))
        });
        patiently(|| daemon.disable_interface(IfKind::All))?;
        patiently(|| daemon.enable_interface(IfKind::Predicate(chosen.clone())))?;
        patiently(|| daemon.set_max_packet_size(IfKind::LoopbackV4, LOOPBACK_DATAGRAM_BYTES))?;
        patiently(|| daemon.set_ip_check_interval(LOOK_FOR_INTERFACES))?;
        Ok(daemon)
    }

    /// Makes wishes true until the node leaves.
    fn serve(&mut self, daemon: &ServiceDaemon) -> Result<Option<oneshot::Sender<()>>, Loss> {
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
                Work::LookAfter => look_after(daemon)?,
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

    fn announce(&mut self, daemon: &ServiceDaemon, advert: Advert) -> Result<(), Error> {
        match record(&advert) {
            Ok(info) => {
                self.use_given(daemon, &advert)?;
                patiently(|| daemon.register(info.clone()))?;
                let pause = AGAIN_FIRST + (AGAIN_LAST - AGAIN_FIRST).mul_f32(fastrand::f32());
                self.again.retain(|(_, instance)| *instance != advert.instance);
                self.again.push_back((Instant::now() + pause, advert.instance));
                self.registered.insert(advert.instance, advert);
            }
            Err(error) => {
                tracing::error!(service = %advert.service, %error, "the service cannot be announced")
            }
        }
        Ok(())
    }

    /// Makes the daemon use the addresses of a service that listens at these only, if it leaves them out.
    fn use_given(&mut self, daemon: &ServiceDaemon, advert: &Advert) -> Result<(), Error> {
        for ip in advert.addresses.iter().map(SocketAddr::ip) {
            let is_surplus = self.shared.chosen().surplus.iter().any(|(_, surplus)| *surplus == ip);
            if is_surplus && self.given.insert(ip) {
                let given = IfPredicate::new(move |interface| interface.ip() == ip);
                patiently(|| daemon.enable_interface(IfKind::Predicate(given.clone())))?;
            }
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
        self.given.clear();
        self.again.clear();
        let mut wishes = self.shared.wishes();
        wishes.dirty = wishes.announced.keys().copied().collect();
    }
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
