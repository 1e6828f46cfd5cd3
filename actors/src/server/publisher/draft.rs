//! Encodes an item that is being published, before the publisher is locked: in the encodings that were needed for the
//! last item of its topic, and again if that guess was wrong.

use std::sync::atomic::{AtomicU8, Ordering};

use meshzero_proto::codec::{self, TypeInfo, WireType};
use meshzero_proto::name::{MAX_NAME_BYTES, end_words};

use crate::server::publisher::encoded::{EncodedItem, EncodingSet};

/// The number of guesses, a power of two. Topics may share one; a wrong guess costs another attempt.
const GUESSES: usize = 64;

/// The encodings that were needed for the last items, by hash of the topic.
pub(super) struct EncodingGuesses([AtomicU8; GUESSES]);

impl Default for EncodingGuesses {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU8::new(0)))
    }
}

impl EncodingGuesses {
    /// Records the encodings that were needed for an item of the topic.
    #[inline(always)]
    pub(super) fn record(&self, topic: &str, wanted: EncodingSet) {
        self.slot(topic).store(wanted.bits(), Ordering::Relaxed);
    }

    /// Returns the guess of a topic. The topics of one service mostly begin alike, and have nearly the same length.
    #[inline(always)]
    fn slot(&self, topic: &str) -> &AtomicU8 {
        let (first, last) = end_words(topic.as_bytes());
        // Multiplicative hashing by the golden ratio: the upper bits depend on all.
        let hash = (first ^ last.rotate_left(7) ^ topic.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.0[(hash >> (u64::BITS - GUESSES.ilog2())) as usize]
    }
}

/// An item, in the encodings known to be needed. The item's own code runs in here only, and never while the publisher
/// is locked.
pub(super) struct DraftItem<'a> {
    topic: &'a str,
    pub(super) wanted: EncodingSet,
    pub(super) item: Box<EncodedItem>,
    /// The type of the item, if that is known.
    pub(super) info: Option<&'static TypeInfo>,
}

impl<'a> DraftItem<'a> {
    /// An item of the topic, which may have been encoded in part before. Encodes it as needed for the last item, in at most
    /// `max` bytes.
    #[inline(always)]
    pub(super) fn new<T: WireType>(
        guesses: &EncodingGuesses,
        topic: &'a str,
        item: &T,
        max: usize,
        encoded: Option<Box<EncodedItem>>,
    ) -> Self {
        let wanted = match topic.len() {
            ..=MAX_NAME_BYTES => EncodingSet::from_bits(guesses.slot(topic).load(Ordering::Relaxed)),
            // There can be no such topic.
            _ => EncodingSet::default(),
        };
        let mut encoded = encoded.unwrap_or_else(EncodedItem::spare);
        encoded.encode(topic, item, wanted, max);
        Self { topic, wanted, item: encoded, info: None }
    }

    /// Completes the item once the publisher is no longer locked: determines its type, unless that is known, and encodes it
    /// in the encodings needed.
    #[cold]
    pub(super) fn complete<T: WireType>(&mut self, item: &T, max: usize) {
        self.info.get_or_insert_with(codec::type_info::<T>);
        self.item.encode(self.topic, item, self.wanted, max);
    }
}
