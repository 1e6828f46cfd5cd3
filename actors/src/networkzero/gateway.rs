//! The handle of a gateway, for its owner.

use std::io;
use std::sync::Arc;

use meshzero_proto::discovery::directory::Filter;
use tokio::sync::mpsc;

use super::beacon_socket::BeaconSocket;
use super::bridge::Bridge;
use super::event::{self, GatewayEvent, GatewayEvents};
use super::task::{self, GatewayTask, WITHDRAW_TIMEOUT};
use crate::discovery::{AddressChanges, Watch};
use crate::node::Node;
use crate::runtime::executor::MeshClosed;
use crate::runtime::shutdown::{ShutdownHandle, TriggerOnDrop};

/// The reason why a gateway could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The port of NetworkZero's beacons cannot be used.
    #[error("cannot receive the beacons of NetworkZero at UDP port 9999: {0}")]
    Socket(#[from] io::Error),
    /// The node has left.
    #[error(transparent)]
    Gone(#[from] MeshClosed),
}

/// A gateway that runs until it is dropped, or its node leaves.
pub struct Gateway {
    events: GatewayEvents,
    shutdown: Arc<ShutdownHandle>,
    ends_on_drop: bool,
}

impl Gateway {
    /// Opens a gateway between the mesh of `node` and NetworkZero.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn open(node: &Arc<Node>) -> Result<Self, GatewayError> {
        let (event_sender, events) = event::queue();
        let shutdown = ShutdownHandle::new(WITHDRAW_TIMEOUT);
        let (weak_node, own_node) = (Arc::downgrade(node), node.id());
        let interfaces = node.config().interfaces.clone();
        let watch = node
            .ask_discovery(Watch { filter: Filter::Prefix(String::new()), addresses: AddressChanges::All });
        let watcher = watch.await?;
        node.context().gateways.add(&shutdown);
        let (handle, guard) = (Arc::clone(&shutdown), shutdown.guard());
        node.executor()
            .run_async(move || async move {
                let socket = task::open(&interfaces)?;
                let (state_sender, import_states) = mpsc::channel(task::MAX_NAMES);
                let bridge = Bridge::new(weak_node, own_node, state_sender, event_sender);
                spawn(GatewayTask { bridge, watcher, import_states }, socket, handle, guard);
                Ok(())
            })
            .await?
            .map_err(GatewayError::Socket)?;
        Ok(Self { events, shutdown, ends_on_drop: true })
    }

    /// Waits for the next event; `None` when the gateway has ended. Up to 256 events wait to be taken; those dropped
    /// beyond that are counted in [`GatewayEvent::Missed`].
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn next(&mut self) -> Option<GatewayEvent> {
        self.events.next().await
    }

    /// Lets the gateway run as long as its node.
    pub fn detach(mut self) {
        self.ends_on_drop = false;
    }
}

/// Starts the task. Not in a closure of `open`, whose code is compiled again in each crate that awaits it.
fn spawn(task: GatewayTask, socket: Option<BeaconSocket>, handle: Arc<ShutdownHandle>, guard: TriggerOnDrop) {
    actix::spawn(async move {
        let _guard = guard;
        task.run(socket, handle.requested()).await;
    });
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.ends_on_drop {
            self.shutdown.request();
        }
    }
}
