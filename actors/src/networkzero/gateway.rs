//! The gateway: it hears both sides, and tells each of the other.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use meshzero_proto::directory::{DirectoryEvent, Filter};
use meshzero_proto::name::ServiceName;
use meshzero_proto::networkzero::{Advert, Beacon, Command, Exchange};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time;

use super::air::Air;
use super::clerk::{self, Order};
use super::import::{self, Brought};
use super::other_beacon::{OtherBeacon, OtherBeaconError};
use crate::clock;
use crate::discovery::{Watch, Watcher};
use crate::ending::Ending;
use crate::home::Gone;
use crate::node::Node;

/// How often adverts are looked through for those whose time is over, and commands for those that have waited long enough.
const GLANCE: Duration = Duration::from_millis(100);

/// How often the beacon of another process is asked.
const ASK: Duration = Duration::from_secs(1);

/// Names of NetworkZero that are kept.
const NAMES: usize = 512;

/// News for the gateway's owner that wait; more are dropped.
const CROSSINGS: usize = 256;

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The port of NetworkZero's beacons cannot be had.
    #[error("cannot hear the beacons of NetworkZero at UDP port 9999: {0}")]
    Air(#[from] io::Error),
    /// The node has left.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Something that has crossed, or does no more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crossing {
    /// A service of NetworkZero is one of the mesh now.
    Brought {
        /// Its name.
        name: ServiceName,
        /// Where its program listens.
        address: SocketAddrV4,
    },
    /// It is no more.
    TakenBack {
        /// Its name.
        name: ServiceName,
    },
    /// A service of the mesh is advertised to NetworkZero now.
    Announced {
        /// Its name.
        name: String,
        /// Its endpoint.
        address: SocketAddrV4,
    },
    /// It is no more; it is forgotten there within 20 s.
    Unannounced {
        /// Its name.
        name: String,
    },
    /// This process is the beacon of its machine now.
    IsBeacon,
    /// Another process is the beacon of this machine, and is told and asked.
    OtherBeacon,
}

/// A gateway that works until it is dropped, or its node leaves.
pub struct Gateway {
    crossings: mpsc::Receiver<Crossing>,
    course: Arc<Course>,
    is_dropped_with: bool,
}

/// When a gateway is to end, and when it has.
#[derive(Default)]
pub(crate) struct Course {
    closing: Ending,
    ended: Ending,
}

impl Course {
    /// Has the gateway take everything back, and waits until that is done, for half a second at most.
    pub(crate) async fn close(&self) {
        self.closing.tell();
        // What has not been taken back then is forgotten by others in time.
        let _ = time::timeout(CLOSING, self.ended.come()).await;
    }
}

impl Gateway {
    /// Opens a gateway between the mesh of `node` and NetworkZero.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn open(node: &Arc<Node>) -> Result<Self, GatewayError> {
        let (tell, crossings) = mpsc::channel(CROSSINGS);
        let course = Arc::<Course>::default();
        let (here, interfaces) = (Arc::downgrade(node), node.config().interfaces.clone());
        let exchange = Exchange::new(node.id());
        let watch = node.discovery().send(Watch { filter: Filter::Prefix(String::new()) });
        let watcher = watch.await.map_err(|_| Gone)?;
        node.premises().gateways.add(&course);
        let until = Arc::clone(&course);
        node.home()
            .ask(move || async move {
                let air = open(&interfaces)?;
                let (tell_brought, brought) = mpsc::channel(NAMES);
                let working = Working {
                    node: here,
                    watcher,
                    exchange,
                    imports: BTreeMap::new(),
                    tell_brought,
                    brought,
                    announced: BTreeMap::new(),
                    crossings: tell,
                };
                actix::spawn(async move {
                    let ended = Told(&until.ended);
                    working.work(air, &until.closing).await;
                    drop(ended);
                });
                Ok(())
            })
            .await?
            .map_err(GatewayError::Air)?;
        Ok(Self { crossings, course, is_dropped_with: true })
    }

    /// Waits for the next thing that has crossed; `None` when the gateway has ended.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn next(&mut self) -> Option<Crossing> {
        self.crossings.recv().await
    }

    /// Takes everything back, and waits until that is done: half a second at most.
    pub async fn close(self) {
        self.course.close().await;
    }

    /// Lets it work as long as its node does.
    pub fn detach(mut self) {
        self.is_dropped_with = false;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.is_dropped_with {
            self.course.closing.tell();
        }
    }
}

/// Tells that it has ended, also where its thread did.
struct Told<'a>(&'a Ending);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.tell();
    }
}

/// The gateways of a node, which end before it leaves.
#[derive(Default)]
pub struct Gateways(Mutex<Vec<Arc<Course>>>);

impl Gateways {
    fn add(&self, course: &Arc<Course>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|course| !course.ended.has_come());
        open.push(Arc::clone(course));
    }

    /// Closes them all.
    pub(crate) async fn close(&self) {
        let open = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        open.iter().for_each(|course| course.closing.tell());
        for course in open {
            course.close().await;
        }
    }
}

/// The port of the machine's beacon; `None` if another process has it.
fn open(interfaces: &crate::interfaces::Interfaces) -> io::Result<Option<Air>> {
    match Air::open(interfaces) {
        Ok(air) => Ok(Some(air)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long taking back may take.
const CLOSING: Duration = Duration::from_millis(500);

struct Working {
    node: Weak<Node>,
    watcher: Watcher,
    exchange: Exchange,
    /// What is being brought over, from where.
    imports: BTreeMap<ServiceName, Import>,
    tell_brought: mpsc::Sender<Brought>,
    brought: mpsc::Receiver<Brought>,
    /// What NetworkZero is told of.
    announced: BTreeMap<String, SocketAddrV4>,
    crossings: mpsc::Sender<Crossing>,
}

/// A service that is being brought over, until this is dropped.
struct Import {
    address: SocketAddrV4,
    /// Whether its program can be reached.
    is_there: bool,
    keeping: AbortHandle,
}

impl Drop for Import {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

/// A program that waits for a name.
struct Waiting {
    name: String,
    until: Instant,
    answer: oneshot::Sender<Value>,
}

impl Working {
    async fn work(mut self, mut air: Option<Air>, closing: &Ending) {
        loop {
            let ended = match air.take() {
                Some(air) => self.be_beacon(air, closing).await,
                None => self.ask_other(closing).await,
            };
            let Some(node) = self.node.upgrade().filter(|_| ended.is_continue()) else { return };
            air = match open(&node.config().interfaces) {
                Ok(air) => air,
                Err(error) => {
                    tracing::warn!(%error, "cannot hear the beacons of NetworkZero; trying again");
                    None
                }
            };
        }
    }

    /// Is the beacon of this machine, until the system takes the port back.
    async fn be_beacon(&mut self, air: Air, closing: &Ending) -> Ended {
        self.tell(Crossing::IsBeacon);
        let mut beacon = Beacon::new(NAMES);
        beacon.announce(self.announced.clone(), clock::now());
        let hired = match self.node.upgrade() {
            Some(node) => clerk::hire(&node).await,
            None => return Ended::Break(()),
        };
        let (_clerk, mut orders) = match hired {
            Ok((clerk, orders)) => (Some(clerk), orders),
            Err(error) => {
                let hint = "programs of NetworkZero on this machine cannot ask it";
                tracing::warn!(%error, hint, "no command socket");
                (None, mpsc::channel(1).1)
            }
        };
        let mut waiting = Vec::new();
        let mut glance = time::interval(GLANCE);
        loop {
            let now = clock::now();
            let due = beacon.next_due().map(|due| time::sleep_until(due.into()));
            tokio::select! {
                biased;
                () = closing.come() => return Ended::Break(()),
                event = self.watcher.recv() => match event {
                    Some(event) => self.hear_mesh(event),
                    None => return Ended::Break(()),
                },
                Some(brought) = self.brought.recv() => self.note(brought),
                Some(order) = orders.recv() => obey(order, &mut beacon, &mut waiting, now),
                heard = air.hear() => match heard {
                    Ok(bytes) => match Advert::from_bytes(&bytes) {
                        Ok(advert) => beacon.hear(advert, now),
                        Err(error) => {
                            tracing::debug!(%error, "a datagram that is no advert of NetworkZero");
                            continue;
                        }
                    },
                    Err(error) => {
                        tracing::debug!(%error, "cannot hear the beacons of NetworkZero");
                        continue;
                    }
                },
                () = when(due) => {
                    if let Some(bytes) = beacon.broadcast(clock::now()) {
                        air.say(&bytes).await;
                    }
                    continue;
                }
                _ = glance.tick() => beacon.forget_old(now),
            }
            let natives: BTreeMap<_, _> = beacon.natives().map(|(name, at)| (name.to_owned(), at)).collect();
            if self.reconcile(&natives) {
                beacon.announce(self.announced.clone(), now);
            }
            answer(&mut waiting, &beacon, now);
        }
    }

    /// Has the beacon of another process do the work, until that has gone.
    async fn ask_other(&mut self, closing: &Ending) -> Ended {
        let Some(node) = self.node.upgrade() else { return Ended::Break(()) };
        let (network, limits) = (node.config().network.clone(), Arc::clone(node.limits()));
        drop(node);
        let mut other = match OtherBeacon::reach(&network, &limits).await {
            Ok(other) => other,
            Err(error) => {
                tracing::debug!(%error, "the beacon of NetworkZero on this machine does not answer");
                return self.pause(closing).await;
            }
        };
        self.tell(Crossing::OtherBeacon);
        loop {
            if let Err(error) = self.exchange_with(&mut other).await {
                tracing::debug!(%error, "the beacon of NetworkZero on this machine has gone");
                return Ended::Continue(());
            }
            if self.pause(closing).await.is_break() {
                let nothing = BTreeMap::new();
                let taken_back = other.announce(&nothing);
                if !matches!(time::timeout(CLOSING, taken_back).await, Ok(Ok(()))) {
                    tracing::debug!(
                        "the beacon of NetworkZero on this machine goes on to advertise the mesh"
                    );
                }
                return Ended::Break(());
            }
        }
    }

    async fn exchange_with(&mut self, other: &mut OtherBeacon) -> Result<(), OtherBeaconError> {
        let natives = other.natives().await?;
        self.reconcile(&natives);
        other.announce(&self.announced).await
    }

    /// Hears the mesh for a while.
    async fn pause(&mut self, closing: &Ending) -> Ended {
        let until = time::Instant::now() + ASK;
        loop {
            tokio::select! {
                biased;
                () = closing.come() => return Ended::Break(()),
                event = self.watcher.recv() => match event {
                    Some(event) => self.hear_mesh(event),
                    None => return Ended::Break(()),
                },
                Some(brought) = self.brought.recv() => self.note(brought),
                () = time::sleep_until(until) => return Ended::Continue(()),
            }
        }
    }

    fn hear_mesh(&mut self, event: DirectoryEvent) {
        match event {
            DirectoryEvent::Up(instance) | DirectoryEvent::Moved(instance) => self.exchange.up(&instance),
            DirectoryEvent::Down { instance, .. } => self.exchange.down(instance.id),
        }
    }

    fn note(&mut self, Brought { name, instance }: Brought) {
        self.exchange.bring(&name, instance);
        let Some(import) = self.imports.get_mut(&name) else { return };
        let address = import.address;
        import.is_there = instance.is_some();
        self.tell(match instance {
            Some(_) => Crossing::Brought { name, address },
            None => Crossing::TakenBack { name },
        });
    }

    /// Begins and ends to bring over what is, and is not, to be brought over; says whether anything else is announced than
    /// before.
    fn reconcile(&mut self, natives: &BTreeMap<String, SocketAddrV4>) -> bool {
        let natives = || natives.iter().map(|(name, address)| (name.as_str(), *address));
        let wanted = self.exchange.wanted(natives());
        let gone: Vec<ServiceName> = self
            .imports
            .iter()
            .filter(|(name, import)| wanted.get(*name) != Some(&import.address))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.exchange.end(&name);
            if self.imports.remove(&name).is_some_and(|import| import.is_there) {
                self.tell(Crossing::TakenBack { name });
            }
        }
        for (name, address) in wanted {
            if !self.imports.contains_key(&name) {
                self.exchange.begin(&name);
                let keeping =
                    import::keep(self.node.clone(), name.clone(), address, self.tell_brought.clone());
                let keeping = tokio::task::spawn_local(keeping).abort_handle();
                self.imports.insert(name, Import { address, is_there: false, keeping });
            }
        }
        let announced = self.exchange.announced(natives());
        let changed = announced != self.announced;
        for (name, address) in &announced {
            if self.announced.get(name) != Some(address) {
                self.tell(Crossing::Announced { name: name.clone(), address: *address });
            }
        }
        for name in self.announced.keys().filter(|name| !announced.contains_key(*name)) {
            self.tell(Crossing::Unannounced { name: name.clone() });
        }
        self.announced = announced;
        changed
    }

    fn tell(&self, crossing: Crossing) {
        tracing::info!(?crossing, "networkzero");
        // Its owner need not listen.
        let _ = self.crossings.try_send(crossing);
    }
}

/// Whether a part of the work ended the whole.
type Ended = std::ops::ControlFlow<()>;

async fn when(due: Option<time::Sleep>) {
    match due {
        Some(due) => due.await,
        None => std::future::pending().await,
    }
}

/// Does what a program of this machine wants.
fn obey(Order { command, answer }: Order, beacon: &mut Beacon, waiting: &mut Vec<Waiting>, now: Instant) {
    let done = match command {
        Command::Advertise { name, address, fail_if_exists, lifetime } => {
            // It has been completed, and is whole.
            let address = address.and_then(|address| address.parse().ok());
            let advert = address.map(|address| Advert { name, address, lifetime });
            let advertised = advert.filter(|advert| beacon.advertise(advert.clone(), fail_if_exists, now));
            json!(advertised.map(|advert| advert.address.to_string()))
        }
        Command::Unadvertise(name) => {
            beacon.unadvertise(&name);
            Value::Null
        }
        Command::Discover(name, wait) => {
            return waiting.push(Waiting { name, until: now + wait, answer });
        }
        Command::DiscoverAll => beacon.all().iter().map(|(name, at)| json!([name, at.to_string()])).collect(),
        Command::Pause | Command::Resume => {
            beacon.pause(command == Command::Pause);
            Value::Null
        }
        Command::Reset => {
            beacon.reset();
            Value::Null
        }
        Command::Stop => {
            tracing::warn!("a program of NetworkZero asked the beacon to stop; the mesh needs it");
            Value::Null
        }
    };
    // A program that has gone meanwhile does not wait.
    let _ = answer.send(done);
}

/// Answers those whose name is known by now, and those who have waited long enough.
fn answer(waiting: &mut Vec<Waiting>, beacon: &Beacon, now: Instant) {
    for Waiting { name, until, answer } in std::mem::take(waiting) {
        match beacon.find(&name) {
            None if until > now && !answer.is_closed() => waiting.push(Waiting { name, until, answer }),
            found => drop(answer.send(json!(found.map(|address| address.to_string())))),
        }
    }
}
