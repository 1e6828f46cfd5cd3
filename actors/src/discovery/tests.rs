//! Discovery actors on loopback, with endpoints that do nothing but shake hands.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::advert::Advert;
use meshzero_proto::directory::{DirectoryEvent, Filter, Instance, Why};
use meshzero_proto::hello::{Answer, Purpose, Rejection, Welcome, encode_answer, parse_hello};
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::name::{MeshName, ServiceName};
use meshzero_proto::query::Replies;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time;

use super::*;
use crate::bound::Bound;
use crate::dial::read_greeting;
use crate::interfaces::Interfaces;
use crate::mdns::channel::{Channel, Use};

mod within;

const PATIENCE: Duration = Duration::from_secs(20);

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// A mesh of this test alone.
fn own_mesh() -> MeshName {
    MeshName::new(format!("test {}", NodeId::from_random(random()))).expect("a name")
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).expect("a name")
}

/// No interface of any host: multicast does not pass.
fn deaf() -> Interfaces {
    "203.0.113.77".parse().expect("an address")
}

struct Node {
    mesh: MeshName,
    id: NodeId,
    discovery: Addr<Discovery>,
}

/// A service's listener; dropping it closes the listener and every connection that came through it.
struct Endpoint {
    instance: InstanceId,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    fn start(mesh: &MeshName) -> Self {
        Self::start_with(mesh, Interfaces::loopback(), Vec::new())
    }

    fn start_with(mesh: &MeshName, interfaces: Interfaces, peers: Vec<String>) -> Self {
        let id = NodeId::from_random(random());
        let config = Arc::new(Config { mesh: mesh.clone(), interfaces, peers, ..Config::default() });
        Self { mesh: mesh.clone(), id, discovery: Discovery::start_for(&config, id).expect("threads") }
    }

    async fn offer(&self, service: &str) -> Endpoint {
        let endpoint = endpoint(&self.mesh, self.id, Some(self.discovery.clone())).await;
        let advert = advert(&self.mesh, self.id, service, endpoint.instance, endpoint.address);
        let offer = Announce(advert, Bound::At(endpoint.address));
        self.discovery.send(offer).await.expect("the actor lives");
        endpoint
    }

    async fn watch(&self, filter: Filter) -> Watcher {
        self.discovery.send(Watch { filter, addresses: Addresses::Moves }).await.expect("the actor lives")
    }

    async fn list(&self) -> Vec<Instance> {
        self.list_within(Filter::everything(), PATIENCE).await
    }

    async fn list_within(&self, filter: Filter, within: Duration) -> Vec<Instance> {
        self.discovery.send(List { filter, within }).await.expect("the actor lives")
    }

    async fn leave(self) {
        self.discovery.send(Leave).await.expect("the actor lives");
    }
}

/// Listens and shakes hands in the name of `node`. Peers are passed to `discovery`, or held without a word.
async fn endpoint(mesh: &MeshName, node: NodeId, discovery: Option<Addr<Discovery>>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let instance = InstanceId::from_random(random());
    let mesh = mesh.clone();
    let task = actix_rt::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.expect("loopback accepts");
            if let Some((stream, hello)) = welcome(stream, &mesh, node, instance).await {
                match &discovery {
                    Some(discovery) => discovery.do_send(PeerArrived { connection: stream.into(), hello }),
                    None => held.push(stream),
                }
            }
        }
    });
    Endpoint { instance, address, task }
}

async fn welcome(
    mut stream: TcpStream,
    mesh: &MeshName,
    node: NodeId,
    instance: InstanceId,
) -> Option<(TcpStream, Hello)> {
    let hello = read_greeting(&mut stream, &[], parse_hello).await.ok()?;
    let answer = if hello.mesh != *mesh {
        Answer::Rejected(Rejection::OtherMesh { theirs: mesh.clone() })
    } else if hello.instance.is_some_and(|wanted| wanted != instance) {
        Answer::Rejected(Rejection::OtherInstance)
    } else {
        Answer::Welcome(Welcome {
            node,
            instance,
            service: None,
            message_bytes: 1,
            link: None,
            received: 0,
            standby: None,
        })
    };
    stream.write_all(&encode_answer(&answer)).await.ok()?;
    matches!(hello.purpose, Purpose::Peer { .. }).then_some((stream, hello))
}

/// Announces services by multicast in the name of a node that has no discovery actor, so that it can die unannounced.
struct Ghost {
    node: NodeId,
    mdns: Mdns,
}

impl Ghost {
    fn start() -> Self {
        let list = Interfaces::loopback().list().expect("a list");
        let mdns = Mdns::start(Interfaces::loopback(), &Nics::of(&list)).expect("threads");
        Self { node: NodeId::from_random(random()), mdns }
    }

    fn announce(&self, mesh: &MeshName, service: &str, instance: InstanceId, address: SocketAddr) {
        self.mdns.announce(advert(mesh, self.node, service, instance, address));
    }
}

fn advert(mesh: &MeshName, node: NodeId, service: &str, instance: InstanceId, address: SocketAddr) -> Advert {
    let (mesh, service) = (mesh.clone(), name(service));
    Advert { instance, node, mesh, service, addresses: vec![address], leaving: false }
}

async fn next(watcher: &mut Watcher) -> DirectoryEvent {
    time::timeout(PATIENCE, watcher.recv()).await.expect("an event in time").expect("the node lives")
}

async fn up(watcher: &mut Watcher) -> Instance {
    match next(watcher).await {
        DirectoryEvent::Up(instance) => instance,
        other => panic!("expected a service to come up: {other:?}"),
    }
}

/// The next service that goes, past news of others moving.
async fn down(watcher: &mut Watcher) -> (ServiceName, Why) {
    loop {
        match next(watcher).await {
            DirectoryEvent::Down { instance, why } => return (instance.service, why),
            DirectoryEvent::Moved(_) => {}
            other => panic!("expected a service to go: {other:?}"),
        }
    }
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} in time"));
}

#[actix::test]
async fn a_watcher_hears_what_comes_and_goes() {
    let mesh = own_mesh();
    let (here, there) = (Node::start(&mesh), Node::start(&mesh));
    let mut watcher = here.watch(Filter::Prefix("robot/".into())).await;
    let other = there.offer("other").await;
    let arm = there.offer("robot/arm").await;
    let found = up(&mut watcher).await;
    assert_eq!((found.service, found.id, found.node), (name("robot/arm"), arm.instance, there.id));
    assert_eq!(found.addresses, [arm.address]);
    let instance = arm.instance;
    drop(arm);
    there.discovery.send(Withdraw(instance)).await.expect("the actor lives");
    assert_eq!(down(&mut watcher).await.0, name("robot/arm"));
    drop(other);
    here.leave().await;
    there.leave().await;
    assert_eq!(time::timeout(PATIENCE, watcher.recv()).await, Ok(None), "the watch ends with the node");
}

#[actix::test]
async fn own_services_are_listed_too() {
    let node = Node::start(&own_mesh());
    let _arm = node.offer("arm").await;
    let found = node.list().await;
    assert_eq!(found.len(), 1);
    assert!(found[0].local);
    node.leave().await;
}

#[actix::test]
async fn what_was_there_before_is_listed_and_sought() {
    let mesh = own_mesh();
    let there = Node::start(&mesh);
    let _a = there.offer("group/a").await;
    let _b = there.offer("group/b").await;
    let _c = there.offer("c").await;
    let here = Node::start(&mesh);
    let mut watcher = here.watch(Filter::Name(name("c"))).await;
    here.discovery.send(Seek { name: name("c") }).await.expect("the actor lives");
    assert_eq!(up(&mut watcher).await.service, name("c"));
    let services: Vec<_> = here.list().await.into_iter().map(|i| i.service.to_string()).collect();
    assert_eq!(services, ["c", "group/a", "group/b"]);
    let group = Filter::group("group", "/", vec![name("group/a")]);
    let group = here.list_within(group, PATIENCE).await;
    assert_eq!(group.len(), 1);
    let nothing = here.list_within(Filter::Name(name("nothing")), Duration::from_millis(300)).await;
    assert!(nothing.is_empty());
    here.leave().await;
    there.leave().await;
}

#[actix::test]
async fn a_process_that_dies_without_a_word_is_noticed() {
    let mesh = own_mesh();
    let ghost = Ghost::start();
    let (arm, leg) = (endpoint(&mesh, ghost.node, None).await, endpoint(&mesh, ghost.node, None).await);
    ghost.announce(&mesh, "arm", arm.instance, arm.address);
    ghost.announce(&mesh, "leg", leg.instance, leg.address);
    let here = Node::start(&mesh);
    let mut watcher = here.watch(Filter::everything()).await;
    up(&mut watcher).await;
    up(&mut watcher).await;
    until("both live", async || here.list().await.len() == 2).await;
    // One endpoint closes, unannounced; the process lives, and with it the other service.
    drop(arm);
    time::sleep(Duration::from_millis(1_200)).await;
    let mut gone = Vec::new();
    while let Some(event) = watcher.try_recv() {
        if let DirectoryEvent::Down { instance, .. } = event {
            gone.push(instance.service);
        }
    }
    assert!(!gone.contains(&name("leg")), "{gone:?}");
    let killed = time::Instant::now();
    drop(leg);
    while gone.len() < 2 {
        gone.push(down(&mut watcher).await.0);
    }
    assert!(killed.elapsed() < Duration::from_secs(10), "noticed after {:?}", killed.elapsed());
    assert!(here.list_within(Filter::everything(), Duration::from_millis(300)).await.is_empty());
    // Its records live on, and do not bring it back.
    ghost.announce(&mesh, "leg", InstanceId::from_random(random()), ([127, 0, 0, 1], 9).into());
    up(&mut watcher).await;
    down(&mut watcher).await;
    here.leave().await;
}

#[actix::test]
async fn what_nobody_answers_for_is_not_listed() {
    let mesh = own_mesh();
    let ghost = Ghost::start();
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    ghost.announce(&mesh, "forged", InstanceId::from_random(random()), gone);
    let here = Node::start(&mesh);
    let mut watcher = here.watch(Filter::everything()).await;
    assert_eq!(up(&mut watcher).await.service, name("forged"));
    assert_eq!(down(&mut watcher).await.0, name("forged"));
    assert!(here.list_within(Filter::everything(), Duration::from_millis(500)).await.is_empty());
    here.leave().await;
}

#[actix::test]
async fn a_forged_goodbye_is_not_believed() {
    let mesh = own_mesh();
    let there = Node::start(&mesh);
    let arm = there.offer("arm").await;
    let here = Node::start(&mesh);
    let mut watcher = here.watch(Filter::everything()).await;
    up(&mut watcher).await;
    let mut forger = Ghost::start();
    forger.node = there.id;
    let list = Interfaces::loopback().list().expect("a list");
    let nics = Nics::of(&list);
    let family = nics.used[0].families().next().expect("it has an address");
    let ears = Channel::open(&nics.used[0], family, Use::Multicast).expect("a socket");
    let mut replies = Replies::default();
    // At another address, so that it can be told from what the true node says.
    let elsewhere = SocketAddr::from(([127, 0, 0, 1], 9));
    forger.announce(&mesh, "arm", arm.instance, elsewhere);
    until("the forger's record is out", async || {
        let mut is_out = false;
        let take = |from, bytes: &[u8]| {
            let adverts = replies.add(from, bytes).map(|replied| replied.adverts).unwrap_or_default();
            is_out |= adverts.iter().any(|advert| advert.addresses == [elsewhere]);
        };
        ears.receive(64, take).await.expect("the socket lives");
        is_out
    })
    .await;
    forger.mdns.close().await;
    // The endpoint is asked, and answers.
    time::sleep(Duration::from_millis(500)).await;
    while let Some(event) = watcher.try_recv() {
        assert!(!matches!(event, DirectoryEvent::Down { .. }), "{event:?}");
    }
    assert_eq!(here.list().await.len(), 1);
    here.leave().await;
    there.leave().await;
}

#[actix::test]
async fn another_mesh_is_reported_and_not_mixed() {
    let (mesh, other) = (own_mesh(), own_mesh());
    let there = Node::start(&other);
    let _arm = there.offer("arm").await;
    let here = Node::start(&mesh);
    here.discovery.send(Seek { name: name("arm") }).await.expect("the actor lives");
    until("the other mesh is noted", async || {
        let report = here.discovery.send(Ask).await.expect("the actor lives");
        report.other_meshes.contains(&other.to_string())
    })
    .await;
    let report = here.discovery.send(Ask).await.expect("the actor lives");
    assert!(report.heard.is_empty());
    assert!(report.interfaces.iter().any(|interface| interface.contains("127.0.0.1")), "{report:?}");
    here.leave().await;
    there.leave().await;
}

#[actix::test]
async fn static_peers_hand_on_what_they_know() {
    let mesh = own_mesh();
    let hub = Node::start_with(&mesh, deaf(), Vec::new());
    let entrance = hub.offer("hub").await;
    let peers = vec![entrance.address.to_string()];
    let ann = Node::start_with(&mesh, deaf(), peers.clone());
    let bob = Node::start_with(&mesh, deaf(), peers);
    let mut at_bob = bob.watch(Filter::Prefix("ann".into())).await;
    let mut at_hub = hub.watch(Filter::Prefix("ann".into())).await;
    let early = ann.offer("ann/early").await;
    for watcher in [&mut at_hub, &mut at_bob] {
        let found = up(watcher).await;
        assert_eq!((found.service, found.addresses), (name("ann/early"), vec![early.address]));
    }
    let late = ann.offer("ann/late").await;
    assert_eq!(up(&mut at_bob).await.service, name("ann/late"));
    let instance = late.instance;
    drop(late);
    ann.discovery.send(Withdraw(instance)).await.expect("the actor lives");
    assert_eq!(down(&mut at_bob).await.0, name("ann/late"));
    drop(early);
    ann.leave().await;
    assert_eq!(down(&mut at_bob).await.0, name("ann/early"));
    assert_eq!(bob.list().await.len(), 1, "the hub is left");
    bob.leave().await;
    hub.leave().await;
}

#[actix::test]
async fn a_static_peer_may_come_later_and_come_back() {
    let mesh = own_mesh();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let here = Node::start_with(&mesh, deaf(), vec![address.to_string(), "no host:x".into()]);
    let mut watcher = here.watch(Filter::everything()).await;
    let missed = here.discovery.send(Ask).await.expect("the actor lives").peers;
    assert!(missed.len() == 2 && missed[0].starts_with(&format!("{address}: ")), "{missed:?}");
    for service in ["first", "second"] {
        let hub = Node::start_with(&mesh, deaf(), Vec::new());
        let offered = hub.offer(service).await;
        // A stranger comes first, then the real peer behind the same address.
        drop(listener.accept().await.expect("loopback accepts"));
        let (stream, _) = listener.accept().await.expect("loopback accepts");
        let (stream, hello) = welcome(stream, &mesh, hub.id, offered.instance).await.expect("a peer");
        hub.discovery.do_send(PeerArrived { connection: stream.into(), hello });
        assert_eq!(up(&mut watcher).await.service, name(service));
        let missed = here.discovery.send(Ask).await.expect("the actor lives").peers;
        assert!(missed.len() == 1 && missed[0].starts_with("no host:x: "), "{missed:?}");
        drop(offered);
        hub.leave().await;
        assert_eq!(down(&mut watcher).await.0, name(service));
    }
    here.leave().await;
}

/// Panics where it is handled.
#[derive(Message)]
#[rtype(result = "()")]
struct Stumble;

impl Handler<Stumble> for Discovery {
    type Result = ();

    fn handle(&mut self, Stumble: Stumble, _: &mut Self::Context) {
        panic!("a fault of its own");
    }
}

#[actix::test]
async fn a_panic_costs_discovery_one_message_and_nothing_else() {
    let mesh = own_mesh();
    let (here, there) = (Node::start(&mesh), Node::start(&mesh));
    let mut watcher = here.watch(Filter::everything()).await;
    let _before = there.offer("before").await;
    assert_eq!(up(&mut watcher).await.service, name("before"));
    for node in [&here, &there] {
        node.discovery.send(Stumble).await.expect_err("it panics");
    }
    let after = there.offer("after").await;
    assert_eq!(up(&mut watcher).await.service, name("after"));
    assert_eq!(here.list().await.len(), 2, "what was known is known still");
    let instance = after.instance;
    drop(after);
    there.discovery.send(Withdraw(instance)).await.expect("the actor lives");
    assert_eq!(down(&mut watcher).await.0, name("after"));
    here.leave().await;
    there.leave().await;
}
