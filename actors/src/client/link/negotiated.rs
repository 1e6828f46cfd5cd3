//! How each message type travels to one endpoint, found out once for each type and connection.

use std::any::TypeId;
use std::sync::OnceLock;

use meshzero_proto::codec;
use meshzero_proto::wire::catalogue::{Catalogue, NegotiatedType};

use crate::message::NetMessage;

/// Types that are remembered. A program that sends more of them over one connection has the rest looked up each time.
const REMEMBERED: usize = 32;

/// The passages that are known. They are read without a lock, because every message needs one.
#[derive(Debug, Default)]
pub(crate) struct NegotiatedTypes {
    known: [OnceLock<(TypeId, Option<NegotiatedType>)>; REMEMBERED],
}

impl NegotiatedTypes {
    /// How messages of type `M` travel to an endpoint with this catalogue, under the type's own name; `None` if the
    /// endpoint does not handle them.
    #[inline]
    pub(crate) fn of<M: NetMessage>(&self, catalogue: &Catalogue) -> Option<NegotiatedType> {
        let wanted = TypeId::of::<M>();
        for place in &self.known {
            // Another thread may have filled the place meanwhile, with another type as well.
            let (id, passage) = match place.get() {
                Some(known) => known,
                None => place.get_or_init(|| (wanted, find::<M>(catalogue, codec::type_info::<M>().name()))),
            };
            if *id == wanted {
                return *passage;
            }
        }
        find::<M>(catalogue, codec::type_info::<M>().name())
    }
}

/// How messages of type `M` that are known as `name` travel to an endpoint with this catalogue.
pub(crate) fn find<M: NetMessage>(catalogue: &Catalogue, name: &str) -> Option<NegotiatedType> {
    let (message, reply) = (codec::type_info::<M>(), codec::type_info::<M::Result>());
    catalogue.passage(name, message.fingerprint(), reply.fingerprint())
}
