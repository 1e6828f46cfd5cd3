//! A node of the cluster, and its connection to the other one.

use std::net::SocketAddr;

use actix::prelude::*;
use actix_broker::BrokerSubscribe;
use actix_telepathy::prelude::*;
use actix_telepathy::{AddrRequest, AddrResolver, Node};
use peers_common::{Result, free_address};
use tokio::sync::mpsc;

/// Receives the nodes that join.
struct Members(mpsc::UnboundedSender<Node>);

impl Actor for Members {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.subscribe_system_async::<ClusterLog>(context);
    }
}

impl Handler<ClusterLog> for Members {
    type Result = ();

    fn handle(&mut self, log: ClusterLog, _: &mut Context<Self>) {
        if let ClusterLog::NewMember(node) = log {
            // Nobody waits for a second one.
            let _ = self.0.send(node);
        }
    }
}

impl ClusterListener for Members {}

/// This process as a node: its cluster, which lives as long as this, and the channel of nodes that join.
pub(crate) struct Own {
    _cluster: Addr<Cluster>,
    members: mpsc::UnboundedReceiver<Node>,
    pub(crate) address: SocketAddr,
}

/// Starts a cluster, or joins that of the other node.
pub(crate) fn join(other: Option<SocketAddr>) -> Result<Own> {
    let (tell, members) = mpsc::unbounded_channel();
    Members(tell).start();
    let address = free_address()?;
    let cluster = Cluster::new(address, other.into_iter().collect());
    Ok(Own { _cluster: cluster, members, address })
}

impl Own {
    /// The other node, when it is connected.
    pub(crate) async fn other(&mut self) -> Result<Node> {
        Ok(self.members.recv().await.ok_or("the system stops")?)
    }
}

/// Registers an actor with the other node.
pub(crate) async fn register<A>(actor: &Addr<A>, name: String) -> Result
where
    A: Actor<Context = Context<A>> + Handler<RemoteWrapper>,
{
    let registered =
        AddrResolver::from_registry().send(AddrRequest::Register(actor.clone().recipient(), name)).await?;
    registered.map(drop).map_err(|()| "an actor cannot be registered".into())
}
