//! One service of NetworkZero, imported into the mesh while its program can be reached.

use std::net::SocketAddrV4;
use std::sync::{Arc, Weak};
use std::time::Duration;

use meshzero_proto::id::InstanceId;
use meshzero_proto::name::ServiceName;
use tokio::sync::mpsc;
use tokio::time;

use crate::net::bind::BindAddress;
use crate::node::Node;
use crate::node::advertise::{ActorSource, AdvertiseError, ServiceSpec, Uniqueness, advertise};
use crate::runtime::backoff::Backoff;
use crate::server::actor::restart_policy::RestartPolicy;
use crate::server::zmtp::{self, Forwarder, ProxyActor, ZmtpPeer};

/// The delays before another attempt to connect to a program.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// The timeout of an attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The state of an import.
pub(super) struct ImportState {
    pub(super) name: ServiceName,
    /// Its instance in the mesh; `None` if its program cannot be reached.
    pub(super) instance: Option<InstanceId>,
}

/// Imports the program that listens at `address` as `name`, until this future is dropped or the node has left. While the
/// program cannot be reached, it is not a service of the mesh, so that every service that is found there can be called.
pub(super) async fn run(
    node: Weak<Node>,
    name: ServiceName,
    address: SocketAddrV4,
    states: mpsc::Sender<ImportState>,
) {
    let mut backoff = BACKOFF;
    while let Some(strong_node) = node.upgrade() {
        let (network, limits) = (strong_node.config().network.clone(), Arc::clone(strong_node.limits()));
        drop(strong_node);
        match time::timeout(CONNECT_TIMEOUT, zmtp::connect(&network, address.into(), &limits)).await {
            Ok(Ok(peer)) => {
                backoff.reset();
                if let Err(error) = serve_proxy(&node, &name, peer, &states).await {
                    tracing::warn!(%name, %error, "a service of NetworkZero cannot be offered");
                }
            }
            Ok(Err(error)) => {
                tracing::debug!(%name, %address, %error, "a service of NetworkZero cannot be reached")
            }
            Err(_) => tracing::debug!(%name, %address, "a service of NetworkZero does not answer"),
        }
        time::sleep(backoff.next_delay()).await;
    }
}

/// Offers a proxy service for the program, until the connection to it ends.
async fn serve_proxy(
    node: &Weak<Node>,
    name: &ServiceName,
    peer: ZmtpPeer,
    states: &mpsc::Sender<ImportState>,
) -> Result<(), AdvertiseError> {
    let Some(node) = node.upgrade() else { return Ok(()) };
    let limits = Arc::clone(node.limits());
    let (ProxyActor { factory, handlers }, requests) = ProxyActor::new(peer.role, &limits);
    let service = ServiceSpec {
        name: Some(name.clone()),
        source: ActorSource::Factory(Box::new(|_| factory)),
        handlers,
        bind: BindAddress::default(),
        arbiter: None,
        uniqueness: Uniqueness::OneOfMany,
        topics: Vec::new(),
        restart: RestartPolicy::default(),
    };
    let advertised = advertise(&node, service).await?;
    // Holding the node would keep it from leaving.
    drop(node);
    let mut forwarder = Forwarder::new(requests, advertised.service.publisher.clone(), &limits);
    let state = |instance| ImportState { name: name.clone(), instance };
    // Fails if the gateway has ended, and this future is about to be dropped.
    let _ = states.send(state(Some(advertised.instance.id))).await;
    if let Err(error) = forwarder.run(peer).await {
        tracing::debug!(%name, %error, "the connection to a service of NetworkZero ended");
    }
    let _ = states.send(state(None)).await;
    Ok(())
}
