//! The endpoint of one service: it accepts connections, and serves each from its handshake to the end of its session.

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::discovery::PeerConnection;
use crate::net::connection::Connection;
use crate::net::listeners::Listeners;
use crate::net::zone::ZonedAddress;
use crate::runtime::clock;
use crate::server::admission::Admission;
use crate::server::drain::{self, FLUSH_GRACE};
use crate::server::drain_report::DrainReport;
use crate::server::handshake::{Accepted, ConnectionSlot, accept};
use crate::server::service::Service;
use crate::server::session;
use crate::server::zmtp;

/// The pause after the system refused to accept a connection, for example because no file descriptor is left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// The longest drain timeout: later is beyond the range of some clocks.
const MAX_DRAIN: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Serves `service` on `listeners` until `closing` receives the drain timeout, or its sender is dropped, which means the
/// timeout of the limits; then lets accepted work finish. Meanwhile new messages and new connections are refused, because
/// the service drains. Returns the report of unfinished work. Connections of peers go to `peers`.
pub(crate) async fn run(
    mut listeners: Listeners,
    service: Arc<Service>,
    peers: Recipient<PeerConnection>,
    closing: oneshot::Receiver<Duration>,
) -> Option<DrainReport> {
    let admission = Rc::new(Admission::new(service.limits()));
    let mut sessions = JoinSet::new();
    let mut draining = pin!(async {
        let within = closing.await.unwrap_or(service.limits().drain);
        let deadline = Instant::now() + within.min(MAX_DRAIN);
        let unfinished = drain::finish(&service, deadline).await;
        // Replies and items that were written are still being sent.
        (deadline.max(Instant::now() + FLUSH_GRACE), unfinished)
    });
    let mut drained = None;
    // Links may be resumed over new connections until the end.
    while drained.is_none() || admission.served() > 0 {
        tokio::select! {
            biased;
            // First: a steady stream of connections must not starve the rest.
            () = clock::sleep_until(drained.as_ref().map(|(deadline, _)| *deadline)) => break,
            Some(_) = sessions.join_next() => {}
            result = &mut draining, if drained.is_none() => {
                service.close();
                drained = Some(result);
            }
            accepted = listeners.accept() => match accepted {
                Ok((connection, from)) => {
                    let serving = serve_connection(connection, from, Arc::clone(&service), peers.clone(), Rc::clone(&admission));
                    sessions.spawn_local(serving);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    }
    let (messages, unfinished) = drained.and_then(|(_, unfinished)| unfinished).unwrap_or_default();
    let connections = admission.served();
    if unfinished == 0 && connections == 0 {
        return None;
    }
    let others = unfinished.saturating_sub(messages.values().sum());
    let name = service.identity.name.clone().or_else(|| Some(ZonedAddress(listeners.summary()?).into()))?;
    let report = DrainReport { service: name, messages, others, connections };
    tracing::warn!(%report, "closed with unfinished work");
    Some(report)
}

/// Serves one connection from its first byte to its last.
async fn serve_connection(
    connection: Connection,
    from: SocketAddr,
    service: Arc<Service>,
    peers: Recipient<PeerConnection>,
    admission: Rc<Admission>,
) {
    let mut slot = ConnectionSlot::new(&admission, from.ip().to_canonical());
    let result = {
        let mut permit = admission.begin_handshake(from.ip().to_canonical());
        let handshake = accept(connection, from, &service, &mut slot);
        tokio::select! {
            result = time::timeout(service.limits().handshake, handshake) => result,
            () = permit.evicted() => {
                service.connections.handshake_failed.count();
                return tracing::debug!(%from, "evicted from the handshake to make room for another connection");
            }
        }
    };
    let accepted = match result {
        Ok(Ok(accepted)) => accepted,
        Ok(Err(error)) => {
            service.connections.handshake_failed.count();
            return tracing::debug!(%from, %error, "a handshake failed");
        }
        Err(_) => {
            service.connections.handshake_failed.count();
            return tracing::debug!(%from, "a handshake timed out");
        }
    };
    match accepted {
        Accepted::Done => {}
        Accepted::Peer(connection, hello) => {
            if peers.try_send(PeerConnection { connection, hello }).is_err() {
                tracing::debug!(%from, "closed a peer's connection: too many arrive at once");
            }
        }
        Accepted::Client(connection, hello, connections) => {
            let _served = admission.serve();
            if let Err(error) = session::serve(connection, &hello, Arc::clone(&service), connections).await {
                if error.is_given_up() {
                    service.connections.given_up.count();
                }
                tracing::debug!(%from, %error, "a link ended");
            }
        }
        Accepted::Resumed(connection, node, resume) => {
            if service.links.resume(node, resume, connection, from).is_err() {
                tracing::debug!(%from, "a link ended while its client was resuming it");
            }
        }
        Accepted::Zmtp(client) => {
            let _served = admission.serve();
            if let Err(error) = zmtp::serve(client, service).await {
                tracing::debug!(%from, %error, "a ZeroMQ socket was given up");
            }
        }
    }
    drop(slot);
}
