//! How each message type travels to one endpoint, found out once for each type and connection.

use std::any::TypeId;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use meshzero_proto::catalogue::{Catalogue, Passage};
use meshzero_proto::codec;

use crate::message::NetMessage;

/// The passages that are known. No more than the program has message types.
#[derive(Debug, Default)]
pub struct Passages {
    known: HashMap<TypeId, Option<Passage>, BuildHasherDefault<AsItIs>>,
}

impl Passages {
    /// How messages of type `M` travel to an endpoint with this catalogue, under the type's own name; `None` if the
    /// endpoint does not handle them.
    #[inline]
    pub fn of<M: NetMessage>(&mut self, catalogue: &Catalogue) -> Option<Passage> {
        *self.known.entry(TypeId::of::<M>()).or_insert_with(|| {
            let name = codec::type_info::<M>().name();
            find::<M>(catalogue, name)
        })
    }
}

/// How messages of type `M` that are known as `name` travel to an endpoint with this catalogue.
pub fn find<M: NetMessage>(catalogue: &Catalogue, name: &str) -> Option<Passage> {
    let (message, reply) = (codec::type_info::<M>(), codec::type_info::<M::Result>());
    catalogue.passage(name, message.fingerprint(), reply.fingerprint())
}

/// A [`TypeId`] is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
