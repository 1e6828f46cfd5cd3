//! Static peers: each is dialled again until the node leaves, and the obstacles are stored for errors.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::discovery::addresses::sort;
use meshzero_proto::discovery::advert::MAX_ADDRESSES;
use meshzero_proto::wire::hello::Hello;
use tokio::time;

use crate::discovery::Discovery;
use crate::discovery::peers::link::{PeerConnected, PeerLinkOrigin, ends, run_peer_link};
use crate::discovery::report::UnconnectedPeer;
use crate::link::attempt_record::AttemptRecord;
use crate::link::dial::dial_listed;
use crate::net::connection::Connection;
use crate::net::network::Network;
use crate::net::resolve::resolve;
use crate::net::zone;
use crate::runtime::backoff::{Backoff, Jitter};
use crate::runtime::clock;

/// The time within which a static peer is resolved, and that within which it answers.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The delays before a static peer is dialled again.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).with_jitter(Jitter::Around);
/// The time after which an open connection resets the delays.
const LASTS_AFTER: Duration = Duration::from_secs(5);

/// The obstacles to connecting to static peers.
#[derive(Default)]
pub(crate) struct StaticPeers {
    troubles: BTreeMap<String, String>,
    records: BTreeMap<String, AttemptRecord>,
}

impl StaticPeers {
    /// Records a peer that is about to be dialled. Returns the record for the attempts.
    pub(crate) fn add(&mut self, peer: &str) -> AttemptRecord {
        self.troubles.insert(peer.to_owned(), "no answer yet".to_owned());
        let record = AttemptRecord::default();
        self.records.insert(peer.to_owned(), record.clone());
        record
    }

    /// Records the state of a connection to a peer.
    pub(crate) fn update(&mut self, PeerStatus { peer, trouble }: PeerStatus) {
        match trouble {
            Some(trouble) => self.troubles.insert(peer, trouble),
            None => self.troubles.remove(&peer),
        };
    }

    /// Returns the peers that are not connected, each with the reason.
    pub(crate) fn unconnected(&self) -> Vec<UnconnectedPeer> {
        let unconnected = self.troubles.iter().map(|(peer, trouble)| UnconnectedPeer {
            peer: peer.clone(),
            trouble: trouble.clone(),
            attempts: self.records.get(peer).map(AttemptRecord::attempts).unwrap_or_default(),
        });
        unconnected.collect()
    }
}

/// The state of the connection to a static peer: the obstacle, or `None` while it is connected.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct PeerStatus {
    peer: String,
    trouble: Option<String>,
}

/// Keeps one static peer connected until the node leaves.
pub(crate) async fn keep_connected(
    network: Network,
    peer: String,
    hello: Hello,
    record: AttemptRecord,
    discovery: Addr<Discovery>,
) {
    let report = async |trouble: Option<String>| {
        // This fails if the actor is gone, and then it does not matter.
        discovery.send(PeerStatus { peer: peer.clone(), trouble }).await.ok();
    };
    let mut backoff = BACKOFF;
    let (mut logged, mut pending) = (String::new(), None);
    while discovery.connected() {
        match connect(&network, &peer, &hello, &record, &mut pending).await {
            Ok((connection, connected)) if connected.node == hello.node => {
                tracing::debug!(%peer, "the static peer is this node itself");
                drop(connection);
                report(None).await;
                backoff.skip_to_longest();
            }
            Ok((connection, connected)) => {
                let started = clock::now();
                report(None).await;
                run_peer_link(&discovery, connection, connected).await;
                report(Some("the connection has ended".to_owned())).await;
                if clock::now() - started > LASTS_AFTER {
                    backoff.reset();
                }
                logged.clear();
            }
            Err(problem) => {
                report(Some(problem.clone())).await;
                // Once is enough until there is another problem.
                if problem != logged {
                    tracing::warn!(%peer, %problem, "the static peer cannot be reached; retrying");
                    logged = problem;
                }
            }
        }
        time::sleep(backoff.next_delay()).await;
    }
}

async fn connect(
    network: &Network,
    peer: &str,
    hello: &Hello,
    record: &AttemptRecord,
    pending: &mut Option<PendingLookup>,
) -> Result<(Connection, PeerConnected), String> {
    let mut addresses = match zone::parse(peer).map_err(|error| error.to_string())? {
        Some(address) => vec![address],
        None => look_up(peer, pending, RESOLVE_TIMEOUT).await?,
    };
    if addresses.len() > MAX_ADDRESSES {
        // The system's resolver would put its own preference first.
        sort(&mut addresses, &network.own_addresses());
        addresses.truncate(MAX_ADDRESSES);
    }
    let handshaken = dial_listed(network, &addresses, None, hello, ANSWER_TIMEOUT, record).await;
    let handshaken = handshaken.map_err(|error| error.to_string())?;
    let origin =
        PeerLinkOrigin::Dialled { instance: handshaken.welcome.instance, address: handshaken.address };
    let connection = handshaken.connection.into_used();
    let ends = ends(&connection, handshaken.address);
    Ok((connection, PeerConnected { node: handshaken.welcome.node, ends, origin, forwards: true }))
}

/// A lookup that did not complete in time: the next attempt waits for it, so that each peer has one lookup, and one thread,
/// at a time.
type PendingLookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>>;

async fn look_up(
    peer: &str,
    pending: &mut Option<PendingLookup>,
    timeout: Duration,
) -> Result<Vec<SocketAddr>, String> {
    let lookup = pending.get_or_insert_with(|| Box::pin(resolve(peer.to_owned())));
    match time::timeout(timeout, lookup).await {
        Ok(found) => {
            *pending = None;
            found.map_err(|error| format!("cannot be resolved: {error}"))
        }
        Err(_) => Err(format!("was not resolved within {timeout:?}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[actix::test]
    async fn the_next_attempt_waits_for_a_slow_lookup() {
        let found = vec![SocketAddr::from(([10, 0, 0, 1], 7))];
        let (answer, answered) = oneshot::channel();
        let mut pending: Option<PendingLookup> =
            Some(Box::pin(async { answered.await.map_err(io::Error::other) }));
        look_up("no port", &mut pending, Duration::ZERO).await.expect_err("it is not done in time");
        assert!(pending.is_some());
        answer.send(found.clone()).expect("it is waited for");
        assert_eq!(look_up("no port", &mut pending, RESOLVE_TIMEOUT).await, Ok(found));
        assert!(pending.is_none());
        // The next attempt starts its own.
        look_up("no port", &mut pending, RESOLVE_TIMEOUT).await.expect_err("no host and port");
        assert!(pending.is_none());
    }
}
