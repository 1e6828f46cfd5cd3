//! A service of this node as connections and callers see it, whatever the type of its actor.

pub(crate) mod actor_handle;
pub(crate) mod environment;
pub(crate) mod identity;

use std::sync::{Arc, OnceLock};

use actix::{Actor, Context, WeakRecipient};
use meshzero_proto::limits::Limits;
use meshzero_proto::wire::hello::Welcome;
use tokio::sync::oneshot;

use crate::link::config::LinkConfig;
use crate::runtime::events;
use crate::runtime::executor::Executor;
use crate::runtime::semaphore::{FairSemaphore, Permits, PermitsInTurn};
use crate::runtime::shutdown::ShutdownSignal;
use crate::server::actor::entry::ActorEntry;
pub use crate::server::actor::entry::ServiceEnd;
use crate::server::actor::handler::Registration;
use crate::server::actor::message_types::MessageTypes;
use crate::server::describe::DescriptionCache;
use crate::server::publisher::Publisher;
use crate::server::request::delivery::{self, Delivery};
use crate::server::request::in_progress::CountsByType;
use crate::server::request::inbound::InboundMessage;
use crate::server::request::responder::Responder;
use crate::server::service::actor_handle::ActorHandle;
use crate::server::service::environment::Environment;
use crate::server::service::identity::Identity;
use crate::server::session_table::SessionTable;
use crate::telemetry::counters::{ConnectionCounters, Counter, RequestCounters};
use crate::telemetry::stats::{GetStats, ServiceStats};

/// One service that this node offers.
pub struct Service {
    /// Its identity.
    pub identity: Identity,
    /// The publisher of its items.
    pub publisher: Publisher,
    /// The message types that it handles.
    pub(crate) types: MessageTypes,
    entry: Arc<dyn ActorEntry>,
    permits: Arc<FairSemaphore>,
    shutdown: ShutdownSignal,
    /// The links of its callers and subscribers.
    pub(crate) links: SessionTable,
    /// Counters of requests that were not handled.
    pub(crate) counters: Arc<RequestCounters>,
    /// The cached description, once it has been requested.
    pub(crate) description: DescriptionCache,
    /// The reason for which it ends, once it begins to.
    end: OnceLock<ServiceEnd>,
    /// The number of messages that arrived over connections and were handed to the actor.
    pub(crate) messages_in: Counter,
    /// Counters of the connections to its endpoint.
    pub(crate) connections: ConnectionCounters,
    /// The settings of its connections, the limits among them.
    pub(crate) link_config: LinkConfig,
    /// The thread of its actor's entry and of its connections.
    pub(crate) executor: Executor,
    /// The source of the node's statistics; its services do not keep it alive.
    pub(crate) node_stats: WeakRecipient<GetStats>,
}

impl Service {
    /// A service with an actor and its handlers. No endpoint leads to it yet.
    pub(crate) fn new<A: Actor<Context = Context<A>>>(
        environment: &Environment,
        identity: Identity,
        publisher: Publisher,
        handlers: &[Registration<A>],
        handle: ActorHandle,
    ) -> Self {
        let Environment { executor, link_config, node_stats, .. } = environment.clone();
        let ActorHandle { entry, local_entries, counters } = handle;
        let permits = FairSemaphore::new(link_config.limits.mailbox);
        Self {
            identity,
            publisher,
            types: MessageTypes::new(handlers, local_entries),
            entry,
            permits,
            shutdown: ShutdownSignal::default(),
            links: SessionTable::default(),
            counters,
            description: DescriptionCache::default(),
            end: OnceLock::new(),
            messages_in: Counter::default(),
            connections: ConnectionCounters::default(),
            link_config,
            executor,
            node_stats,
        }
    }

    /// The limits of the service.
    pub(crate) fn limits(&self) -> &Limits {
        &self.link_config.limits
    }

    /// The answer of its endpoint to the handshake of a connection that carries no link.
    pub(crate) fn welcome(&self) -> Welcome {
        Welcome {
            node: self.identity.node,
            instance: self.identity.instance,
            service: self.identity.name.clone(),
            message_bytes: u32::try_from(self.limits().message_bytes).unwrap_or(u32::MAX),
            link: None,
            received: 0,
            standby: None,
        }
    }

    /// Waits for a permit for one unfinished message; waiting callers are served in order. `None` if the service closes
    /// meanwhile.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the place in the queue.
    pub(crate) async fn acquire(&self) -> Option<Permits> {
        self.permits.acquire(1).await
    }

    /// As [`Service::acquire`]; no later caller gets a permit before the message of this one has entered.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the place in the queue.
    pub(crate) async fn acquire_in_turn(&self) -> Option<PermitsInTurn<'_>> {
        self.permits.acquire_in_turn(1).await
    }

    /// Waits for a permit as [`Service::acquire`] does, and takes as many more as are free at once, at most `wanted` in
    /// all. For messages that were accepted: they get permits even while the service drains.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the place in the queue.
    pub(crate) async fn acquire_many(&self, wanted: usize) -> Option<Permits> {
        self.permits.acquire_accepted(wanted).await
    }

    /// Returns a permit for one unfinished message, if one is free and nobody waits for it.
    #[inline]
    pub(crate) fn try_acquire(&self) -> Option<Permits> {
        self.permits.try_acquire()
    }

    /// Returns the statistics of the service.
    pub fn stats(&self) -> ServiceStats {
        ServiceStats {
            service: self.identity.name.as_ref().map(ToString::to_string).unwrap_or_default(),
            messages: self.messages_in.get(),
            unfinished: self.unfinished() as u64,
            restarts: self.restarts(),
            requests: self.counters.counts(),
            news: self.publisher.totals(),
            connections: self.connections.counts(self.links.open()),
            links: self.links.stats(),
        }
    }

    /// Returns the number of unfinished messages.
    pub fn unfinished(&self) -> usize {
        self.permits.taken()
    }

    /// Hands over the messages that arrived together on one connection. Must be called on the service's thread.
    pub(crate) fn deliver(&self, delivery: Delivery) {
        self.messages_in.add(delivery.remaining());
        self.entry.deliver(delivery);
    }

    /// Hands over a single encoded message. It is not counted as one that arrived over a link: a session does that for
    /// messages from its connection.
    pub(crate) fn deliver_alone(&self, slot: usize, inbound: InboundMessage) {
        self.entry.deliver_alone(slot, inbound);
    }

    /// Accepts no more messages; those that were accepted are still handled.
    pub(crate) fn drain(&self) {
        self.permits.drain();
    }

    /// Returns whether new messages are refused because the service is about to close, or has closed.
    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.permits.is_draining()
    }

    /// Waits until every accepted message is finished. Must be called after [`Service::drain`].
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn drained(&self) {
        self.permits.drained().await;
    }

    /// Refuses messages that arrived on a connection while the service drains.
    #[cold]
    pub(crate) fn reject_unstarted(&self, frames: &[u8], responder: &Responder, messages: usize) {
        events::record(|| {
            tracing::debug!(service = ?self.identity.name, messages, "refused messages that came while it drains");
        });
        let refused = delivery::refuse_all(frames, responder);
        // The others expect no reply, and are dropped.
        self.counters.draining.add(messages - refused);
    }

    /// Accepts no more messages and refuses those that no handler has begun. Returns the numbers of unfinished
    /// messages by type, as far as they are known.
    pub(crate) async fn abandon(&self) -> CountsByType {
        let (tx, rx) = oneshot::channel();
        self.entry.abandon(tx);
        // Fails if the actor has ended, which then has no messages left.
        rx.await.unwrap_or_default()
    }

    /// Accepts no more messages and publishes nothing more; subscribers still receive the items published before.
    pub(crate) fn close(&self) {
        self.permits.drain();
        self.entry.close();
        self.publisher.close();
        self.permits.close();
        self.shutdown.trigger();
    }

    /// Waits until the service has been closed.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn closed(&self) {
        self.shutdown.triggered().await;
    }

    /// Records the reason for its end; the first one counts.
    pub(crate) fn set_end(&self, end: ServiceEnd) {
        // A later reason is a consequence of the first.
        let _ = self.end.set(end);
    }

    /// Returns the reason for which it has ended, or is about to; `None` while it is offered.
    pub fn end(&self) -> Option<&ServiceEnd> {
        self.end.get()
    }

    /// Returns the number of times that its actor was restarted after a panic.
    pub fn restarts(&self) -> u64 {
        self.entry.restarts()
    }

    /// Returns whether it still accepts messages.
    pub(crate) fn is_alive(&self) -> bool {
        !self.is_draining() && self.entry.is_alive()
    }
}

/// Closes a service when the task that serves it ends: also when that panics, or its thread ends.
pub(crate) struct CloseServiceOnDrop(pub(crate) Arc<Service>);

impl Drop for CloseServiceOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}
