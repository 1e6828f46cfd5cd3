//! The slot and the encodings of each message type at one endpoint, determined once per type and connection.

use std::any::TypeId;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use meshzero_proto::codec;
use meshzero_proto::wire::catalogue::{Catalogue, NegotiatedType};

use crate::message::NetMessage;

/// The number of cached types. A program that sends more of them over one connection has the rest looked up each time.
const CACHED_TYPES: usize = 32;

/// The negotiated types of one link: a hash table with linear probing, which is read without a lock, because every message
/// needs an entry. The place where a type's search begins is known at compile time.
#[derive(Debug, Default)]
pub(crate) struct NegotiatedTypes {
    entries: [OnceLock<(TypeId, Option<NegotiatedType>)>; CACHED_TYPES],
}

impl NegotiatedTypes {
    /// Returns the slot and the encodings for messages of type `M` at an endpoint with this catalogue, under the type's
    /// own name; `None` if the endpoint does not handle them.
    #[inline(always)]
    pub(crate) fn get<M: NetMessage>(&self, catalogue: &Catalogue) -> Option<NegotiatedType> {
        let type_id = TypeId::of::<M>();
        match probe(type_id).next().and_then(|place| self.entries[place].get()) {
            Some((id, negotiated)) if *id == type_id => *negotiated,
            _ => self.search::<M>(catalogue),
        }
    }

    /// Returns the same for a type that is not in its first place.
    #[inline(never)]
    fn search<M: NetMessage>(&self, catalogue: &Catalogue) -> Option<NegotiatedType> {
        let type_id = TypeId::of::<M>();
        for place in probe(type_id) {
            match self.entries[place].get() {
                Some((id, negotiated)) if *id == type_id => return *negotiated,
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
        for place in probe(type_id) {
            // Another thread may have filled the entry meanwhile, also with another type.
            let (id, negotiated) = self.entries[place]
                .get_or_init(|| (type_id, find::<M>(catalogue, codec::type_info::<M>().name())));
            if *id == type_id {
                return *negotiated;
            }
        }
        find::<M>(catalogue, codec::type_info::<M>().name())
    }
}

/// Returns the places at which the entry of a type may be, in the order of the search.
#[inline(always)]
fn probe(type_id: TypeId) -> impl Iterator<Item = usize> {
    let mut hasher = IdHasher::default();
    type_id.hash(&mut hasher);
    let first = hasher.finish() as usize;
    (0..CACHED_TYPES).map(move |step| first.wrapping_add(step) % CACHED_TYPES)
}

/// The hash of an id that is a hash already, and is given as a number.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    #[inline(always)]
    fn write_u64(&mut self, number: u64) {
        self.0 ^= number;
    }

    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Returns the slot and the encodings for messages of type `M` that are called `name`, at an endpoint with this
/// catalogue.
pub(crate) fn find<M: NetMessage>(catalogue: &Catalogue, name: &str) -> Option<NegotiatedType> {
    let (message, reply) = (codec::type_info::<M>(), codec::type_info::<M::Result>());
    catalogue.negotiate(name, message.fingerprint(), reply.fingerprint())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_search_for_a_type_reaches_every_place_and_begins_where_its_id_says() {
        let ids = [TypeId::of::<u8>(), TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<String>()];
        for id in ids {
            assert_eq!(probe(id).collect::<BTreeSet<_>>(), (0..CACHED_TYPES).collect(), "each once");
            assert_eq!(probe(id).count(), CACHED_TYPES);
        }
        let first: BTreeSet<_> = ids.iter().map(|id| probe(*id).next()).collect();
        assert!(first.len() > 1, "types are spread over the table: {first:?}");
    }
}
