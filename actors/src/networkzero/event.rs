//! What the owner of a gateway is told.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use meshzero_proto::name::ServiceName;
use tokio::sync::mpsc;

/// Crossings that wait to be taken; more are dropped.
const WAITING: usize = 256;

/// Something that has crossed, or does no more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatewayEvent {
    /// A service of NetworkZero is one of the mesh now.
    Brought {
        /// Its name.
        name: ServiceName,
        /// Where its program listens.
        address: SocketAddrV4,
    },
    /// It is no more.
    TakenBack {
        /// Its name.
        name: ServiceName,
    },
    /// A service of the mesh is advertised to NetworkZero now.
    Announced {
        /// Its name.
        name: String,
        /// Its endpoint.
        address: SocketAddrV4,
    },
    /// It is no more; it is forgotten there within 20 s.
    Unannounced {
        /// Its name.
        name: String,
    },
    /// This process is the beacon of its machine now.
    IsBeacon,
    /// Another process is the beacon of this machine, and is told and asked.
    OtherBeacon,
    /// The owner did not take what it was told, and so much of it was dropped.
    Missed {
        /// The number of the others here.
        count: u64,
    },
}

/// The end of the queue at which the gateway tells.
pub(super) struct GatewayEventSender {
    queue: mpsc::Sender<GatewayEvent>,
    missed: Arc<AtomicU64>,
}

/// The end of the queue at which its owner takes.
pub(super) struct GatewayEvents {
    queue: mpsc::Receiver<GatewayEvent>,
    missed: Arc<AtomicU64>,
}

/// A queue for the owner of a gateway, who need not take anything.
pub(super) fn queue() -> (GatewayEventSender, GatewayEvents) {
    let (tell, told) = mpsc::channel(WAITING);
    let missed = Arc::<AtomicU64>::default();
    (GatewayEventSender { queue: tell, missed: Arc::clone(&missed) }, GatewayEvents { queue: told, missed })
}

impl GatewayEventSender {
    pub(super) fn tell(&self, crossing: GatewayEvent) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(crossing) {
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
