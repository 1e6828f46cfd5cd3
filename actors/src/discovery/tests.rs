//! Tests of discovery actors on loopback, with endpoints that do nothing but the handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::discovery::advert::Advert;
use meshzero_proto::discovery::directory::{DirectoryEvent, DownReason, Filter, Instance};
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::{MeshName, ServiceName};
use meshzero_proto::wire::hello::{
    Hello, HelloAnswer, Purpose, Rejection, Welcome, encode_answer, parse_hello,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time;

use super::*;
use crate::link::dial::read_handshake;
use crate::net::bound_addresses::BoundAddresses;
use crate::net::interfaces::Interfaces;

mod panics;
mod services;
mod static_peers;
mod within;

const TIMEOUT: Duration = Duration::from_secs(20);

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// Returns a mesh of this test alone.
fn own_mesh() -> MeshName {
    MeshName::new(format!("test {}", NodeId::from_random(random()))).expect("a name")
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).expect("a name")
}

/// Returns an address of no interface: multicast does not work.
fn unused_interface() -> Interfaces {
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
        let offer = Announce(advert, BoundAddresses::At(endpoint.address));
        self.discovery.send(offer).await.expect("the actor lives");
        endpoint
    }

    async fn watch(&self, filter: Filter) -> Watcher {
        self.discovery
            .send(Watch { filter, addresses: AddressChanges::Moves })
            .await
            .expect("the actor lives")
    }

    async fn list(&self) -> Vec<Instance> {
        self.list_within(Filter::everything(), TIMEOUT).await
    }

    async fn list_within(&self, filter: Filter, within: Duration) -> Vec<Instance> {
        self.discovery.send(ListInstances { filter, within }).await.expect("the actor lives")
    }

    async fn leave(self) {
        self.discovery.send(Leave).await.expect("the actor lives");
    }
}

/// Listens and performs the handshake in the name of `node`. Peers are passed to `discovery`, or held open silently.
async fn endpoint(mesh: &MeshName, node: NodeId, discovery: Option<Addr<Discovery>>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let instance = InstanceId::from_random(random());
    let mesh = mesh.clone();
    let task = actix_rt::spawn(async move {
        let mut connections = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.expect("loopback accepts");
            if let Some((stream, hello)) = welcome(stream, &mesh, node, instance).await {
                match &discovery {
                    Some(discovery) => discovery.do_send(PeerConnection { connection: stream.into(), hello }),
                    None => connections.push(stream),
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
    let hello = read_handshake(&mut stream, &[], parse_hello).await.ok()?;
    let answer = if hello.mesh != *mesh {
        HelloAnswer::Rejected(Rejection::OtherMesh { theirs: mesh.clone() })
    } else if hello.instance.is_some_and(|wanted| wanted != instance) {
        HelloAnswer::Rejected(Rejection::OtherInstance)
    } else {
        HelloAnswer::Welcome(Welcome {
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

/// A daemon that announces services by multicast in the name of a node without a discovery actor, so that it can die
/// without a goodbye.
struct Impostor {
    node: NodeId,
    mdns: Mdns,
}

impl Impostor {
    fn start() -> Self {
        let list = Interfaces::loopback().list().expect("a list");
        let mdns = Mdns::start(Interfaces::loopback(), &InterfaceTable::of(&list)).expect("threads");
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
    time::timeout(TIMEOUT, watcher.recv()).await.expect("an event in time").expect("the node lives")
}

async fn up(watcher: &mut Watcher) -> Instance {
    match next(watcher).await {
        DirectoryEvent::Up(instance) => instance,
        other => panic!("expected a service to come up: {other:?}"),
    }
}

/// Returns the next service that goes down, past moves of others.
async fn down(watcher: &mut Watcher) -> (ServiceName, DownReason) {
    loop {
        match next(watcher).await {
            DirectoryEvent::Down { instance, reason } => return (instance.service, reason),
            DirectoryEvent::Moved(_) => {}
            other => panic!("expected a service to go: {other:?}"),
        }
    }
}

async fn until(description: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(TIMEOUT, wait).await.unwrap_or_else(|_| panic!("{description} in time"));
}
