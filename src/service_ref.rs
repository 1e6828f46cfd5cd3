//! A service of the mesh as its callers hold it.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use actix::Recipient;
use meshzero_actors::NetMessage;
use meshzero_actors::call::{self, Fault, Untold};
use meshzero_actors::node::Node;
use meshzero_actors::route::Route;
use meshzero_proto::codec::Wire;
use meshzero_proto::description::Description;
use meshzero_proto::directory::Instance;

use crate::error::{CallError, TrySendError};
use crate::recipient;
use crate::request::{Request, own_name};
use crate::subscription::{News, Subscribe, SubscribeTo};

/// A service of the mesh, to be called and listened to. Cheap to clone, usable from any thread and any executor.
///
/// It mirrors actix's `Addr`, and stays good while instances of the service come and go: a call goes to the less busy of
/// two picked at random among those that are connected.
#[derive(Clone)]
pub struct ServiceRef {
    node: Arc<Node>,
    route: Arc<Route>,
    name: Arc<str>,
}

impl ServiceRef {
    pub(crate) fn new(node: Arc<Node>, route: Arc<Route>) -> Self {
        let name = route.target().to_string().into();
        Self { node, route, name }
    }

    /// The name, or the `ip:port`, that it was discovered by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The instances that are connected at the moment.
    pub fn instances(&self) -> Vec<Instance> {
        self.route.members().iter().map(|member| member.instance().clone()).collect()
    }

    /// The address at which one of the instances that are connected at the moment was reached.
    pub fn address(&self) -> Option<SocketAddr> {
        self.route.members().first()?.address()
    }

    /// Sends a message and waits for its reply. See [`Request`] for time-outs, cancelling and errors.
    pub fn send<M: NetMessage>(&self, message: M) -> Request<M> {
        Request::new(Arc::clone(&self.node), Arc::clone(&self.route), message)
    }

    /// Sends a message without a reply, if there is room for it at once.
    ///
    /// # Errors
    /// [`TrySendError`]; nobody will handle the message.
    pub fn try_send<M: NetMessage>(&self, message: M) -> Result<(), TrySendError<M>> {
        let name = own_name::<M>().map_err(|error| self.impossible(Fault::NotSent(error.to_string())))?;
        call::tell(&self.node, &self.route, &name, message).map_err(|untold| match untold {
            Untold::Full(message) => TrySendError::Full(message),
            Untold::Nobody(message) => TrySendError::NotConnected(message),
            Untold::Fault(fault) => self.impossible(fault),
        })
    }

    /// Sends a message without a reply and without an answer to the question whether it could be sent: if not, that is
    /// logged as a warning.
    pub fn do_send<M: NetMessage>(&self, message: M) {
        if let Err(error) = self.try_send(message) {
            tracing::warn!(service = %self.name, %error, "a message was not sent");
        }
    }

    /// An actix `Recipient` for messages of type `M`, for code that knows nothing of the mesh. A call without a reply
    /// ends in `MailboxError::Closed` there.
    pub fn recipient<M: NetMessage>(&self) -> Recipient<M> {
        let this = self.clone();
        recipient::forwarding(move |message| this.send(message), self.node.home())
    }

    /// Listens to the news whose topic begins with `prefix`, of all instances. See [`Subscribe`].
    pub fn subscribe<T: Wire>(&self, prefix: impl AsRef<str>) -> Subscribe<T> {
        Subscribe::to_service(Arc::clone(&self.node), Arc::clone(&self.route), prefix.as_ref())
    }

    /// As [`ServiceRef::subscribe`], with an actor that gets the items as messages.
    pub fn subscribe_to<T: Wire>(
        &self,
        prefix: impl AsRef<str>,
        recipient: Recipient<News<T>>,
    ) -> SubscribeTo<T> {
        self.subscribe(prefix).forward(recipient)
    }

    /// Asks one instance what it handles and publishes, with JSON schemas.
    ///
    /// # Errors
    /// [`CallError`].
    ///
    /// # Cancel safety
    /// Dropping the future asks no more.
    pub fn describe(&self) -> impl Future<Output = Result<Description, CallError>> + Send + use<> {
        let this = self.clone();
        async move {
            let timeout = this.node.limits().request_timeout;
            call::describe(&this.node, &this.route, call::deadline_in(timeout))
                .await
                .map_err(|fault| CallError::new(&this.name, fault, timeout))
        }
    }

    fn impossible<M>(&self, fault: Fault) -> TrySendError<M> {
        TrySendError::Impossible(CallError::new(&self.name, fault, self.node.limits().request_timeout))
    }
}

impl fmt::Debug for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRef").field("name", &self.name).field("instances", &self.instances()).finish()
    }
}
