//! The gateway as its owner holds it, and how it ends.

use std::io;
use std::sync::Arc;

use meshzero_proto::discovery::directory::Filter;
use tokio::sync::mpsc;

use super::bridge::Bridge;
use super::event::{self, GatewayEvent, GatewayEvents};
use super::task::{self, CLOSING, GatewayTask};
use crate::discovery::{AddressChanges, Watch};
use crate::node::Node;
use crate::runtime::executor::MeshClosed;
use crate::runtime::shutdown::ShutdownHandle;

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The port of NetworkZero's beacons cannot be had.
    #[error("cannot hear the beacons of NetworkZero at UDP port 9999: {0}")]
    Air(#[from] io::Error),
    /// The node has left.
    #[error(transparent)]
    Gone(#[from] MeshClosed),
}

/// A gateway that works until it is dropped, or its node leaves.
pub struct Gateway {
    crossings: GatewayEvents,
    shutdown: Arc<ShutdownHandle>,
    is_dropped_with: bool,
}

impl Gateway {
    /// Opens a gateway between the mesh of `node` and NetworkZero.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn open(node: &Arc<Node>) -> Result<Self, GatewayError> {
        let (tell, crossings) = event::queue();
        let shutdown = ShutdownHandle::new(CLOSING);
        let (here, own) = (Arc::downgrade(node), node.id());
        let interfaces = node.config().interfaces.clone();
        let watch = node
            .ask_discovery(Watch { filter: Filter::Prefix(String::new()), addresses: AddressChanges::All });
        let watcher = watch.await?;
        node.context().gateways.add(&shutdown);
        let (until, done) = (Arc::clone(&shutdown), shutdown.guard());
        node.home()
            .run_async(move || async move {
                let air = task::open(&interfaces)?;
                let (tell_brought, brought) = mpsc::channel(task::NAMES);
                let sides = Bridge::new(here, own, tell_brought, tell);
                let working = GatewayTask { sides, watcher, brought };
                actix::spawn(async move {
                    let _done = done;
                    working.work(air, until.requested()).await;
                });
                Ok(())
            })
            .await?
            .map_err(GatewayError::Air)?;
        Ok(Self { crossings, shutdown, is_dropped_with: true })
    }

    /// Waits for the next thing that has crossed; `None` when the gateway has ended. What is not taken waits, up to 256 of it; what
    /// is dropped beyond that is told as [`GatewayEvent::Missed`].
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn next(&mut self) -> Option<GatewayEvent> {
        self.crossings.next().await
    }

    /// Lets it work as long as its node does.
    pub fn detach(mut self) {
        self.is_dropped_with = false;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.is_dropped_with {
            self.shutdown.request();
        }
    }
}
