//! A proxy: a service of this process that stands for a ZeroMQ socket. Callers and subscribers use it like any other.

use std::net::SocketAddr;
use std::sync::Arc;

use meshzero_proto::limits::Limits;
use meshzero_proto::name::TypeName;
use tokio::sync::mpsc;

use super::forwarder::{Forwarder, ForwarderInbox, ForwarderQueue, SocketRole, ZmtpPeer};
use super::value::{self, JsonMessage};
use crate::runtime::panic::PanicMessage;
use crate::server::actor::handler::Registration;
use crate::server::actor::restart_policy::RestartPolicy;
use crate::server::actor::supervised::Factory;
use crate::server::service::actor_handle::ActorHandle;
use crate::server::service::environment::Environment;
use crate::server::service::identity::Identity;
use crate::server::service::{CloseServiceOnDrop, Service};

/// The error that keeps a proxy from starting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// The system gave no randomness for its identity.
    #[error("the system gave no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// Its actor panicked.
    #[error("its actor panicked: {0}")]
    Panicked(String),
}

/// The actor of a proxy for a socket, and its handlers: not started yet.
pub(crate) struct ProxyActor {
    pub(crate) factory: Factory<ForwarderInbox>,
    pub(crate) handlers: Vec<Registration<ForwarderInbox>>,
}

impl ProxyActor {
    /// The actor of a proxy for a socket with this role, and the queue of its requests.
    pub(crate) fn new(role: SocketRole, limits: &Limits) -> (Self, ForwarderQueue) {
        let (sender, receiver) = mpsc::channel(limits.mailbox.max(1));
        let handlers = match role {
            SocketRole::Replies => {
                let name = TypeName::new(value::UNTYPED_NAME).expect("it is a name");
                vec![Registration::encoded::<JsonMessage>(name)]
            }
            SocketRole::Publishes => Vec::new(),
        };
        (
            Self { factory: Box::new(move || ForwarderInbox::new(sender.clone())), handlers },
            ForwarderQueue::new(receiver),
        )
    }
}

/// A proxy service for a socket, and the connection to the socket.
pub(crate) struct ProxyService {
    service: Arc<Service>,
    forwarder: Forwarder,
    peer: ZmtpPeer,
}

impl ProxyService {
    /// Starts the proxy for the socket that was reached at `address`. It has no endpoint: only this process uses it.
    ///
    /// # Errors
    /// [`ProxyError`].
    pub(crate) fn open(
        environment: &Environment,
        address: SocketAddr,
        peer: ZmtpPeer,
    ) -> Result<Self, ProxyError> {
        let identity = Identity::new(environment, None)?;
        let publisher = environment.publisher();
        let (ProxyActor { factory, handlers }, requests) = ProxyActor::new(peer.role, environment.limits());
        let (_, handle) = ActorHandle::start(
            environment,
            address.to_string(),
            factory,
            &handlers,
            RestartPolicy::default(),
            |end| tracing::debug!(%end, "a proxy for a ZeroMQ socket ended"),
        )
        .map_err(|PanicMessage(panic)| ProxyError::Panicked(panic))?;
        let forwarder = Forwarder::new(requests, publisher.clone(), environment.limits());
        let service = Service::new(environment, identity, publisher, &handlers, handle);
        Ok(Self { service: Arc::new(service), forwarder, peer })
    }

    /// The service.
    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Forwards messages until the connection ends, and returns the reason. Then, or when this is dropped, the service
    /// is closed.
    pub(crate) async fn run(self) -> String {
        let Self { service, mut forwarder, peer } = self;
        let _close_on_drop = CloseServiceOnDrop(service);
        match forwarder.run(peer).await {
            Ok(()) => "there are no more callers".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}
