//! Announcing services by multicast DNS and listening to what others announce: the only module that knows mdns-sd.
//!
//! The library wants things that a mailbox cannot give: a thread that always drains its events (it drops the
//! subscription of a slow listener), patience when its command queue is full, and a new daemon when the old one died.
//! So the wish list of what is to be announced is plain shared state, and two threads make it true.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mdns_sd::Error;
use meshzero_proto::advert::Advert;
use meshzero_proto::id::InstanceId;
use tokio::sync::{mpsc, oneshot};

use self::announcer::Announcer;
use crate::interfaces::Interfaces;

mod announcer;
mod listening;
mod records;

/// The service type of every service, in the notation of DNS-SD.
pub const SERVICE_TYPE: &str = "_meshzero._tcp.local.";

/// How long leaving may take: the goodbye is one datagram on each interface.
const GOODBYE: Duration = Duration::from_millis(300);
/// The pause before a command that found the daemon's queue full is repeated, and for how long.
const QUEUE_FULL: Duration = Duration::from_micros(500);
const QUEUE_PATIENCE: Duration = Duration::from_secs(1);

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
        let announcer = Announcer::new(Arc::clone(&shared), heard);
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

#[cfg(test)]
mod tests;
