//! Multicast DNS: the sockets that send questions and receive messages, and the announcements of this node's services by
//! mdns-sd.
//!
//! This is the only module that uses mdns-sd. It answers and announces, and nothing else: it would repeat every question that
//! it was requested, on every interface and in every node. A mailbox would not do: commands are retried while its queue
//! is full, and a daemon that died is replaced. So the desired announcements are plain shared state, and a thread applies
//! them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mdns_sd::Error;
use meshzero_proto::discovery::advert::Advert;
use meshzero_proto::id::InstanceId;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use self::announcer::Announcer;
use self::interface_table::InterfaceTable;
use crate::net::host::interfaces;
use crate::net::interfaces::Interfaces;

mod announcer;
pub(crate) mod channel;
mod daemon;
pub(crate) mod interface_table;
mod port;
mod records;

/// The service type of every service, in the notation of DNS-SD.
pub(crate) const SERVICE_TYPE: &str = "_meshzero._tcp.local.";

/// The time within which a daemon sends its goodbyes: one datagram on each interface.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(300);
/// The delay before repeating a command that found the daemon's queue full, and the time for which it is repeated.
const QUEUE_FULL_DELAY: Duration = Duration::from_micros(500);
const QUEUE_FULL_TIMEOUT: Duration = Duration::from_secs(1);

/// The announcements of one node. Dropping it withdraws them without waiting; [`Mdns::close`] waits for the goodbyes.
#[derive(Debug)]
pub(crate) struct Mdns {
    shared: Arc<MdnsShared>,
}

#[derive(Debug)]
struct MdnsShared {
    interfaces: Interfaces,
    filter: Mutex<InterfaceFilter>,
    desired_state: Mutex<DesiredState>,
    changed: Condvar,
    /// The number of daemons that were replaced.
    replaced: AtomicU64,
    #[cfg(test)]
    sabotage: tests::Sabotage,
}

/// The restrictions on the interfaces that the daemon uses, by name.
#[derive(Debug, Default, PartialEq, Eq)]
struct InterfaceFilter {
    /// The interfaces that are not used at all.
    excluded: BTreeSet<String>,
    /// The interfaces that are used in IPv4 only.
    ipv4_only: BTreeSet<String>,
    /// The addresses that are not announced unless a service listens there, by the names of their interfaces.
    surplus: BTreeSet<(String, IpAddr)>,
}

/// The desired announcements, and changes that are not applied yet.
#[derive(Debug, Default)]
struct DesiredState {
    announced: BTreeMap<InstanceId, Advert>,
    /// The addresses that services name, with the number of those services: they are announced although there are enough
    /// others.
    requested: BTreeMap<IpAddr, usize>,
    /// The instances whose desired state has changed, in order, each once at most: the number of services bounds it.
    dirty: VecDeque<InstanceId>,
    /// Set if everything is to be announced again after a while.
    repeat: bool,
    closing: bool,
    closed: Option<oneshot::Sender<()>>,
}

impl Mdns {
    /// Starts the thread, which announces on `interface_table`. Where multicast does not work it retries with growing delays,
    /// until this is closed or dropped.
    ///
    /// # Errors
    /// The system's error if it cannot start a thread.
    pub(crate) fn start(interfaces: Interfaces, interface_table: &InterfaceTable) -> std::io::Result<Self> {
        let shared = Arc::new(MdnsShared {
            interfaces,
            filter: Mutex::new(InterfaceFilter::from(interface_table)),
            desired_state: Mutex::default(),
            changed: Condvar::new(),
            replaced: AtomicU64::new(0),
            #[cfg(test)]
            sabotage: tests::Sabotage::default(),
        });
        let announcer = Announcer::new(Arc::clone(&shared));
        thread::Builder::new().name("meshzero-mdns".into()).spawn(move || announcer.run())?;
        Ok(Self { shared })
    }

    /// Changes the interfaces on which services are announced, within some seconds.
    pub(crate) fn use_nics(&self, interface_table: &InterfaceTable) {
        *self.shared.filter() = InterfaceFilter::from(interface_table);
    }

    /// Announces everything once more, because this host has other addresses, after the daemon has had time to notice. Its own
    /// announcement of a new address is one datagram, without everything that it has multicast in the second before.
    pub(crate) fn repeat(&self) {
        self.shared.desired().repeat = true;
        self.shared.changed.notify_one();
    }

    /// Announces a service, or announces it again after something about it changed. An unspecified address means all
    /// addresses of the chosen interfaces, now and whenever they change.
    pub(crate) fn announce(&self, advert: Advert) {
        let mut desired = self.shared.desired();
        desired.mark(advert.instance);
        desired.insert(advert);
        self.shared.changed.notify_one();
    }

    /// Sends the goodbye of one service.
    pub(crate) fn withdraw(&self, instance: InstanceId) {
        let mut desired = self.shared.desired();
        if desired.remove(instance) {
            desired.mark(instance);
            self.shared.changed.notify_one();
        }
    }

    /// Returns the number of daemons that were replaced, because they died, stored too many records or could not be started.
    pub(crate) fn replaced(&self) -> u64 {
        self.shared.replaced.load(Ordering::Relaxed)
    }

    /// Sends the goodbyes of all services, and waits until they are sent or 300 ms have passed.
    pub(crate) async fn close(self) {
        let (closed, done) = oneshot::channel();
        {
            let mut desired = self.shared.desired();
            desired.closing = true;
            desired.closed = Some(closed);
            self.shared.changed.notify_one();
        }
        if tokio::time::timeout(GOODBYE_TIMEOUT + QUEUE_FULL_TIMEOUT, done).await.is_err() {
            tracing::warn!("the goodbyes were not sent in time; other nodes will notice by themselves");
        }
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        self.shared.desired().closing = true;
        self.shared.changed.notify_one();
    }
}

impl MdnsShared {
    /// Returns whether the daemon is to use this address of the interface with that name.
    fn uses(&self, name: &str, ip: IpAddr) -> bool {
        if !self.interfaces.includes(name, ip) {
            return false;
        }
        let nic = interfaces::without_label(name);
        let is_surplus = {
            let filter = self.filter();
            if filter.excluded.contains(nic) || ip.is_ipv6() && filter.ipv4_only.contains(nic) {
                return false;
            }
            filter.surplus.contains(&(nic.to_owned(), ip))
        };
        !is_surplus || self.desired().requested.contains_key(&ip)
    }

    fn is_surplus(&self, ip: IpAddr) -> bool {
        self.filter().surplus.iter().any(|(_, surplus)| *surplus == ip)
    }

    /// Locks the desired state, which is still valid after a panic.
    fn desired(&self) -> MutexGuard<'_, DesiredState> {
        self.desired_state.lock()
    }

    fn filter(&self) -> MutexGuard<'_, InterfaceFilter> {
        self.filter.lock()
    }
}

impl From<&InterfaceTable> for InterfaceFilter {
    fn from(interface_table: &InterfaceTable) -> Self {
        let ipv4_only = interface_table.used.iter().filter(|nic| nic.is_ipv4_only());
        Self {
            excluded: interface_table.left_out.iter().chain(&interface_table.ports).cloned().collect(),
            ipv4_only: ipv4_only.map(|nic| nic.name.clone()).collect(),
            surplus: interface_table.surplus.clone(),
        }
    }
}

impl DesiredState {
    fn insert(&mut self, advert: Advert) {
        self.remove(advert.instance);
        for address in &advert.addresses {
            *self.requested.entry(address.ip()).or_default() += 1;
        }
        self.announced.insert(advert.instance, advert);
    }

    /// Removes the advert of an instance. Returns whether there was one.
    fn remove(&mut self, instance: InstanceId) -> bool {
        let Some(advert) = self.announced.remove(&instance) else { return false };
        for address in &advert.addresses {
            if let Entry::Occupied(mut count) = self.requested.entry(address.ip()) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        true
    }

    fn mark(&mut self, instance: InstanceId) {
        if !self.dirty.contains(&instance) {
            self.dirty.push_back(instance);
        }
    }
}

/// Repeats a command while the daemon's queue is full.
fn retry_while_full<T>(mut command: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        match command() {
            Err(Error::Again) if started.elapsed() < QUEUE_FULL_TIMEOUT => thread::sleep(QUEUE_FULL_DELAY),
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
