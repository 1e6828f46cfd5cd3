//! The bridge of a gateway: the services known on both sides, and the imports in progress.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::Weak;

use meshzero_proto::discovery::directory::DirectoryEvent;
use meshzero_proto::id::NodeId;
use meshzero_proto::name::ServiceName;
use meshzero_proto::networkzero::Exchange;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::event::{GatewayEvent, GatewayEventSender};
use super::import::{self, ImportState};
use crate::node::Node;

/// The services on both sides of a gateway.
pub(super) struct Bridge {
    pub(super) node: Weak<Node>,
    exchange: Exchange,
    /// The services being imported, and their addresses.
    imports: BTreeMap<ServiceName, ImportedService>,
    /// The channel for reports of imports.
    import_states: mpsc::Sender<ImportState>,
    /// The services that are announced to NetworkZero.
    announced: BTreeMap<String, SocketAddrV4>,
    events: GatewayEventSender,
}

/// A service that is being imported, until this is dropped.
struct ImportedService {
    address: SocketAddrV4,
    /// Set while its program can be reached.
    is_reachable: bool,
    task: AbortHandle,
}

impl Drop for ImportedService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bridge {
    /// A bridge that knows no services yet. Reports of imports go to `import_states`, and are passed to [`Bridge::on_import`];
    /// events for the gateway's owner go to `events`.
    pub(super) fn new(
        node: Weak<Node>,
        own_node: NodeId,
        import_states: mpsc::Sender<ImportState>,
        events: GatewayEventSender,
    ) -> Self {
        let (imports, announced) = (BTreeMap::new(), BTreeMap::new());
        Self { node, exchange: Exchange::new(own_node), imports, import_states, announced, events }
    }

    /// The services to be announced to NetworkZero.
    pub(super) fn announced(&self) -> &BTreeMap<String, SocketAddrV4> {
        &self.announced
    }

    /// Handles an event of the mesh's directory.
    pub(super) fn on_event(&mut self, event: DirectoryEvent) {
        match event {
            DirectoryEvent::Up(instance) | DirectoryEvent::Moved(instance) => self.exchange.up(&instance),
            DirectoryEvent::Down { instance, .. } => self.exchange.down(instance.id),
        }
    }

    /// Handles the report of an import.
    pub(super) fn on_import(&mut self, ImportState { name, instance }: ImportState) {
        self.exchange.set_imported(&name, instance);
        let Some(import) = self.imports.get_mut(&name) else { return };
        let address = import.address;
        import.is_reachable = instance.is_some();
        self.notify(match instance {
            Some(_) => GatewayEvent::Imported { name, address },
            None => GatewayEvent::Withdrawn { name },
        });
    }

    /// Starts and stops imports as needed, and returns whether the services to be announced have changed.
    pub(super) fn reconcile(&mut self, natives: &BTreeMap<String, SocketAddrV4>) -> bool {
        let natives = || natives.iter().map(|(name, address)| (name.as_str(), *address));
        let wanted = self.exchange.to_import(natives());
        let removed: Vec<ServiceName> = self
            .imports
            .iter()
            .filter(|(name, import)| wanted.get(*name) != Some(&import.address))
            .map(|(name, _)| name.clone())
            .collect();
        for name in removed {
            self.exchange.end_import(&name);
            if self.imports.remove(&name).is_some_and(|import| import.is_reachable) {
                self.notify(GatewayEvent::Withdrawn { name });
            }
        }
        for (name, address) in wanted {
            if !self.imports.contains_key(&name) {
                self.exchange.begin_import(&name);
                let import =
                    import::run(self.node.clone(), name.clone(), address, self.import_states.clone());
                let task = tokio::task::spawn_local(import).abort_handle();
                self.imports.insert(name, ImportedService { address, is_reachable: false, task });
            }
        }
        let announced = self.exchange.announced(natives());
        let changed = announced != self.announced;
        for (name, address) in &announced {
            if self.announced.get(name) != Some(address) {
                self.notify(GatewayEvent::Announced { name: name.clone(), address: *address });
            }
        }
        for name in self.announced.keys().filter(|name| !announced.contains_key(*name)) {
            self.notify(GatewayEvent::Unannounced { name: name.clone() });
        }
        self.announced = announced;
        changed
    }

    /// Notifies the gateway's owner.
    pub(super) fn notify(&self, event: GatewayEvent) {
        tracing::info!(?event, "networkzero");
        self.events.send(event);
    }
}
