//! This process in the swarm: like kameo's own bootstrap, but over TCP on loopback alone and without mDNS.

use futures_util::StreamExt;
use kameo::remote::{Behaviour, messaging};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, noise, tcp, yamux};
use peers_common::Result;
use tokio::sync::watch;

/// The longest message, with the bytes around the payload.
const LONGEST: u64 = 4 << 20;

/// Joins the swarm, connected to the other process if it is given. Returns the own address, once it is connected.
pub(crate) async fn join(other: Option<&str>) -> Result<String> {
    let mut swarm: Swarm<Behaviour> = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| {
            let messages = messaging::Config::default().with_request_size_maximum(LONGEST);
            Behaviour::new(key.public().to_peer_id(), messages)
        })?
        .build();
    swarm.behaviour().try_init_global()?;
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    if let Some(other) = other {
        let (peer, address) = other.split_once(' ').ok_or("an address without an identity")?;
        let (peer, address): (PeerId, Multiaddr) = (peer.parse()?, address.parse()?);
        swarm.add_peer_address(peer, address.clone());
        swarm.dial(address)?;
    }
    let identity = *swarm.local_peer_id();
    let (tell, mut told) = watch::channel((None, other.is_none()));
    tokio::spawn(async move {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => {
                    tell.send_modify(|(own, _)| *own = Some(address))
                }
                SwarmEvent::ConnectionEstablished { .. } => {
                    tell.send_modify(|(_, connected)| *connected = true)
                }
                _ => {}
            }
        }
    });
    let ready = told.wait_for(|(own, connected)| own.is_some() && *connected).await?;
    let own = ready.0.as_ref().ok_or("an address was waited for")?;
    Ok(format!("{identity} {own}"))
}
