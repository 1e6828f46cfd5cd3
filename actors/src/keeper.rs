//! Keeps one route connected: dials the instances that discovery names, and dials again while they are named.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::WeakRecipient;
use meshzero_proto::directory::{DirectoryEvent, Instance, Why};
use meshzero_proto::hello::{Hello, Purpose, Welcome};
use meshzero_proto::id::InstanceId;
use tokio::sync::watch;
use tokio::time::{self, Instant};

use crate::backoff::Backoff;
use crate::bound::Bound;
use crate::dial::{self, DialError, Listed};
use crate::discovery::{Failed, Proved, Verdict, Watcher};
use crate::link::Link;
use crate::premises::Premises;
use crate::redial::Redial;
use crate::route::{Member, Route};
use crate::service::Service;
use crate::stats::AskStats;
use crate::target::nameless;
use crate::zmtp::{self, StandIn};

/// Before an endpoint is dialled again.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), LONGEST_PAUSE);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long one attempt to connect may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a keeper looks whether anybody still holds its route.
const GLANCE: Duration = Duration::from_secs(1);

/// Keeps one route, and ends when nobody holds it any more.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) route: Weak<Route>,
    pub(crate) premises: Arc<Premises>,
    /// Who knows what the node has counted.
    pub(crate) node_stats: WeakRecipient<AskStats>,
}

/// What discovery says of one instance at the moment; `None` when it says that it is gone.
type Listing = watch::Sender<Option<Instance>>;

impl Keeper {
    /// Runs `keeping` until it is done or the node leaves; then the route leads nowhere.
    pub(crate) async fn until_left(self, keeping: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = keeping => {}
            () = self.premises.ending.come() => if let Some(route) = self.route.upgrade() {
                route.close();
            },
        }
    }

    /// Keeps the route to all instances of a name, as `events` tell of them.
    pub(crate) async fn keep_name(self, mut events: Watcher) {
        let mut listed: HashMap<InstanceId, Listing> = HashMap::new();
        while let Some(event) = self.next(&mut events).await {
            match event {
                DirectoryEvent::Up(instance) | DirectoryEvent::Moved(instance) => {
                    let id = instance.id;
                    let known = listed.get(&id).is_some_and(|told| told.send(Some(instance.clone())).is_ok());
                    if !known {
                        listed.retain(|_, told| !told.is_closed());
                        let (tell, told) = watch::channel(Some(instance));
                        listed.insert(id, tell);
                        actix::spawn(self.clone().until_left(self.clone().keep_instance(told)));
                    }
                }
                DirectoryEvent::Down { instance, why } => {
                    // Its node said so, or its endpoint did: it drains, and new calls go elsewhere.
                    let drains = instance.local || matches!(why, Why::Withdrawn | Why::Refused);
                    if let Some(told) = listed.get(&instance.id) {
                        // Who is still connected stays so, and gets its replies; nobody is dialled any more. A link that
                        // waits for its next connection is the one to use if the instance is back before it has ended: a
                        // second one beside it would overtake what waits there.
                        let _ = told.send(None);
                    }
                    if drains {
                        listed.remove(&instance.id);
                    }
                    if let Some(route) = self.route.upgrade() {
                        if drains {
                            route.remove(instance.id);
                        }
                        route.note_trouble(format!("the last one known is gone: {why}"));
                    }
                }
            }
        }
    }

    /// The next event, while somebody holds the route.
    async fn next(&self, events: &mut Watcher) -> Option<DirectoryEvent> {
        loop {
            tokio::select! {
                biased;
                event = events.recv() => return event,
                () = time::sleep(GLANCE) => {
                    self.route.upgrade()?;
                }
            }
        }
    }

    async fn keep_instance(self, mut listed: Listed) {
        let mut pauses = PAUSES;
        let mut answered = None;
        loop {
            let Some(instance) = listed.borrow_and_update().clone() else { return };
            if instance.local {
                return self.add_own(instance);
            }
            let hello = self.premises.hello_for(Some(instance.id), Purpose::Requests);
            let known = Known { addresses: &instance.addresses, answered, listed: Some(listed.clone()) };
            if let Ok(link) = self.connect(known, &hello).await {
                answered = Some(link.address());
                match self.hold(link, instance).await {
                    None => return,
                    Some(Held::Long) => {
                        pauses.reset();
                        continue;
                    }
                    Some(Held::Shortly) => {}
                }
            }
            if self.route.strong_count() == 0 {
                return;
            }
            tokio::select! {
                biased;
                () = time::sleep(pauses.pause()) => {}
                changed = listed.changed() => match changed {
                    // What is new about it is a reason to try at once, and not later than before if that fails.
                    Ok(()) => pauses.reset(),
                    Err(_) => return,
                },
            }
        }
    }

    /// Keeps the route to the one endpoint at `address`, or to the socket of ZeroMQ that listens there.
    pub(crate) async fn keep_address(self, address: SocketAddr) {
        let mut pauses = PAUSES;
        let mut is_foreign = false;
        while self.route.strong_count() > 0 {
            if let Some(service) = self.premises.own.at(address) {
                self.lend_own(service, address).await;
                continue;
            }
            let mut held = Some(Held::Shortly);
            if !is_foreign {
                match self
                    .connect(Known::only(&[address]), &self.premises.hello_for(None, Purpose::Requests))
                    .await
                {
                    Ok(link) => {
                        let instance = instance_at(address, &link.welcome);
                        held = self.hold(link, instance).await;
                    }
                    Err(trouble) => is_foreign = trouble.is_foreign,
                }
            }
            if is_foreign {
                match self.reach_foreign(address).await {
                    Some(stand_in) => held = self.lend(stand_in, address).await,
                    // It may be a program of this mesh that has come back at the address.
                    None => is_foreign = false,
                }
            }
            match held {
                None => return,
                Some(Held::Long) => pauses.reset(),
                Some(Held::Shortly) => time::sleep(pauses.pause()).await,
            }
        }
    }

    /// A service that stands in for the socket of ZeroMQ at `address`.
    async fn reach_foreign(&self, address: SocketAddr) -> Option<StandIn> {
        let carrying = &self.premises.carrying;
        let reached = zmtp::reach(&carrying.network, address, &carrying.limits);
        let reached = match time::timeout(PATIENCE, reached).await {
            Ok(Ok(reached)) => reached,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "no socket of ZeroMQ");
                return None;
            }
            Err(_) => return None,
        };
        match StandIn::open(&self.premises, self.node_stats.clone(), address, reached) {
            Ok(stand_in) => Some(stand_in),
            Err(error) => {
                tracing::warn!(%address, %error, "nothing can stand in for a socket of ZeroMQ");
                None
            }
        }
    }

    /// Lets callers use what stands in for another program until the connection to that ends; `None` when nobody holds the
    /// route any more.
    async fn lend(&self, stand_in: StandIn, address: SocketAddr) -> Option<Held> {
        let since = Instant::now();
        let service = Arc::clone(stand_in.service());
        let identity = &service.identity;
        let (id, node) = (identity.instance, identity.node);
        let instance =
            Instance { id, node, service: nameless(address), addresses: vec![address], local: false };
        // Subscribers look there.
        let _listed = self.premises.own.list(&service, Bound::At(address));
        self.add(Member::Local(Arc::clone(&service), Arc::new(instance)));
        let mut running = pin!(stand_in.run());
        loop {
            tokio::select! {
                biased;
                ended = &mut running => {
                    let route = self.route.upgrade()?;
                    route.remove(id);
                    route.note_trouble(ended);
                    return Some(Held::since(since));
                }
                () = time::sleep(GLANCE) => if self.route.strong_count() == 0 {
                    return None;
                },
            }
        }
    }

    /// Lets callers use a service of this process until it is withdrawn, or nobody holds the route any more.
    async fn lend_own(&self, service: Arc<Service>, address: SocketAddr) {
        let id = service.identity.instance;
        let instance = Instance {
            id,
            node: service.identity.node,
            service: service.identity.name.clone().unwrap_or_else(|| nameless(address)),
            addresses: vec![address],
            local: true,
        };
        self.add(Member::Local(service, Arc::new(instance)));
        while self.route.strong_count() > 0 && self.premises.own.get(id).is_some() {
            time::sleep(GLANCE).await;
        }
        if let Some(route) = self.route.upgrade() {
            route.remove(id);
        }
    }

    /// Dials, and lets discovery know how that went: a handshake is the proof of what it has only heard.
    async fn connect(&self, known: Known<'_>, hello: &Hello) -> Result<Arc<Link>, Trouble> {
        let Known { addresses, answered, listed } = known;
        let record = self.route.upgrade().map(|route| route.record(hello.instance)).unwrap_or_default();
        let network = &self.premises.carrying.network;
        let dialled = dial::dial_listed(network, addresses, listed.clone(), hello, PATIENCE, &record).await;
        match (&dialled, hello.instance) {
            (Ok(dialled), Some(instance)) => {
                self.premises.discovery.do_send(Proved { instance, address: dialled.address });
            }
            (Err(error), Some(instance)) => {
                let verdict = Verdict::of(error, answered, network);
                self.premises.discovery.do_send(Failed { instance, verdict });
            }
            (_, None) => {}
        }
        let is_foreign = dialled.as_ref().is_err_and(DialError::is_foreign);
        let opened = match dialled {
            Ok(dialled) => {
                let redial = Redial::new(hello, &dialled, listed, &self.premises.carrying);
                Link::open(dialled, redial, &self.premises.carrying).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        opened.map_err(|trouble| {
            tracing::debug!(%trouble, "an instance cannot be reached");
            if let Some(route) = self.route.upgrade() {
                route.note_trouble(trouble);
            }
            Trouble { is_foreign }
        })
    }

    /// Lets callers use `link` until it ends; `None` when nobody holds the route any more.
    async fn hold(&self, link: Arc<Link>, instance: Instance) -> Option<Held> {
        let since = Instant::now();
        tracing::debug!(service = %instance.service, instance = %instance.id, "an instance is connected");
        self.add(Member::Remote(Arc::clone(&link), Arc::new(instance)));
        loop {
            tokio::select! {
                biased;
                () = link.closed() => {
                    let route = self.route.upgrade()?;
                    route.remove_link(&link);
                    route.note_trouble("the connection was lost".to_owned());
                    return Some(Held::since(since));
                }
                () = time::sleep(GLANCE) => if self.route.strong_count() == 0 {
                    link.close();
                    return None;
                },
            }
        }
    }

    fn add_own(&self, instance: Instance) {
        if let Some(service) = self.premises.own.get(instance.id) {
            self.add(Member::Local(service, Arc::new(instance)));
        }
    }

    fn add(&self, member: Member) {
        if let Some(route) = self.route.upgrade() {
            route.add(member);
        }
    }
}

/// What is known of an endpoint that is to be dialled.
struct Known<'a> {
    addresses: &'a [SocketAddr],
    /// The address that answered last.
    answered: Option<SocketAddr>,
    /// Tells of more addresses.
    listed: Option<Listed>,
}

impl<'a> Known<'a> {
    fn only(addresses: &'a [SocketAddr]) -> Self {
        Self { addresses, answered: None, listed: None }
    }
}

/// Why an endpoint was not reached, as far as it matters; the route knows the words.
struct Trouble {
    /// Whether it may be another protocol's.
    is_foreign: bool,
}

/// For how long a link worked: one that does not last is not dialled again at once.
enum Held {
    Long,
    Shortly,
}

impl Held {
    fn since(begun: Instant) -> Self {
        if begun.elapsed() > LONGEST_PAUSE { Self::Long } else { Self::Shortly }
    }
}

/// The instance behind an address that was given instead of a name.
fn instance_at(address: SocketAddr, welcome: &Welcome) -> Instance {
    Instance {
        id: welcome.instance,
        node: welcome.node,
        service: welcome.service.clone().unwrap_or_else(|| nameless(address)),
        addresses: vec![address],
        local: false,
    }
}
