//! The handle by which a service reaches its actor, supervised or external.

use std::sync::{Arc, Weak};

use actix::{Actor, Addr, Context};

use crate::runtime::executor::spawn_boxed;
use crate::runtime::panic::PanicMessage;
use crate::server::actor::decoding::DecodeContext;
use crate::server::actor::entry::{ActorEntry, ServiceEnd};
use crate::server::actor::external::ExternalActor;
use crate::server::actor::handler::Registration;
use crate::server::actor::local::AnyLocalEntry;
use crate::server::actor::restart_policy::RestartPolicy;
use crate::server::actor::supervised::{Factory, SupervisedActor};
use crate::server::service::environment::Environment;
use crate::telemetry::counters::RequestCounters;

/// The handle by which a service reaches its actor.
pub(crate) struct ActorHandle {
    /// The entry for encoded messages.
    pub(crate) entry: Arc<dyn ActorEntry>,
    /// The local entries, in the order of the handlers.
    pub(crate) local_entries: Vec<AnyLocalEntry>,
    /// The counters of messages that are not handled.
    pub(crate) counters: Arc<RequestCounters>,
}

impl ActorHandle {
    /// Starts an actor that the mesh runs, on the current arbiter. `service` is the name of its service in the log.
    /// `on_end` is called there when the actor will not be restarted.
    ///
    /// # Errors
    /// [`PanicMessage`]: the factory panicked.
    pub(crate) fn start<A: Actor<Context = Context<A>>>(
        environment: &Environment,
        service: String,
        factory: Factory<A>,
        handlers: &[Registration<A>],
        restart: RestartPolicy,
        on_end: impl FnOnce(ServiceEnd) + 'static,
    ) -> Result<(Arc<SupervisedActor<A>>, Self), PanicMessage> {
        let (counters, decoding) = decoding(environment);
        let mailbox = environment.limits().mailbox;
        let supervised =
            SupervisedActor::start(factory, service, handlers, decoding, mailbox, restart, on_end)?;
        let supervised = Arc::new(supervised);
        let local_entries =
            handlers.iter().map(|handler| (handler.inbox_entry)(supervised.inbox())).collect();
        let entry = Arc::clone(&supervised) as Arc<dyn ActorEntry>;
        Ok((supervised, Self { entry, local_entries, counters }))
    }

    /// Attaches an actor that the user runs. `on_stopped` is called on the current arbiter when the actor is found to have
    /// stopped.
    pub(crate) fn attach<A: Actor<Context = Context<A>>>(
        environment: &Environment,
        addr: Addr<A>,
        handlers: &[Registration<A>],
        on_stopped: impl FnOnce() + 'static,
    ) -> (Arc<ExternalActor<A>>, Self) {
        let (counters, decoding) = decoding(environment);
        let local_entries = handlers.iter().map(|handler| (handler.mailbox_entry)(&addr)).collect();
        let external = Arc::new(ExternalActor::new(addr, handlers, decoding, environment.executor.clone()));
        let weak: Weak<ExternalActor<A>> = Arc::downgrade(&external);
        spawn_boxed(Box::pin(ExternalActor::watch_stopped(weak, on_stopped)));
        let entry = Arc::clone(&external) as Arc<dyn ActorEntry>;
        (external, Self { entry, local_entries, counters })
    }
}

/// The counters of a new service, and the limits of decoding its messages.
fn decoding(environment: &Environment) -> (Arc<RequestCounters>, DecodeContext) {
    let counters = Arc::<RequestCounters>::default();
    (Arc::clone(&counters), DecodeContext { limits: environment.decode_limits, counters })
}
