//! The message types that a service handles: their names, descriptions and local entries, by name and by number.

use actix::{Actor, Context};
use meshzero_proto::codec::TypeInfo;
use meshzero_proto::name::TypeName;
use meshzero_proto::wire::catalogue::Catalogue;

use crate::message::NetMessage;
use crate::server::actor::handler::{DocumentedSchema, Registration};
use crate::server::actor::local::{AnyLocalEntry, LocalEntry};

/// The message types that a service handles, in the order of their numbers.
pub(crate) struct MessageTypes {
    catalogue: Catalogue,
    types: Vec<MessageType>,
}

/// A message type that a service handles.
pub(crate) struct MessageType {
    /// The name under which it is registered.
    pub(crate) name: TypeName,
    /// The message.
    pub(crate) message: &'static TypeInfo,
    /// The reply.
    pub(crate) reply: &'static TypeInfo,
    /// The schemas provided by the types.
    pub(crate) documented: Option<DocumentedSchema>,
    /// The entry for callers in this process.
    local_entry: AnyLocalEntry,
    /// Set if the name is the Rust type's own.
    has_own_name: bool,
}

impl MessageTypes {
    /// The types of `handlers`, each with the entry for callers in this process.
    pub(crate) fn new<A: Actor<Context = Context<A>>>(
        handlers: &[Registration<A>],
        local_entries: Vec<AnyLocalEntry>,
    ) -> Self {
        let catalogue = Catalogue::new(handlers.iter().map(Registration::entry).collect());
        let types = handlers.iter().zip(local_entries).map(|(handler, local_entry)| MessageType {
            name: handler.name.clone(),
            message: handler.message,
            reply: handler.reply,
            documented: handler.documented.clone(),
            local_entry,
            has_own_name: *handler.name == *handler.message.name(),
        });
        Self { catalogue, types: types.collect() }
    }

    /// The catalogue that is sent to clients.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// All types.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &MessageType> {
        self.types.iter()
    }

    /// The names of all types.
    pub(crate) fn names(&self) -> Vec<String> {
        self.catalogue.names()
    }

    /// Returns whether a type has this number.
    pub(crate) fn has(&self, slot: u16) -> bool {
        self.catalogue.entry(usize::from(slot)).is_some()
    }

    /// Returns the number of the type `name`.
    pub(crate) fn slot(&self, name: &str) -> Option<usize> {
        self.types.iter().position(|info| &*info.name == name)
    }

    /// Returns the local entry for messages of type `M` that are known as `name`, or by the type's own name.
    pub(crate) fn local_entry<M: NetMessage>(&self, name: Option<&TypeName>) -> Option<&LocalEntry<M>> {
        self.types.iter().find_map(|info| {
            let local_entry = info.local_entry.downcast_ref()?;
            let matches = match name {
                Some(name) => info.name == *name,
                None => info.has_own_name,
            };
            matches.then_some(local_entry)
        })
    }
}
