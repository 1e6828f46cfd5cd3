//! Keeps one route connected: dials the instances that discovery names, and dials again while they are named.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::Addr;
use meshzero_proto::directory::{DirectoryEvent, Instance, Why};
use meshzero_proto::hello::{Hello, Welcome};
use meshzero_proto::id::InstanceId;
use tokio::sync::watch;
use tokio::time::{self, Instant};

use crate::dial;
use crate::discovery::{Discovery, Failed, Proved, Verdict, Watcher};
use crate::ending::Ending;
use crate::link::Link;
use crate::own::Own;
use crate::redial::Redial;
use crate::route::{Member, Route, nameless};
use crate::service::Service;
use crate::traffic::Carrying;

/// The pause before an endpoint is dialled again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long one attempt to connect may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a keeper looks whether anybody still holds its route.
const GLANCE: Duration = Duration::from_secs(1);

/// Keeps one route, and ends when nobody holds it any more.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) route: Weak<Route>,
    pub(crate) own: Arc<Own>,
    pub(crate) ending: Arc<Ending>,
    pub(crate) discovery: Addr<Discovery>,
    pub(crate) hello: Hello,
    pub(crate) carrying: Carrying,
}

/// What discovery says of one instance at the moment; `None` when it says that it is gone.
type Listed = watch::Sender<Option<Instance>>;

impl Keeper {
    /// Runs `keeping` until it is done or the node leaves; then the route leads nowhere.
    pub(crate) async fn until_left(self, keeping: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = keeping => {}
            () = self.ending.come() => if let Some(route) = self.route.upgrade() {
                route.close();
            },
        }
    }

    /// Keeps the route to all instances of a name, as `events` tell of them.
    pub(crate) async fn keep_name(self, mut events: Watcher) {
        let mut listed: HashMap<InstanceId, Listed> = HashMap::new();
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

    async fn keep_instance(self, mut listed: watch::Receiver<Option<Instance>>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(instance) = listed.borrow_and_update().clone() else { return };
            if instance.local {
                return self.add_own(instance);
            }
            let hello = Hello { instance: Some(instance.id), ..self.hello.clone() };
            if let Some(link) = self.connect(&instance.addresses, &hello, Some(listed.clone())).await {
                match self.hold(link, instance).await {
                    None => return,
                    Some(Held::Long) => {
                        pause = FIRST_PAUSE;
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
                () = time::sleep(dial::jittered(pause)) => pause = (pause * 2).min(LONGEST_PAUSE),
                changed = listed.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Keeps the route to the one endpoint at `address`.
    pub(crate) async fn keep_address(self, address: SocketAddr) {
        let mut pause = FIRST_PAUSE;
        while self.route.strong_count() > 0 {
            if let Some(service) = self.own.at(address) {
                self.lend_own(service, address).await;
                continue;
            }
            if let Some(link) = self.connect(&[address], &self.hello, None).await {
                let instance = instance_at(address, &link.welcome);
                match self.hold(link, instance).await {
                    None => return,
                    Some(Held::Long) => {
                        pause = FIRST_PAUSE;
                        continue;
                    }
                    Some(Held::Shortly) => {}
                }
            }
            time::sleep(dial::jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
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
        while self.route.strong_count() > 0 && self.own.get(id).is_some() {
            time::sleep(GLANCE).await;
        }
        if let Some(route) = self.route.upgrade() {
            route.remove(id);
        }
    }

    /// Dials, and lets discovery know how that went: a handshake is the proof of what it has only heard.
    async fn connect(
        &self,
        addresses: &[SocketAddr],
        hello: &Hello,
        listed: Option<watch::Receiver<Option<Instance>>>,
    ) -> Option<Arc<Link>> {
        let dialled = dial::dial(&self.carrying.network, addresses, hello, PATIENCE).await;
        match (&dialled, hello.instance) {
            (Ok(dialled), Some(instance)) => {
                self.discovery.do_send(Proved { instance, address: dialled.address });
            }
            (Err(error), Some(instance)) => {
                self.discovery.do_send(Failed { instance, verdict: Verdict::from(error) });
            }
            (_, None) => {}
        }
        let opened = match dialled {
            Ok(dialled) => {
                let redial = Redial::new(hello, &dialled, listed, &self.carrying);
                Link::open(dialled, redial, &self.carrying).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match opened {
            Ok(link) => Some(link),
            Err(trouble) => {
                tracing::debug!(%trouble, "an instance cannot be reached");
                if let Some(route) = self.route.upgrade() {
                    route.note_trouble(trouble);
                }
                None
            }
        }
    }

    /// Lets callers use `link` until it ends; `None` when nobody holds the route any more.
    async fn hold(&self, link: Arc<Link>, instance: Instance) -> Option<Held> {
        let since = Instant::now();
        self.add(Member::Remote(Arc::clone(&link), Arc::new(instance)));
        loop {
            tokio::select! {
                biased;
                () = link.closed() => {
                    let route = self.route.upgrade()?;
                    route.remove_link(&link);
                    route.note_trouble("the connection was lost".to_owned());
                    return Some(if since.elapsed() > LONGEST_PAUSE { Held::Long } else { Held::Shortly });
                }
                () = time::sleep(GLANCE) => if self.route.strong_count() == 0 {
                    link.close();
                    return None;
                },
            }
        }
    }

    fn add_own(&self, instance: Instance) {
        if let Some(service) = self.own.get(instance.id) {
            self.add(Member::Local(service, Arc::new(instance)));
        }
    }

    fn add(&self, member: Member) {
        if let Some(route) = self.route.upgrade() {
            route.add(member);
        }
    }
}

/// For how long a link worked: one that does not last is not dialled again at once.
enum Held {
    Long,
    Shortly,
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
