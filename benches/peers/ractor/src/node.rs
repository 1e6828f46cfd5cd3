//! A node, and the discovery of the other node's actors.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use peers_common::{Result, free_address};
use ractor::{Actor, ActorRef, pg};
use ractor_cluster::{NodeServer, NodeServerMessage, client_connect};

use crate::messages::Item;

/// The group of the actors that the other node should find.
const GROUP: &str = "peers";
const GLANCE: Duration = Duration::from_millis(5);

/// A node that listens at the address.
pub(crate) async fn listen(name: &str) -> Result<(ActorRef<NodeServerMessage>, SocketAddr)> {
    let address = free_address()?;
    let server = NodeServer::new(
        address.port(),
        "peers".to_owned(),
        name.to_owned(),
        "localhost".to_owned(),
        None,
        None,
    )
    .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (node, _) = Actor::spawn(None, server, ()).await?;
    Ok((node, address))
}

/// Connects to the other node.
pub(crate) async fn connect(node: &ActorRef<NodeServerMessage>, address: &str) -> Result {
    client_connect(node, address).await.map_err(|error| error.to_string().into())
}

/// Publishes the actor to the other node.
pub(crate) fn show(actor: &ActorRef<Item>) {
    pg::join(GROUP.to_owned(), vec![actor.get_cell()]);
}

/// This many actors of the other node, as soon as they are found.
pub(crate) async fn others(count: usize) -> Vec<ActorRef<Item>> {
    loop {
        let mut cells = pg::get_members(&GROUP.to_owned());
        cells.retain(|cell| !cell.get_id().is_local());
        if cells.len() >= count {
            return cells.into_iter().map(Into::into).collect();
        }
        // The group sends no notification that could be awaited before there is a load.
        tokio::time::sleep(GLANCE).await;
    }
}
