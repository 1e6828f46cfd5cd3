//! The links to one service, which may be resumed over other connections, and the channels to their sessions.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use meshzero_proto::id::{LinkId, NodeId};
use meshzero_proto::wire::hello::{LinkState, Resume};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::link::progress::ReceiveCounters;
use crate::link::send_queue::SendQueue;
use crate::link::stats::link_stats;
use crate::net::connection::Connection;
use crate::telemetry::stats::{self, LinkPurpose, LinkStats};

/// The links of one service.
#[derive(Debug, Default)]
pub(crate) struct SessionTable {
    sessions: Mutex<HashMap<LinkId, SessionEntry>>,
}

#[derive(Debug)]
struct SessionEntry {
    node: NodeId,
    /// The address of its client's latest connection.
    from: SocketAddr,
    purpose: LinkPurpose,
    /// The send queue to the client, once there is one.
    send_queue: Option<Arc<SendQueue>>,
    /// The progress of reading from the client, once there is any.
    progress: Option<Arc<ReceiveCounters>>,
    reconnections: mpsc::Sender<Reconnection>,
    /// The number of its client's latest reconnection attempt.
    attempt: u64,
    /// The time at which it lost its connection, until it has another.
    disconnected_since: Option<Instant>,
}

/// A client's connection that resumes a link.
#[derive(Debug)]
pub(crate) struct Reconnection {
    pub(crate) connection: Connection,
    pub(crate) from: SocketAddr,
    /// The number of bytes of the link that the client has received.
    pub(crate) received: u64,
    /// Set if the client reads from no earlier connection.
    pub(crate) is_latest: bool,
}

impl SessionTable {
    /// Adds a link from `node` at the address `from`, for a purpose. Its next connections arrive at the receiver.
    pub(crate) fn add(
        &self,
        link: LinkId,
        node: NodeId,
        from: SocketAddr,
        purpose: LinkPurpose,
    ) -> mpsc::Receiver<Reconnection> {
        let (sender, reconnections) = mpsc::channel(1);
        let entry = SessionEntry {
            node,
            from,
            purpose,
            send_queue: None,
            progress: None,
            reconnections: sender,
            attempt: 0,
            disconnected_since: None,
        };
        self.lock().insert(link, entry);
        reconnections
    }

    /// Removes a link that has ended.
    pub(crate) fn remove(&self, link: LinkId) {
        self.lock().remove(&link);
    }

    /// Attaches the link's send queue and receive counters to its entry.
    pub(crate) fn attach(&self, link: LinkId, send_queue: &Arc<SendQueue>, progress: &Arc<ReceiveCounters>) {
        if let Some(entry) = self.lock().get_mut(&link) {
            entry.send_queue = Some(Arc::clone(send_queue));
            entry.progress = Some(Arc::clone(progress));
        }
    }

    /// Records the address from which the client has reconnected.
    pub(crate) fn record_reconnect(&self, link: LinkId, from: SocketAddr) {
        if let Some(entry) = self.lock().get_mut(&link) {
            entry.from = from;
            entry.disconnected_since = None;
        }
    }

    /// Records the instant since which the link has been without a connection; false if it has been given up.
    pub(crate) fn record_loss(&self, link: LinkId, since: Instant) -> bool {
        match self.lock().get_mut(&link) {
            Some(entry) => {
                entry.disconnected_since = Some(since);
                true
            }
            None => false,
        }
    }

    /// Returns whether `node` has this link.
    pub(crate) fn contains(&self, node: NodeId, link: LinkId) -> bool {
        self.lock().get(&link).is_some_and(|entry| entry.node == node)
    }

    /// Returns the state of this link of `node`; `None` if there is none.
    pub(crate) fn state(&self, node: NodeId, link: LinkId) -> Option<LinkState> {
        let sessions = self.lock();
        let entry = sessions.get(&link).filter(|entry| entry.node == node)?;
        // Neither is set while the link is still being opened.
        let (Some(send_queue), Some(progress)) = (&entry.send_queue, &entry.progress) else {
            return Some(LinkState::default());
        };
        Some(LinkState {
            attached: send_queue.is_attached(),
            reading: progress.is_reading(),
            received: progress.bytes(),
            written: send_queue.handed_to_kernel(),
        })
    }

    /// Hands a connection to the session of the link that is to be resumed over it.
    ///
    /// # Errors
    /// Returns the connection if there is no such link of `node`.
    pub(crate) fn resume(
        &self,
        node: NodeId,
        resume: Resume,
        connection: Connection,
        from: SocketAddr,
    ) -> Result<(), Connection> {
        let mut sessions = self.lock();
        let Some(entry) = sessions.get_mut(&resume.link).filter(|entry| entry.node == node) else {
            return Err(connection);
        };
        let Resume { received, attempt, .. } = resume;
        let is_latest = attempt > entry.attempt;
        if !is_latest && attempt > 0 {
            let latest = entry.attempt;
            drop(sessions);
            tracing::debug!(%from, attempt, latest, "ignored an outdated attempt to resume a link");
            return Ok(());
        }
        // A connection that arrives while another is not even in use is dropped, and its client tries again.
        match entry.reconnections.try_send(Reconnection { connection, from, received, is_latest }) {
            Ok(()) => {
                entry.attempt = entry.attempt.max(attempt);
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(arrival)) => Err(arrival.connection),
        }
    }

    /// The number of links.
    pub(crate) fn open(&self) -> usize {
        self.lock().len()
    }

    /// The statistics of the links with the most bytes waiting, up to the limit of the list.
    pub(crate) fn stats(&self) -> Vec<LinkStats> {
        let sessions = self.lock();
        let links = sessions.values().filter_map(|entry| {
            Some(link_stats(entry.send_queue.as_ref()?, entry.node, entry.from, entry.purpose))
        });
        stats::listed(links.collect())
    }

    /// Gives up the link that has been without a connection for the longest time, to make room for another.
    pub(crate) fn evict_one(&self) -> bool {
        let mut sessions = self.lock();
        let waiting = sessions.iter().filter_map(|(link, entry)| Some((entry.disconnected_since?, *link)));
        match waiting.min_by_key(|(since, _)| *since) {
            Some((_, link)) => sessions.remove(&link).is_some(),
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, SessionEntry>> {
        self.sessions.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(
        node: NodeId,
        disconnected_since: Option<Instant>,
    ) -> (SessionEntry, mpsc::Receiver<Reconnection>) {
        let (reconnections, receiver) = mpsc::channel(1);
        let from = ([127, 0, 0, 1], 9).into();
        (
            SessionEntry {
                node,
                from,
                purpose: LinkPurpose::News,
                send_queue: None,
                progress: None,
                reconnections,
                attempt: 0,
                disconnected_since,
            },
            receiver,
        )
    }

    fn link(byte: u8) -> LinkId {
        LinkId::from_random([byte; 16])
    }

    #[test]
    fn the_link_disconnected_for_longest_is_evicted_and_connected_ones_are_not() {
        let (links, node, now) = (SessionTable::default(), NodeId::from_random([1; 16]), Instant::now());
        for (byte, disconnected_since) in
            [(1, None), (2, Some(now)), (3, Some(now - std::time::Duration::from_secs(1)))]
        {
            links.lock().insert(link(byte), session(node, disconnected_since).0);
        }
        assert!(links.evict_one() && !links.contains(node, link(3)) && links.contains(node, link(2)));
        assert!(links.evict_one() && !links.contains(node, link(2)));
        assert!(!links.evict_one() && links.contains(node, link(1)));
    }

    #[tokio::test]
    async fn only_the_node_that_opened_a_link_resumes_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let stream = tokio::net::TcpStream::connect(listener.local_addr().expect("bound")).await;
        let stream = stream.expect("it listens");
        let from = stream.local_addr().expect("it is bound");
        let stream = Connection::from(stream);
        let (links, [node, other]) =
            (SessionTable::default(), [1, 2].map(|byte| NodeId::from_random([byte; 16])));
        let (entry, mut receiver) = session(node, None);
        links.lock().insert(link(1), entry);
        let resume = Resume { link: link(1), received: 7, attempt: 0 };
        let stream = links.resume(other, resume, stream, from).expect_err("it is not its link");
        let stream =
            links.resume(node, Resume { link: link(2), ..resume }, stream, from).expect_err("there is none");
        links.resume(node, resume, stream, from).expect("it is its link");
        assert_eq!(receiver.recv().await.map(|arrival| arrival.received), Some(7));
    }

    #[tokio::test]
    async fn an_outdated_attempt_is_ignored() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (links, node) = (SessionTable::default(), NodeId::from_random([1; 16]));
        let (entry, mut receiver) = session(node, None);
        links.lock().insert(link(1), entry);
        let mut taken = Vec::new();
        for (attempt, received) in [(1, 10), (1, 11), (3, 12), (2, 13), (4, 14), (0, 15)] {
            let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
            let resume = Resume { link: link(1), received, attempt };
            links.resume(node, resume, Connection::from(stream), address).expect("it is its link");
            taken.extend(receiver.try_recv().ok().map(|arrival| (arrival.received, arrival.is_latest)));
        }
        assert_eq!(taken, [(10, true), (12, true), (14, true), (15, false)]);
    }
}
