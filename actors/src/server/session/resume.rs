//! The server side of resuming a link: accepting the next connection that its client opens.

use std::net::SocketAddr;
use std::sync::Arc;

use meshzero_proto::id::{LinkId, NodeId};
use meshzero_proto::rounded::RoundedDuration;
use meshzero_proto::wire::hello::{self, HelloAnswer, Welcome};
use tokio::sync::mpsc;
use tokio::time::{self, Instant};

use crate::link::config::resume_window;
use crate::link::progress::ReceiveCounters;
use crate::link::run::{ConnectionSource, NextConnection};
use crate::link::send_queue::SendQueue;
use crate::server::service::Service;
use crate::server::session_table::Reconnection;
use crate::telemetry::stats::LinkPurpose;

/// The connections of one link. Dropping it gives up the link.
pub(crate) struct SessionConnections {
    link: LinkId,
    service: Arc<Service>,
    reconnections: mpsc::Receiver<Reconnection>,
    /// A connection that has arrived and is not used yet.
    next: Option<Reconnection>,
}

impl SessionConnections {
    /// The connections of a new link from `node` at the address `from`, for a purpose.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn open(
        service: &Arc<Service>,
        node: NodeId,
        from: SocketAddr,
        purpose: LinkPurpose,
    ) -> Result<Self, getrandom::Error> {
        let link = LinkId::from_random(service.link_config.network.random()?);
        let reconnections = service.links.add(link, node, from, purpose);
        service.connections.opened.count();
        Ok(Self { link, service: Arc::clone(service), reconnections, next: None })
    }

    /// The identity of the link.
    pub(crate) fn link(&self) -> LinkId {
        self.link
    }

    /// Attaches the link's send queue and receive counters to its entry.
    pub(crate) fn attach(&self, send_queue: &Arc<SendQueue>, progress: &Arc<ReceiveCounters>) {
        self.service.links.attach(self.link, send_queue, progress);
    }

    fn on_resumed(&self, from: SocketAddr) {
        self.service.links.record_reconnect(self.link, from);
        self.service.connections.resumed.count();
        tracing::debug!(%from, "a client has resumed its link");
    }

    async fn next_reconnection(&mut self) -> Result<Reconnection, String> {
        if let Some(reconnection) = self.next.take() {
            return Ok(reconnection);
        }
        let window = resume_window(self.service.limits());
        match time::timeout(window, self.reconnections.recv()).await {
            Ok(Some(reconnection)) => Ok(reconnection),
            Ok(None) => Err("evicted to make room for another connection".to_owned()),
            Err(_) => Err(format!("the client did not reconnect within {}", RoundedDuration(window))),
        }
    }
}

impl ConnectionSource for SessionConnections {
    async fn watch(&mut self) {
        if self.next.is_none() {
            match self.reconnections.recv().await {
                Some(reconnection) => self.next = Some(reconnection),
                // Only a link without a connection is evicted.
                None => std::future::pending().await,
            }
        }
    }

    async fn next(&mut self, received_bytes: u64) -> Result<NextConnection, String> {
        if !self.service.links.record_loss(self.link, Instant::now()) {
            return Err("evicted to make room for another connection".to_owned());
        }
        loop {
            let Reconnection { connection, from, received, is_latest } = self.next_reconnection().await?;
            let answer = hello::encode_answer(&HelloAnswer::Welcome(Welcome {
                link: Some(self.link),
                received: received_bytes,
                ..self.service.welcome()
            }));
            let handshake = self.service.limits().handshake;
            match time::timeout(handshake, connection.writer.write_all(&answer)).await {
                Ok(Ok(())) => {
                    self.on_resumed(from);
                    return Ok(NextConnection { connection, resume_from: received, is_latest });
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a connection was lost before the link was resumed")
                }
                Err(_) => tracing::debug!("a client did not read the answer to its hello"),
            }
        }
    }
}

impl Drop for SessionConnections {
    fn drop(&mut self) {
        self.service.links.remove(self.link);
    }
}
