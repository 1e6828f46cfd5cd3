//! A service of this node as connections and callers see it, whatever its actor's type is.

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
    /// Its news.
    pub publisher: Publisher,
    /// The message types that it handles.
    pub(crate) types: MessageTypes,
    entry: Arc<dyn ActorEntry>,
    places: Arc<FairSemaphore>,
    ending: ShutdownSignal,
    /// The links to its callers and subscribers.
    pub(crate) links: SessionTable,
    /// Counters of requests that were not handled.
    pub(crate) counters: Arc<RequestCounters>,
    /// Its description, once somebody has asked for it.
    pub(crate) described: DescriptionCache,
    /// Set when it begins to end.
    end: OnceLock<ServiceEnd>,
    /// Messages that came over connections and were handed to the actor.
    pub(crate) messages_in: Counter,
    /// Counters of the connections to its endpoint.
    pub(crate) connections: ConnectionCounters,
    /// The settings of its connections, the limits among them.
    pub(crate) carrying: LinkConfig,
    /// The thread of its actor's entry and of its connections.
    pub(crate) home: Executor,
    /// The source of the node's statistics; its services do not keep it alive.
    pub(crate) node_stats: WeakRecipient<GetStats>,
}

impl Service {
    /// A service whose actor is reached with `entrance` and handles this. No endpoint leads to it yet.
    pub(crate) fn new<A: Actor<Context = Context<A>>>(
        environment: &Environment,
        identity: Identity,
        publisher: Publisher,
        handlers: &[Registration<A>],
        entrance: ActorHandle,
    ) -> Self {
        let Environment { home, carrying, node_stats, .. } = environment.clone();
        let ActorHandle { entry, doors, counters } = entrance;
        let places = FairSemaphore::new(carrying.limits.mailbox);
        Self {
            identity,
            publisher,
            types: MessageTypes::new(handlers, doors),
            entry,
            places,
            ending: ShutdownSignal::default(),
            links: SessionTable::default(),
            counters,
            described: DescriptionCache::default(),
            end: OnceLock::new(),
            messages_in: Counter::default(),
            connections: ConnectionCounters::default(),
            carrying,
            home,
            node_stats,
        }
    }

    /// Its limits.
    pub(crate) fn limits(&self) -> &Limits {
        &self.carrying.limits
    }

    /// The answer of its endpoint to the hello of a connection that carries no link.
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

    /// Waits for a place among the unfinished messages; those who wait are served in order. `None` if the
    /// service closes meanwhile.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the place in the queue.
    pub(crate) async fn acquire(&self) -> Option<Permits> {
        self.places.acquire(1).await
    }

    /// As [`Service::acquire`], and nobody who came later gets a place before this one's message has entered.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the place in the queue.
    pub(crate) async fn turn(&self) -> Option<PermitsInTurn<'_>> {
        self.places.acquire_in_turn(1).await
    }

    /// Waits for a place as [`Service::acquire`] does, and takes as many more as are free at once, `wanted` in all at most.
    /// For messages that were accepted: they also get places while the service drains.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the place in the queue.
    pub(crate) async fn acquire_many(&self, wanted: usize) -> Option<Permits> {
        self.places.acquire_accepted(wanted).await
    }

    /// A place among the unfinished messages, if one is free and nobody waits for it.
    #[inline]
    pub(crate) fn try_acquire(&self) -> Option<Permits> {
        self.places.try_acquire()
    }

    /// Its statistics.
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

    /// The number of unfinished messages.
    pub fn unfinished(&self) -> usize {
        self.places.taken()
    }

    /// Hands over the messages that arrived together on one connection. To be called on the service's thread.
    pub(crate) fn deliver(&self, delivery: Delivery) {
        self.messages_in.add(delivery.left());
        self.entry.deliver(delivery);
    }

    /// Hands over an encoded message by itself. It is not counted as one that came over a link: a session that has it from a connection does that.
    pub(crate) fn deliver_alone(&self, slot: usize, inbound: InboundMessage) {
        self.entry.deliver_alone(slot, inbound);
    }

    /// Accepts no more messages; what was accepted is still handled.
    pub(crate) fn drain(&self) {
        self.places.drain();
    }

    /// Returns whether new messages are refused because the service is about to close, or has.
    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.places.is_draining()
    }

    /// Waits until every message that was accepted is finished. To be called when [`Service::drain`] has been.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn drained(&self) {
        self.places.drained().await;
    }

    /// Refuses what a connection brought while the service drains.
    #[cold]
    pub(crate) fn reject_unstarted(&self, frames: &[u8], answers: &Responder, messages: usize) {
        events::record(|| {
            tracing::debug!(service = ?self.identity.name, messages, "refused messages that came while it drains");
        });
        let refused = delivery::refuse_all(frames, answers);
        // Nobody waits for an answer to the others, and they are dropped.
        self.counters.draining.add(messages - refused);
    }

    /// Takes no more messages and turns away what no handler has begun. Returns what was unfinished by type, as far as
    /// that is known.
    pub(crate) async fn abandon(&self) -> CountsByType {
        let (tell, told) = oneshot::channel();
        self.entry.abandon(tell);
        // An actor that has ended has nothing left.
        told.await.unwrap_or_default()
    }

    /// Takes no more messages and publishes nothing more; subscribers still get what was published.
    pub(crate) fn close(&self) {
        self.places.drain();
        self.entry.close();
        self.publisher.close();
        self.places.close();
        self.ending.trigger();
    }

    /// Waits until the service has been closed.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn closed(&self) {
        self.ending.triggered().await;
    }

    /// Notes why it ends; the first reason counts.
    pub(crate) fn note_end(&self, end: ServiceEnd) {
        // A later reason is a consequence of the first.
        let _ = self.end.set(end);
    }

    /// The reason why it has ended, or is about to; `None` as long as it is offered.
    pub fn end(&self) -> Option<&ServiceEnd> {
        self.end.get()
    }

    /// The number of times that its actor was restarted after a panic.
    pub fn restarts(&self) -> u64 {
        self.entry.restarts()
    }

    /// Returns whether it still takes messages.
    pub(crate) fn is_alive(&self) -> bool {
        !self.is_draining() && self.entry.is_alive()
    }
}
