//! The slot and the encodings of each message type at one endpoint, determined once per type and connection.

use std::any::TypeId;
use std::sync::OnceLock;

use meshzero_proto::codec;
use meshzero_proto::wire::catalogue::{Catalogue, NegotiatedType};

use crate::message::NetMessage;

/// The number of cached types. A program that sends more of them over one connection has the rest looked up each time.
const CACHED_TYPES: usize = 32;

/// The negotiated types of one link. They are read without a lock, because every message needs one.
#[derive(Debug, Default)]
pub(crate) struct NegotiatedTypes {
    entries: [OnceLock<(TypeId, Option<NegotiatedType>)>; CACHED_TYPES],
}

impl NegotiatedTypes {
    /// Returns the slot and the encodings for messages of type `M` at an endpoint with this catalogue, under the type's
    /// own name; `None` if the endpoint does not handle them.
    #[inline(always)]
    pub(crate) fn get<M: NetMessage>(&self, catalogue: &Catalogue) -> Option<NegotiatedType> {
        for entry in &self.entries {
            match entry.get() {
                Some((id, negotiated)) if *id == TypeId::of::<M>() => return *negotiated,
                Some(_) => {}
                None => break,
            }
        }
        self.negotiate::<M>(catalogue)
    }

    /// Negotiates a type that is not cached, and caches it if there is room.
    #[cold]
    #[inline(never)]
    fn negotiate<M: NetMessage>(&self, catalogue: &Catalogue) -> Option<NegotiatedType> {
        let type_id = TypeId::of::<M>();
        for entry in &self.entries {
            // Another thread may have filled the entry meanwhile, also with another type.
            let (id, negotiated) =
                entry.get_or_init(|| (type_id, find::<M>(catalogue, codec::type_info::<M>().name())));
            if *id == type_id {
                return *negotiated;
            }
        }
        find::<M>(catalogue, codec::type_info::<M>().name())
    }
}

/// Returns the slot and the encodings for messages of type `M` that are called `name`, at an endpoint with this
/// catalogue.
pub(crate) fn find<M: NetMessage>(catalogue: &Catalogue, name: &str) -> Option<NegotiatedType> {
    let (message, reply) = (codec::type_info::<M>(), codec::type_info::<M::Result>());
    catalogue.negotiate(name, message.fingerprint(), reply.fingerprint())
}
