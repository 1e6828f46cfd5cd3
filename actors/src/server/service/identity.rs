//! The identity of a service.

use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::name::{MeshName, ServiceName};

use crate::server::service::environment::Environment;

/// The identity of a service.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The mesh that it belongs to.
    pub mesh: MeshName,
    /// The node that offers it.
    pub node: NodeId,
    /// The identity of this instance.
    pub instance: InstanceId,
    /// Its name; `None` for an endpoint that is not announced.
    pub name: Option<ServiceName>,
}

impl Identity {
    /// The identity of a new instance.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn new(
        environment: &Environment,
        name: Option<ServiceName>,
    ) -> Result<Self, getrandom::Error> {
        let Environment { mesh, node, link_config, .. } = environment;
        let instance = InstanceId::from_random(link_config.network.random()?);
        Ok(Self { mesh: mesh.clone(), node: *node, instance, name })
    }

    /// The name of the service in the log.
    pub(crate) fn title(&self) -> &str {
        self.name.as_ref().map_or("(without a name)", |name| name.as_str())
    }
}
