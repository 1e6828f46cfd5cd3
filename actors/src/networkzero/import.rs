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
use crate::server::actor::restart::RestartPolicy;
use crate::server::zmtp::{self, Forwarder, ProxyActor, ZmtpPeer};

/// The pauses before another attempt to connect to a program.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// The timeout of an attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The state of an import.
pub(super) struct ImportState {
    pub(super) name: ServiceName,
    /// Its instance in the mesh; `None` if its program cannot be reached.
    pub(super) instance: Option<InstanceId>,
}

/// Imports the program that listens at `address` as `name`, until this is dropped or the node has gone. While the
/// program cannot be reached it is no service of the mesh: services that are found there answer.
pub(super) async fn run(
    node: Weak<Node>,
    name: ServiceName,
    address: SocketAddrV4,
    tell: mpsc::Sender<ImportState>,
) {
    let mut pauses = PAUSES;
    while let Some(here) = node.upgrade() {
        let (network, limits) = (here.config().network.clone(), Arc::clone(here.limits()));
        drop(here);
        match time::timeout(CONNECT_TIMEOUT, zmtp::connect(&network, address.into(), &limits)).await {
            Ok(Ok(reached)) => {
                pauses.reset();
                if let Err(error) = serve_proxy(&node, &name, reached, &tell).await {
                    tracing::warn!(%name, %error, "a service of NetworkZero cannot be offered");
                }
            }
            Ok(Err(error)) => {
                tracing::debug!(%name, %address, %error, "a service of NetworkZero is not there")
            }
            Err(_) => tracing::debug!(%name, %address, "a service of NetworkZero does not answer"),
        }
        time::sleep(pauses.next_delay()).await;
    }
}

/// Offers a proxy service for the program, until the connection to it ends.
async fn serve_proxy(
    node: &Weak<Node>,
    name: &ServiceName,
    reached: ZmtpPeer,
    tell: &mpsc::Sender<ImportState>,
) -> Result<(), AdvertiseError> {
    let Some(here) = node.upgrade() else { return Ok(()) };
    let limits = Arc::clone(here.limits());
    let (ProxyActor { factory, handlers }, questions) = ProxyActor::new(reached.role, &limits);
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
    let offered = advertise(&here, service).await?;
    // Holding the node would keep it from leaving.
    drop(here);
    let mut courier = Forwarder::new(questions, offered.service.publisher.clone(), &limits);
    let import = |instance| ImportState { name: name.clone(), instance };
    // Fails if the gateway has ended, and this future is about to be dropped.
    let _ = tell.send(import(Some(offered.instance.id))).await;
    if let Err(error) = courier.run(reached).await {
        tracing::debug!(%name, %error, "the connection to a service of NetworkZero ended");
    }
    let _ = tell.send(import(None)).await;
    Ok(())
}
