//! A service of this process that stands in for a socket of ZeroMQ: callers and subscribers use it as any other.

use std::net::SocketAddr;
use std::sync::Arc;

use actix::WeakRecipient;
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::TypeName;
use tokio::sync::mpsc;

use super::courier::{Courier, Intake, Reached, Role};
use super::value::{self, Value};
use crate::counts::RequestCounters;
use crate::decoding::Decoding;
use crate::handler::Registration;
use crate::hosted::Hosted;
use crate::node::random;
use crate::offer::{OfferError, assemble};
use crate::panic::Panicked;
use crate::premises::Premises;
use crate::publisher::Publisher;
use crate::restart::Restart;
use crate::service::{Entrance, Identity, Service};
use crate::stats::AskStats;

/// What a stand-in for a socket with this role handles.
pub(crate) fn handlers(role: Role) -> Vec<Registration<Intake>> {
    match role {
        Role::Answers => {
            let name = TypeName::new(value::NAME).expect("it is a name");
            vec![Registration::encoded::<Value>(name)]
        }
        Role::Publishes => Vec::new(),
    }
}

/// A service that stands in for a socket, and the connection to that.
pub(crate) struct StandIn {
    service: Arc<Service>,
    courier: Courier,
    reached: Reached,
}

impl StandIn {
    /// Stands in for the socket that was reached at `address`. No endpoint leads here: only this process uses it.
    ///
    /// # Errors
    /// [`OfferError`]: no identity could be made.
    pub(crate) fn open(
        premises: &Premises,
        node_stats: WeakRecipient<AskStats>,
        address: SocketAddr,
        reached: Reached,
    ) -> Result<Self, OfferError> {
        let instance = InstanceId::from_random(random(&premises.carrying.network)?);
        let limits = &premises.carrying.limits;
        let publisher = Publisher::new(limits, &premises.alarms);
        let (ask, asked) = mpsc::channel(limits.mailbox.max(1));
        let handlers = handlers(reached.role);
        let counters = Arc::<RequestCounters>::default();
        let decoding = Decoding { limits: premises.decode_limits, counters: Arc::clone(&counters) };
        let hosted = Hosted::start(
            Box::new(move || Intake(ask.clone())),
            address.to_string(),
            &handlers,
            decoding,
            limits.mailbox,
            Restart::default(),
            |end| tracing::debug!(%end, "a stand-in for a socket of ZeroMQ ended"),
        );
        let hosted = hosted.map_err(|Panicked(panic)| OfferError::FactoryPanicked { panic })?;
        let doors = handlers.iter().map(|handler| (handler.inbox_door)(hosted.inbox())).collect();
        let (entry, home) = (Arc::new(hosted), premises.home.clone());
        let hello = &premises.hello;
        let identity = Identity { mesh: hello.mesh.clone(), node: hello.node, instance, name: None };
        let entrance = Entrance { entry, doors, home, counters, node_stats };
        let service = Arc::new(assemble(premises, identity, publisher.clone(), &handlers, entrance));
        Ok(Self { service, courier: Courier::new(asked, publisher, limits), reached })
    }

    /// The service.
    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Carries messages until the connection ends, and says why. Then, or when this is dropped, the service is closed.
    pub(crate) async fn run(self) -> String {
        let Self { service, mut courier, reached } = self;
        let _closing = Closing(service);
        match courier.run(reached).await {
            Ok(()) => "nobody asks any more".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

/// Closes the service when the connection has ended.
struct Closing(Arc<Service>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}
