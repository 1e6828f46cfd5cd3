//! One service of this node as connections and callers see it, whatever its actor's type is.

use std::sync::{Arc, OnceLock};

use actix::{Actor, Context, WeakRecipient};
use meshzero_proto::catalogue::Catalogue;
use meshzero_proto::codec::TypeInfo;
use meshzero_proto::hello::Welcome;
use meshzero_proto::limits::Limits;
use meshzero_proto::name::TypeName;
use tokio::sync::oneshot;

use crate::actor_handle::Entrance;
use crate::answers::Answers;
use crate::counts::{ConnectionCounters, Counter, RequestCounters};
use crate::delivery::{self, Delivery};
use crate::describe::Described;
use crate::door::{AnyDoor, Door};
use crate::ending::Ending;
use crate::entry::Entry;
pub use crate::entry::ServiceEnd;
use crate::environment::Environment;
use crate::events;
use crate::handler::{Documented, Registration};
use crate::home::Home;
use crate::identity::Identity;
use crate::in_progress::Tally;
use crate::inbound::Inbound;
use crate::links::Links;
use crate::message::NetMessage;
use crate::publisher::Publisher;
use crate::quota::{Quota, Taken, Turn};
use crate::stats::{AskStats, ServiceStats};
use crate::traffic::Carrying;

/// A message type that a service handles, as `describe` tells it.
#[derive(Debug, Clone)]
pub struct MessageInfo {
    /// The name it is known by.
    pub name: TypeName,
    /// The message.
    pub message: &'static TypeInfo,
    /// The reply.
    pub reply: &'static TypeInfo,
    /// Schemas that the types bring along.
    pub documented: Option<Documented>,
}

/// One service that this node offers.
pub struct Service {
    /// Who it is.
    pub identity: Identity,
    /// Its news.
    pub publisher: Publisher,
    pub(crate) catalogue: Catalogue,
    pub(crate) messages: Vec<MessageInfo>,
    entry: Arc<dyn Entry>,
    doors: Vec<NamedDoor>,
    places: Arc<Quota>,
    ending: Ending,
    /// The conversations with its callers and subscribers.
    pub(crate) links: Links,
    /// What became of requests that were not handled.
    pub(crate) counters: Arc<RequestCounters>,
    /// What it says of itself.
    pub(crate) described: Described,
    /// Set when it begins to end.
    end: OnceLock<ServiceEnd>,
    /// Messages that came over connections and were handed to the actor.
    pub(crate) messages_in: Counter,
    /// What became of connections to its endpoint.
    pub(crate) connections: ConnectionCounters,
    /// What its connections have in common with others of the node.
    pub(crate) carrying: Carrying,
    /// The thread that its actor's entrance and its connections are on.
    pub(crate) home: Home,
    /// Who knows what the whole node has counted; not kept from ending by its services.
    pub(crate) node_stats: WeakRecipient<AskStats>,
}

/// The entrance for callers in this process to the handler of one message type.
struct NamedDoor {
    door: AnyDoor,
    name: TypeName,
    /// Whether that is the type's own name.
    has_own_name: bool,
}

impl Service {
    /// A service whose actor is reached with `entrance` and handles this. No endpoint leads to it yet.
    pub(crate) fn new<A: Actor<Context = Context<A>>>(
        environment: &Environment,
        identity: Identity,
        publisher: Publisher,
        handlers: &[Registration<A>],
        entrance: Entrance,
    ) -> Self {
        let Environment { home, carrying, node_stats, .. } = environment.clone();
        let Entrance { entry, doors, counters } = entrance;
        let catalogue = Catalogue::new(handlers.iter().map(Registration::entry).collect());
        let messages = handlers.iter().map(|handler| MessageInfo {
            name: handler.name.clone(),
            message: handler.message,
            reply: handler.reply,
            documented: handler.documented.clone(),
        });
        let messages: Vec<_> = messages.collect();
        let doors = doors.into_iter().zip(&messages).map(|(door, info)| NamedDoor {
            door,
            name: info.name.clone(),
            has_own_name: *info.name == *info.message.name(),
        });
        let doors = doors.collect();
        let places = Quota::new(carrying.limits.mailbox);
        Self {
            identity,
            publisher,
            catalogue,
            messages,
            entry,
            doors,
            places,
            ending: Ending::default(),
            links: Links::default(),
            counters,
            described: Described::default(),
            end: OnceLock::new(),
            messages_in: Counter::default(),
            connections: ConnectionCounters::default(),
            carrying,
            home,
            node_stats,
        }
    }

    /// The bounds that it keeps.
    pub fn limits(&self) -> &Limits {
        &self.carrying.limits
    }

    /// What its endpoint answers to a hello, of a connection that carries no link.
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

    /// The message types that it handles.
    pub fn messages(&self) -> &[MessageInfo] {
        &self.messages
    }

    /// The names of the message types that it handles.
    pub fn handles(&self) -> Vec<String> {
        self.catalogue.names()
    }

    /// Waits for a place among the unfinished messages; those who wait are served in order. `None` if the
    /// service closes meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub async fn place(&self) -> Option<Taken> {
        self.places.take(1).await
    }

    /// As [`Service::place`], and nobody who came later gets a place before this one's message has entered.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub(crate) async fn turn(&self) -> Option<Turn<'_>> {
        self.places.turn(1).await
    }

    /// Waits for a place as [`Service::place`] does, and takes as many more as are free at once, `wanted` in all at most.
    /// For messages that were accepted: they also get places while the service drains.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub async fn places(&self, wanted: usize) -> Option<Taken> {
        self.places.take_accepted(wanted).await
    }

    /// A place among the unfinished messages, if one is free and nobody waits for it.
    #[inline]
    pub fn try_place(&self) -> Option<Taken> {
        self.places.try_take()
    }

    /// What it has counted.
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

    /// How many messages are unfinished.
    pub fn unfinished(&self) -> usize {
        self.places.taken()
    }

    /// The entrance for messages of type `M` that are known as `name`, or by the type's own name, if the service has one.
    pub fn door<M: NetMessage>(&self, name: Option<&TypeName>) -> Option<&Door<M>> {
        self.doors.iter().find_map(|named| {
            let door = named.door.downcast_ref()?;
            let is_meant = match name {
                Some(name) => named.name == *name,
                None => named.has_own_name,
            };
            is_meant.then_some(door)
        })
    }

    /// The number of the message type `name`, if the service handles it.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.messages.iter().position(|info| &*info.name == name)
    }

    /// Hands over what one connection brought. To be called on the service's thread.
    pub(crate) fn deliver(&self, delivery: Delivery) {
        self.messages_in.add(delivery.left());
        self.entry.deliver(delivery);
    }

    /// Hands over an encoded message by itself. It is not counted as one that came over a link: whoever has it from a connection does that.
    pub fn deliver_alone(&self, slot: usize, inbound: Inbound) {
        self.entry.deliver_alone(slot, inbound);
    }

    /// Accepts no more messages; what was accepted is still handled.
    pub fn drain(&self) {
        self.places.drain();
    }

    /// Whether new messages are refused because the service is about to close, or has.
    #[inline]
    pub fn is_draining(&self) -> bool {
        self.places.is_draining()
    }

    /// Waits until every message that was accepted is finished. To be called when [`Service::drain`] has been.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn drained(&self) {
        self.places.all_free().await;
    }

    /// Refuses what a connection brought while the service drains.
    #[cold]
    pub(crate) fn turn_away(&self, frames: &[u8], answers: &Answers, messages: usize) {
        events::record(|| {
            tracing::debug!(service = ?self.identity.name, messages, "refused messages that came while it drains");
        });
        let refused = delivery::refuse_all(frames, answers);
        // Nobody waits for an answer to the others, and they are dropped.
        self.counters.draining.add(messages - refused);
    }

    /// Takes no more messages and turns away what no handler has begun. Returns what was unfinished by type, as far as
    /// that is known.
    pub(crate) async fn abandon(&self) -> Tally {
        let (tell, told) = oneshot::channel();
        self.entry.abandon(tell);
        // An actor that has ended has nothing left.
        told.await.unwrap_or_default()
    }

    /// Takes no more messages and publishes nothing more; subscribers still get what was published.
    pub fn close(&self) {
        self.places.drain();
        self.entry.close();
        self.publisher.close();
        self.places.close();
        self.ending.tell();
    }

    /// Waits until the service has been closed.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub async fn closed(&self) {
        self.ending.come().await;
    }

    /// Notes why it ends; the first reason counts.
    pub(crate) fn note_end(&self, end: ServiceEnd) {
        // A later reason is a consequence of the first.
        let _ = self.end.set(end);
    }

    /// Why it has ended, or is about to; `None` as long as it is offered.
    pub fn end(&self) -> Option<&ServiceEnd> {
        self.end.get()
    }

    /// How often its actor was made anew after a panic.
    pub fn restarts(&self) -> u64 {
        self.entry.restarts()
    }

    /// Whether it still takes messages.
    pub fn is_alive(&self) -> bool {
        !self.is_draining() && self.entry.is_alive()
    }
}
