//! The events that a gateway reports to its owner.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use meshzero_proto::name::ServiceName;
use tokio::sync::mpsc;

/// The number of events that wait for the owner; more are dropped.
const CAPACITY: usize = 256;

/// An event of a gateway: a service has crossed, or has stopped crossing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatewayEvent {
    /// A service of NetworkZero is now a service of the mesh.
    Imported {
        /// Its name.
        name: ServiceName,
        /// The address at which its program listens.
        address: SocketAddrV4,
    },
    /// A service of NetworkZero is no longer a service of the mesh.
    Withdrawn {
        /// Its name.
        name: ServiceName,
    },
    /// A service of the mesh is now advertised to NetworkZero.
    Announced {
        /// Its name.
        name: String,
        /// Its endpoint.
        address: SocketAddrV4,
    },
    /// A service of the mesh is no longer advertised; NetworkZero forgets it within 20 s.
    Unannounced {
        /// Its name.
        name: String,
    },
    /// This process is now the beacon of its machine.
    IsBeacon,
    /// Another process is the beacon of this machine, and the gateway uses that.
    OtherBeacon,
    /// The owner did not take events fast enough, and some were dropped.
    Missed {
        /// The number of dropped events.
        count: u64,
    },
}

/// The sending end of the queue, for the gateway.
pub(super) struct GatewayEventSender {
    queue: mpsc::Sender<GatewayEvent>,
    missed: Arc<AtomicU64>,
}

/// The receiving end of the queue, for the owner.
pub(super) struct GatewayEvents {
    queue: mpsc::Receiver<GatewayEvent>,
    missed: Arc<AtomicU64>,
}

/// Creates a queue for the owner of a gateway, who need not take anything.
pub(super) fn queue() -> (GatewayEventSender, GatewayEvents) {
    let (tx, rx) = mpsc::channel(CAPACITY);
    let missed = Arc::<AtomicU64>::default();
    (GatewayEventSender { queue: tx, missed: Arc::clone(&missed) }, GatewayEvents { queue: rx, missed })
}

impl GatewayEventSender {
    pub(super) fn send(&self, event: GatewayEvent) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(event) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl GatewayEvents {
    pub(super) async fn next(&mut self) -> Option<GatewayEvent> {
        match self.missed.swap(0, Ordering::Relaxed) {
            0 => self.queue.recv().await,
            count => Some(GatewayEvent::Missed { count }),
        }
    }
}
