//! Announcing services by multicast DNS and listening to what others announce: the only file that knows mdns-sd.
//!
//! The library wants things that a mailbox cannot give: a thread that always drains its events (it drops the
//! subscription of a slow listener), patience when its command queue is full, and a new daemon when the old one died.
//! So the wish list of what is to be announced is plain shared state, and two threads make it true.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mdns_sd::{
    Error, IfKind, IfPredicate, Metrics, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo,
};
use meshzero_proto::advert::{Advert, InvalidAdvert};
use meshzero_proto::id::InstanceId;
use tokio::sync::{mpsc, oneshot};

use crate::interfaces::Interfaces;

/// The service type of every service, in the notation of DNS-SD.
pub const SERVICE_TYPE: &str = "_meshzero._tcp.local.";

/// How long leaving may take: the goodbye is one datagram on each interface.
const GOODBYE: Duration = Duration::from_millis(300);
/// The pause before a command that found the daemon's queue full is repeated, and for how long.
const QUEUE_FULL: Duration = Duration::from_micros(500);
const QUEUE_PATIENCE: Duration = Duration::from_secs(1);
/// The pause before a daemon that died is replaced: doubled each time up to the second value.
const REVIVE_FIRST: Duration = Duration::from_millis(50);
const REVIVE_LAST: Duration = Duration::from_secs(5);
/// How often a daemon is asked whether it lives, and how much it remembers.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// The largest datagram over loopback, where nothing is cut into pieces: RFC 6762 §17.
const LOOPBACK_DATAGRAM: usize = 8_952;

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A service was announced, or announced again with other addresses.
    Up(Advert),
    /// A service said goodbye, or its records ran out.
    Down(InstanceId),
    /// For a while nobody listened: what was announced meanwhile has to be asked for.
    Missed,
}

/// Multicast DNS for one node. Dropping it leaves without waiting; [`Mdns::close`] waits for the goodbye.
#[derive(Debug)]
pub struct Mdns {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    interfaces: Interfaces,
    /// How many records of others the daemon may remember.
    most_records: i64,
    wishes: Mutex<Wishes>,
    changed: Condvar,
    /// How many daemons were replaced.
    replaced: AtomicU64,
    #[cfg(test)]
    harm: tests::Harm,
}

/// What is to be true, and where it is not yet.
#[derive(Debug, Default)]
struct Wishes {
    announced: BTreeMap<InstanceId, Advert>,
    /// Instances whose wish has changed, in order. Each is here once at most, so the number of services bounds it.
    dirty: VecDeque<InstanceId>,
    /// The last daemon that is not listened to any more, by its number, and why: everything has to be announced to
    /// a new one.
    ended: Option<(u64, Loss)>,
    closing: bool,
    closed: Option<oneshot::Sender<()>>,
}

/// Why a daemon has to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Loss {
    #[error("its thread, or the one that listens to it, has ended")]
    Died,
    #[error("it remembers more than it should")]
    Overfull,
}

/// Tells when the thread that listens to a daemon ends, in whatever way.
struct Listening {
    shared: Arc<Shared>,
    daemon: u64,
    loss: Loss,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shared.wishes().ended = Some((self.daemon, self.loss));
        self.shared.changed.notify_one();
    }
}

impl Mdns {
    /// Starts to listen. What is heard goes to `heard`; while that is full, the listening thread waits. The daemon forgets
    /// all that it has heard when that is more than `most_records` DNS records, of which a service has four or more.
    ///
    /// Where multicast does not work the threads keep trying, with a growing pause, until this is closed or dropped.
    ///
    /// # Errors
    /// What the system says when it gives no thread.
    pub fn start(
        interfaces: Interfaces,
        most_records: usize,
        heard: mpsc::Sender<Heard>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            interfaces,
            most_records: i64::try_from(most_records).unwrap_or(i64::MAX),
            wishes: Mutex::default(),
            changed: Condvar::new(),
            replaced: AtomicU64::new(0),
            #[cfg(test)]
            harm: tests::Harm::default(),
        });
        let announcer = Announcer { shared: shared.clone(), heard, daemon: 0, registered: BTreeMap::new() };
        thread::Builder::new().name("meshzero-mdns".into()).spawn(move || announcer.run())?;
        Ok(Self { shared })
    }

    /// Announces a service, or announces it anew after something about it changed. An unspecified address means all
    /// addresses of the chosen interfaces, now and whenever they change.
    pub fn announce(&self, advert: Advert) {
        let mut wishes = self.shared.wishes();
        wishes.mark(advert.instance);
        wishes.announced.insert(advert.instance, advert);
        self.shared.changed.notify_one();
    }

    /// Says goodbye for one service.
    pub fn withdraw(&self, instance: InstanceId) {
        let mut wishes = self.shared.wishes();
        if wishes.announced.remove(&instance).is_some() {
            wishes.mark(instance);
            self.shared.changed.notify_one();
        }
    }

    /// How many daemons were replaced, because they died or remembered too much.
    pub fn replaced(&self) -> u64 {
        self.shared.replaced.load(Ordering::Relaxed)
    }

    /// Says goodbye for all services, and waits until that is said or 300 ms have passed.
    pub async fn close(self) {
        let (closed, done) = oneshot::channel();
        {
            let mut wishes = self.shared.wishes();
            wishes.closing = true;
            wishes.closed = Some(closed);
            self.shared.changed.notify_one();
        }
        if tokio::time::timeout(GOODBYE + QUEUE_PATIENCE, done).await.is_err() {
            tracing::warn!("the goodbye was not said in time; others will notice by themselves");
        }
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        self.shared.wishes().closing = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    /// A panic while the lock was held leaves plain data behind that is still worth acting on.
    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wishes {
    fn mark(&mut self, instance: InstanceId) {
        if !self.dirty.contains(&instance) {
            self.dirty.push_back(instance);
        }
    }
}

/// The thread that owns the daemon and makes the wishes true.
struct Announcer {
    shared: Arc<Shared>,
    heard: mpsc::Sender<Heard>,
    /// The number of the present daemon.
    daemon: u64,
    /// What the present daemon announces.
    registered: BTreeMap<InstanceId, Advert>,
}

/// What the announcer found to do.
enum Work {
    Announce(Box<Advert>),
    Withdraw(InstanceId),
    Replace(Loss),
    Close(Option<oneshot::Sender<()>>),
}

/// How the life of a daemon ended.
enum Ended {
    /// The node left, and somebody may wait to be told.
    Left(Option<oneshot::Sender<()>>),
    /// It has to be replaced.
    Lost(Loss),
}

impl Announcer {
    fn run(mut self) {
        let mut pause = REVIVE_FIRST;
        loop {
            let started = Instant::now();
            self.daemon += 1;
            let loss = match catch_unwind(AssertUnwindSafe(|| self.live())) {
                Ok(Ok(Ended::Left(closed))) => {
                    // Nobody waits for it when the node was dropped rather than closed.
                    if let Some(closed) = closed {
                        closed.send(()).ok();
                    }
                    return;
                }
                Ok(Ok(Ended::Lost(loss))) => {
                    tracing::warn!(%loss, "multicast DNS is started again");
                    loss
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "multicast DNS stopped; starting it again");
                    Loss::Died
                }
                Err(_) => {
                    tracing::error!("announcing by multicast DNS panicked; starting it again");
                    Loss::Died
                }
            };
            self.shared.replaced.fetch_add(1, Ordering::Relaxed);
            // Who fills it must not thereby silence this node.
            if started.elapsed() > REVIVE_LAST || loss == Loss::Overfull {
                pause = REVIVE_FIRST;
            }
            if self.pause(pause) {
                return;
            }
            pause = (pause * 2).min(REVIVE_LAST);
            self.announce_everything_again();
        }
    }

    /// One daemon's life. Ends well when the node leaves.
    fn live(&mut self) -> Result<Ended, Error> {
        let daemon = self.start_daemon()?;
        #[cfg(test)]
        self.shared.harm.expose(&daemon);
        let served = self.listen(&daemon).and_then(|()| self.serve(&daemon));
        if !matches!(served, Ok(Ended::Left(_))) {
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
        let interfaces = self.shared.interfaces.clone();
        let chosen = IfPredicate::new(move |interface| {
            interfaces.includes(&interface.name, interface.ip())
                && (interface.ip().is_ipv4() || !has_ipv4(&interfaces, &interface.name))
        });
        patiently(|| daemon.disable_interface(IfKind::All))?;
        patiently(|| daemon.enable_interface(IfKind::Predicate(chosen.clone())))?;
        patiently(|| daemon.set_max_packet_size(IfKind::LoopbackV4, LOOPBACK_DATAGRAM))?;
        Ok(daemon)
    }

    /// Starts the thread that drains the daemon's events, for as long as the daemon lives.
    ///
    /// The daemon only listens. Its own questions would be answered by multicast, by everybody to everybody: sixty
    /// processes that start together spend most of their time on that. Who wants to know asks by [`crate::query`].
    fn listen(&self, daemon: &ServiceDaemon) -> Result<(), Error> {
        let mut events = patiently(|| daemon.browse_cache(SERVICE_TYPE))?;
        let (daemon, heard) = (daemon.clone(), self.heard.clone());
        let shared = Arc::clone(&self.shared);
        let mut listening = Listening { shared, daemon: self.daemon, loss: Loss::Died };
        let drain = move || {
            if listening.daemon > 1 && heard.blocking_send(Heard::Missed).is_err() {
                return;
            }
            loop {
                match drain(&events, &heard, &daemon, &listening.shared) {
                    Drained::Again if !listening.shared.wishes().closing => {}
                    Drained::Again | Drained::Over => break,
                    Drained::Overfull => {
                        listening.loss = Loss::Overfull;
                        break;
                    }
                }
                // The subscription was closed because too much arrived at once, or because the daemon is gone.
                match patiently(|| daemon.browse_cache(SERVICE_TYPE)) {
                    Ok(again) => events = again,
                    Err(error) => {
                        tracing::debug!(%error, "listening to multicast DNS ended");
                        break;
                    }
                }
            }
        };
        let started = thread::Builder::new().name("meshzero-heard".into()).spawn(drain);
        started.map(drop).map_err(|error| Error::Msg(error.to_string()))
    }

    /// Makes wishes true until the node leaves.
    fn serve(&mut self, daemon: &ServiceDaemon) -> Result<Ended, Error> {
        loop {
            match self.next_work() {
                Work::Announce(advert) => self.announce(daemon, *advert)?,
                Work::Withdraw(instance) => self.withdraw(daemon, instance)?,
                Work::Replace(loss) => return Ok(Ended::Lost(loss)),
                Work::Close(closed) => {
                    for instance in self.registered.keys().copied().collect::<Vec<_>>() {
                        self.withdraw(daemon, instance)?;
                    }
                    let done = patiently(|| daemon.shutdown())?;
                    if done.recv_timeout(GOODBYE).is_err() {
                        tracing::warn!("multicast DNS did not confirm its goodbye");
                    }
                    return Ok(Ended::Left(closed));
                }
            }
        }
    }

    fn announce(&mut self, daemon: &ServiceDaemon, advert: Advert) -> Result<(), Error> {
        match record(&advert) {
            Ok(info) => {
                patiently(|| daemon.register(info.clone()))?;
                self.registered.insert(advert.instance, advert);
            }
            Err(error) => {
                tracing::error!(service = %advert.service, %error, "the service cannot be announced")
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

    fn next_work(&self) -> Work {
        let mut wishes = self.shared.wishes();
        loop {
            if wishes.closing {
                return Work::Close(wishes.closed.take());
            }
            if let Some((daemon, loss)) = wishes.ended.take()
                && daemon == self.daemon
            {
                return Work::Replace(loss);
            }
            while let Some(instance) = wishes.dirty.pop_front() {
                match wishes.announced.get(&instance) {
                    Some(advert) => return Work::Announce(Box::new(advert.clone())),
                    None if self.registered.contains_key(&instance) => return Work::Withdraw(instance),
                    None => {}
                }
            }
            wishes = self.shared.changed.wait(wishes).unwrap_or_else(PoisonError::into_inner);
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
        let mut wishes = self.shared.wishes();
        wishes.dirty = wishes.announced.keys().copied().collect();
    }
}

/// How passing on events ended.
enum Drained {
    /// The subscription ended, and it is worth trying again.
    Again,
    /// Nobody wants to hear more, or nobody will tell.
    Over,
    /// The daemon remembers too much.
    Overfull,
}

/// Passes events on until the subscription ends.
fn drain(
    events: &Receiver<ServiceEvent>,
    heard: &mpsc::Sender<Heard>,
    daemon: &ServiceDaemon,
    shared: &Shared,
) -> Drained {
    let mut looked = Instant::now();
    loop {
        let event = events.recv_timeout(LOOK_AFTER);
        #[cfg(test)]
        shared.harm.stumble();
        if looked.elapsed() >= LOOK_AFTER {
            looked = Instant::now();
            // A subscription that the daemon was asked for just as it ended waits in its queue for ever.
            match daemon.get_metrics() {
                Ok(metrics) => match metrics.recv_timeout(GOODBYE) {
                    Ok(metrics) if records(&metrics) > shared.most_records => return Drained::Overfull,
                    // One that is busy answers next time.
                    Ok(_) | Err(_) => {}
                },
                Err(Error::Again) => {}
                Err(_) => return Drained::Over,
            }
        }
        let Ok(event) = event else {
            if events.is_disconnected() {
                break;
            }
            continue;
        };
        let news = match event {
            ServiceEvent::ServiceResolved(service) => match read(&service) {
                Ok(advert) => Some(Heard::Up(advert)),
                Err(problem) => {
                    tracing::debug!(name = %service.fullname, %problem, "an announcement is no advert");
                    None
                }
            },
            ServiceEvent::ServiceRemoved(_, fullname) => label(&fullname).parse().ok().map(Heard::Down),
            _ => None,
        };
        if let Some(news) = news
            && heard.blocking_send(news).is_err()
        {
            return Drained::Over;
        }
    }
    if heard.is_closed() { Drained::Over } else { Drained::Again }
}

/// How many records of others a daemon remembers.
fn records(metrics: &Metrics) -> i64 {
    metrics.iter().filter(|(counter, _)| counter.starts_with("cached-")).map(|(_, count)| count).sum()
}

/// Repeats a command while the daemon's queue is full.
fn patiently<T>(mut command: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        match command() {
            Err(Error::Again) if started.elapsed() < QUEUE_PATIENCE => thread::sleep(QUEUE_FULL),
            result => return result,
        }
    }
}

fn has_ipv4(interfaces: &Interfaces, name: &str) -> bool {
    let list = interfaces.list().unwrap_or_default();
    list.iter().any(|interface| interface.name == name && interface.address.ip.is_ipv4())
}

/// The record of a service. Its host name is its own, because withdrawing a service withdraws its host's addresses.
fn record(advert: &Advert) -> Result<ServiceInfo, Error> {
    let label = advert.instance.to_string();
    let host = format!("{label}.local.");
    let port = advert.addresses.first().map_or(0, SocketAddr::port);
    let given: Vec<IpAddr> = advert.addresses.iter().map(SocketAddr::ip).collect();
    let everywhere = given.iter().any(IpAddr::is_unspecified);
    let addresses = if everywhere { Vec::new() } else { given.clone() };
    let mut info = ServiceInfo::new(SERVICE_TYPE, &label, &host, &addresses[..], port, &advert.to_txt()[..])?;
    if everywhere {
        info = info.enable_addr_auto();
        if given.iter().all(IpAddr::is_ipv4) {
            info.set_interfaces(vec![IfKind::IPv4]);
        }
    }
    // The names are random, so there is nobody to ask whether they are taken: that would take 0.9 s.
    info.set_requires_probe(false);
    Ok(info)
}

fn read(service: &ResolvedService) -> Result<Advert, InvalidAdvert> {
    let property = |key: &str| service.get_property_val(key).map(Option::unwrap_or_default);
    let addresses = service.addresses.iter().map(|address| match address {
        mdns_sd::ScopedIp::V6(v6) if v6.addr().is_unicast_link_local() => {
            std::net::SocketAddrV6::new(*v6.addr(), service.port, 0, v6.scope_id().index).into()
        }
        other => SocketAddr::new(other.to_ip_addr(), service.port),
    });
    Advert::from_txt(label(&service.fullname), property, addresses)
}

fn label(fullname: &str) -> &str {
    fullname.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
