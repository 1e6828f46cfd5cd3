//! Encodes an item that is being published, before the publisher is locked: in the encodings in which the last item of its topic
//! was wanted, and again where that was wrong.

use std::sync::atomic::{AtomicU8, Ordering};

use meshzero_proto::codec::{self, TypeInfo, WireType};
use meshzero_proto::name::MAX_NAME_BYTES;

use crate::server::publisher::encoded::{EncodedItem, EncodingSet};

/// The number of guesses, a power of two. Topics may share one; a guess that is wrong costs another look.
const GUESSES: usize = 64;

/// The encodings in which the last items were wanted, by topics that share a place.
pub(super) struct EncodingGuesses([AtomicU8; GUESSES]);

impl Default for EncodingGuesses {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU8::new(0)))
    }
}

impl EncodingGuesses {
    /// Notes the encodings in which an item of the topic was wanted.
    #[inline(always)]
    pub(super) fn note(&self, topic: &str, wanted: EncodingSet) {
        self.place(topic).store(wanted.bits(), Ordering::Relaxed);
    }

    /// Topics of one service have the same beginning for the most part, and nearly the same length.
    #[inline(always)]
    fn place(&self, topic: &str) -> &AtomicU8 {
        let bytes = topic.as_bytes();
        let words = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => {
                u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(7)
            }
            _ => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        // Multiplicative hashing by the golden ratio: the upper bits depend on all.
        let hash = (words ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.0[(hash >> (u64::BITS - GUESSES.ilog2())) as usize]
    }
}

/// An item, encoded as far as it is known to be wanted. Its own code runs in here only, and never while the publisher is locked.
pub(super) struct DraftItem<'a> {
    topic: &'a str,
    pub(super) wanted: EncodingSet,
    pub(super) item: Box<EncodedItem>,
    /// Its type, if that is known.
    pub(super) info: Option<&'static TypeInfo>,
}

impl<'a> DraftItem<'a> {
    /// An item of the topic, of which there may be something already.
    #[inline(always)]
    pub(super) fn new(guesses: &EncodingGuesses, topic: &'a str, item: Option<Box<EncodedItem>>) -> Self {
        let wanted = match topic.len() {
            ..=MAX_NAME_BYTES => EncodingSet::from_bits(guesses.place(topic).load(Ordering::Relaxed)),
            // There can be no such topic.
            _ => EncodingSet::default(),
        };
        Self { topic, wanted, item: item.unwrap_or_else(EncodedItem::spare), info: None }
    }

    /// Encodes the item as it is wanted, at most `max` bytes.
    #[inline(always)]
    pub(super) fn make<T: WireType>(&mut self, item: &T, max: usize) {
        self.item.make(self.topic, item, self.wanted, max);
    }

    /// Finds out about the type of the item, once the publisher is locked no more, unless it is known.
    #[cold]
    pub(super) fn look_at_type<T: WireType>(&mut self) {
        self.info.get_or_insert_with(codec::type_info::<T>);
    }
}
