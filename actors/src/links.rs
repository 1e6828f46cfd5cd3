//! The links to one service that may go on over another connection, and the way to those who keep them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meshzero_proto::hello::{self, Answer, Resume, Welcome};
use meshzero_proto::id::{LinkId, NodeId};
use tokio::sync::mpsc;
use tokio::time::{self, Instant};

use crate::carry::Way;
use crate::connection::Connection;
use crate::outbox::Outbox;
use crate::service::Service;
use crate::socket;
use crate::stats::{self, Carries, LinkStats};

/// The links of one service.
#[derive(Debug, Default)]
pub(crate) struct Links {
    kept: Mutex<HashMap<LinkId, Kept>>,
}

#[derive(Debug)]
struct Kept {
    node: NodeId,
    /// Where its client came from last.
    from: SocketAddr,
    carries: Carries,
    /// What is on its way to the client, once there can be anything.
    outbox: Option<Arc<Outbox>>,
    arrivals: mpsc::Sender<Arrival>,
    /// Since when it has had no connection.
    waits_since: Option<Instant>,
}

/// A client that wants to go on with a link.
#[derive(Debug)]
pub(crate) struct Arrival {
    connection: Connection,
    from: SocketAddr,
    received: u64,
}

/// The connections of one link. Dropping it gives the link up.
pub(crate) struct Connections {
    link: LinkId,
    service: Arc<Service>,
    arrivals: mpsc::Receiver<Arrival>,
    /// What has arrived and is not used yet.
    arrived: Option<Arrival>,
}

impl Links {
    /// Begins a link of `node`, which comes from an address and is for something.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn begin(
        service: &Arc<Service>,
        node: NodeId,
        from: SocketAddr,
        carries: Carries,
    ) -> Result<Connections, getrandom::Error> {
        let link = LinkId::from_random(service.carrying.network.random()?);
        let (sender, arrivals) = mpsc::channel(1);
        let kept = Kept { node, from, carries, outbox: None, arrivals: sender, waits_since: None };
        service.links.lock().insert(link, kept);
        service.connections.begun.count();
        Ok(Connections { link, service: Arc::clone(service), arrivals, arrived: None })
    }

    /// Whether `node` has this link.
    pub(crate) fn knows(&self, node: NodeId, link: LinkId) -> bool {
        self.lock().get(&link).is_some_and(|kept| kept.node == node)
    }

    /// Hands a connection to whoever keeps the link that should go on.
    ///
    /// # Errors
    /// Gives the connection back if there is no such link of `node`.
    pub(crate) fn go_on(
        &self,
        node: NodeId,
        resume: Resume,
        connection: Connection,
        from: SocketAddr,
    ) -> Result<(), Connection> {
        let kept = self.lock();
        let Some(kept) = kept.get(&resume.link).filter(|kept| kept.node == node) else {
            return Err(connection);
        };
        let arrival = Arrival { connection, from, received: resume.received };
        // One that comes while another has not even been looked at is dropped, and its client tries again.
        match kept.arrivals.try_send(arrival) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(arrival)) => Err(arrival.connection),
        }
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.lock().len()
    }

    /// How they are now, those with most bytes waiting, as many as are listed.
    pub(crate) fn stats(&self) -> Vec<LinkStats> {
        let kept = self.lock();
        let links = kept.values().filter_map(|kept| {
            Some(kept.outbox.as_ref()?.stats(LinkStats::new(kept.node, kept.from, kept.carries)))
        });
        stats::listed(links.collect())
    }

    /// Gives up the link that has been without a connection for the longest time, to make room for another.
    pub(crate) fn give_up_one(&self) -> bool {
        let mut kept = self.lock();
        let waiting = kept.iter().filter_map(|(link, kept)| Some((kept.waits_since?, *link)));
        match waiting.min_by_key(|(since, _)| *since) {
            Some((_, link)) => kept.remove(&link).is_some(),
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// The link.
    pub(crate) fn link(&self) -> LinkId {
        self.link
    }

    /// Notes what is on its way to the client.
    pub(crate) fn carry(&self, outbox: &Arc<Outbox>) {
        if let Some(kept) = self.service.links.lock().get_mut(&self.link) {
            kept.outbox = Some(Arc::clone(outbox));
        }
    }

    /// Notes where the client comes from now.
    fn note_back(&self, from: SocketAddr) {
        if let Some(kept) = self.service.links.lock().get_mut(&self.link) {
            kept.from = from;
            kept.waits_since = None;
        }
        self.service.connections.resumed.count();
        tracing::debug!(%from, "a client has come back to its link");
    }

    /// Notes since when the link has been without a connection; false if it has been given up.
    fn note_lost(&self, since: Instant) -> bool {
        match self.service.links.lock().entry(self.link) {
            Entry::Occupied(mut kept) => {
                kept.get_mut().waits_since = Some(since);
                true
            }
            Entry::Vacant(_) => false,
        }
    }

    async fn arrive(&mut self) -> Result<Arrival, String> {
        if let Some(arrived) = self.arrived.take() {
            return Ok(arrived);
        }
        // The client's time begins when it has noticed, which may take as long as it takes to find out a silent host.
        let limits = self.service.limits();
        let window = limits.reconnect + limits.keep_alive * (socket::PROBES + 1);
        match time::timeout(window, self.arrivals.recv()).await {
            Ok(Some(arrival)) => Ok(arrival),
            Ok(None) => Err("others needed its place".to_owned()),
            Err(_) => Err(format!("the client did not come back within {window:?}")),
        }
    }
}

impl Way for Connections {
    async fn watch(&mut self) {
        if self.arrived.is_none() {
            match self.arrivals.recv().await {
                Some(arrival) => self.arrived = Some(arrival),
                // Only a link without a connection is given up.
                None => std::future::pending().await,
            }
        }
    }

    async fn next(&mut self, has: u64) -> Result<(Connection, u64), String> {
        if !self.note_lost(Instant::now()) {
            return Err("others needed its place".to_owned());
        }
        loop {
            let Arrival { connection, from, received } = self.arrive().await?;
            let answer = hello::encode_answer(&Answer::Welcome(Welcome {
                link: Some(self.link),
                received: has,
                ..self.service.welcome()
            }));
            let handshake = self.service.limits().handshake;
            match time::timeout(handshake, connection.writer.write_all(&answer)).await {
                Ok(Ok(())) => {
                    self.note_back(from);
                    return Ok((connection, received));
                }
                Ok(Err(error)) => tracing::debug!(%error, "a connection broke before the link could go on"),
                Err(_) => tracing::debug!("a client did not read the answer to its hello"),
            }
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.service.links.lock().remove(&self.link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(node: NodeId, waits_since: Option<Instant>) -> (Kept, mpsc::Receiver<Arrival>) {
        let (arrivals, arrived) = mpsc::channel(1);
        let from = ([127, 0, 0, 1], 9).into();
        (Kept { node, from, carries: Carries::News, outbox: None, arrivals, waits_since }, arrived)
    }

    fn link(byte: u8) -> LinkId {
        LinkId::from_random([byte; 16])
    }

    #[test]
    fn the_link_that_has_waited_longest_gives_its_place_and_none_that_is_carried() {
        let (links, node, now) = (Links::default(), NodeId::from_random([1; 16]), Instant::now());
        for (byte, waits_since) in [(1, None), (2, Some(now)), (3, Some(now - time::Duration::from_secs(1)))]
        {
            links.lock().insert(link(byte), kept(node, waits_since).0);
        }
        assert!(links.give_up_one() && !links.knows(node, link(3)) && links.knows(node, link(2)));
        assert!(links.give_up_one() && !links.knows(node, link(2)));
        assert!(!links.give_up_one() && links.knows(node, link(1)));
    }

    #[tokio::test]
    async fn only_the_node_that_began_a_link_comes_back_to_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let stream = tokio::net::TcpStream::connect(listener.local_addr().expect("bound")).await;
        let stream = stream.expect("it listens");
        let from = stream.local_addr().expect("it is bound");
        let stream = Connection::from(stream);
        let (links, [node, other]) = (Links::default(), [1, 2].map(|byte| NodeId::from_random([byte; 16])));
        let (entry, mut arrived) = kept(node, None);
        links.lock().insert(link(1), entry);
        let resume = Resume { link: link(1), received: 7 };
        let stream = links.go_on(other, resume, stream, from).expect_err("it is not its link");
        let stream =
            links.go_on(node, Resume { link: link(2), ..resume }, stream, from).expect_err("there is none");
        links.go_on(node, resume, stream, from).expect("it is its link");
        assert_eq!(arrived.recv().await.map(|arrival| arrival.received), Some(7));
    }
}
