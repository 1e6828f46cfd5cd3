//! The handle with which a service reaches its actor, whoever runs that.

use std::sync::{Arc, Weak};

use actix::{Actor, Addr, Context};

use crate::runtime::panic::Panicked;
use crate::server::actor::decoding::Decoding;
use crate::server::actor::entry::{Entry, ServiceEnd};
use crate::server::actor::external::Foreign;
use crate::server::actor::handler::Registration;
use crate::server::actor::local::AnyDoor;
use crate::server::actor::restart::Restart;
use crate::server::actor::supervised::{Factory, Hosted};
use crate::server::service::environment::Environment;
use crate::telemetry::counters::RequestCounters;

/// The handle with which a service reaches its actor.
pub(crate) struct Entrance {
    /// For encoded messages.
    pub(crate) entry: Arc<dyn Entry>,
    /// For messages of this process, in the order of the handlers.
    pub(crate) doors: Vec<AnyDoor>,
    /// Counts messages that are not handled.
    pub(crate) counters: Arc<RequestCounters>,
}

impl Entrance {
    /// Starts an actor that the mesh runs, on the current arbiter. `service` is the name of its service in the log. `ended` is called there
    /// when the actor will not be restarted.
    ///
    /// # Errors
    /// [`Panicked`]: the factory did.
    pub(crate) fn start<A: Actor<Context = Context<A>>>(
        environment: &Environment,
        service: String,
        factory: Factory<A>,
        handlers: &[Registration<A>],
        restart: Restart,
        ended: impl FnOnce(ServiceEnd) + 'static,
    ) -> Result<(Arc<Hosted<A>>, Self), Panicked> {
        let (counters, decoding) = decoding(environment);
        let mailbox = environment.limits().mailbox;
        let hosted = Hosted::start(factory, service, handlers, decoding, mailbox, restart, ended)?;
        let hosted = Arc::new(hosted);
        let doors = handlers.iter().map(|handler| (handler.inbox_door)(hosted.inbox())).collect();
        let entry = Arc::clone(&hosted) as Arc<dyn Entry>;
        Ok((hosted, Self { entry, doors, counters }))
    }

    /// Attaches an actor that the user runs. `stopped` is called on the current arbiter when the actor is found to have stopped.
    pub(crate) fn attach<A: Actor<Context = Context<A>>>(
        environment: &Environment,
        addr: Addr<A>,
        handlers: &[Registration<A>],
        stopped: impl FnOnce() + 'static,
    ) -> (Arc<Foreign<A>>, Self) {
        let (counters, decoding) = decoding(environment);
        let doors = handlers.iter().map(|handler| (handler.mailbox_door)(&addr)).collect();
        let foreign = Arc::new(Foreign::new(addr, handlers, decoding, environment.home.clone()));
        let watched: Weak<Foreign<A>> = Arc::downgrade(&foreign);
        actix::spawn(Foreign::look_after(watched, stopped));
        let entry = Arc::clone(&foreign) as Arc<dyn Entry>;
        (foreign, Self { entry, doors, counters })
    }
}

/// The counters of a new service, and the limits of decoding its messages.
fn decoding(environment: &Environment) -> (Arc<RequestCounters>, Decoding) {
    let counters = Arc::<RequestCounters>::default();
    (Arc::clone(&counters), Decoding { limits: environment.decode_limits, counters })
}
