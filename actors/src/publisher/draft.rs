//! Encodes an item that is being published, before the publisher is locked: in the encodings in which the last item of its topic
//! was wanted, and again where that was wrong.

use std::sync::atomic::{AtomicU8, Ordering};

use meshzero_proto::codec::{self, TypeInfo, Wire};

use crate::encoded::{Item, Wanted};

/// The number of guesses. Topics beyond share them; a guess that is wrong costs another look.
const GUESSES: usize = 64;

/// The encodings in which the last items were wanted, by topics that share a place.
pub(super) struct Guesses([AtomicU8; GUESSES]);

impl Default for Guesses {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU8::new(0)))
    }
}

impl Guesses {
    /// Notes the encodings in which an item of the topic was wanted.
    #[inline(always)]
    pub(super) fn note(&self, topic: &str, wanted: Wanted) {
        self.place(topic).store(wanted.bits(), Ordering::Relaxed);
    }

    /// Topics of one service differ at their ends.
    #[inline(always)]
    fn place(&self, topic: &str) -> &AtomicU8 {
        let bytes = topic.as_bytes();
        let end = &bytes[bytes.len().saturating_sub(8)..];
        let hash =
            end.iter().fold(bytes.len(), |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        &self.0[hash % GUESSES]
    }
}

/// An item, encoded as far as it is known to be wanted. Its own code runs in here only, and never while the publisher is locked.
pub(super) struct Draft {
    pub(super) wanted: Wanted,
    pub(super) item: Item,
    /// Its type, if that had to be looked up.
    pub(super) info: Option<&'static TypeInfo>,
}

impl Draft {
    /// Nothing yet of an item of the topic.
    #[inline(always)]
    pub(super) fn new(guesses: &Guesses, topic: &str) -> Self {
        let wanted = Wanted::from_bits(guesses.place(topic).load(Ordering::Relaxed));
        Self { wanted, item: Item::default(), info: None }
    }

    /// Encodes the item as it is wanted, at most `max` bytes.
    #[inline(always)]
    pub(super) fn make<T: Wire>(&mut self, item: &T, max: usize) {
        self.item.make(item, self.wanted, max);
    }

    /// Notes what is wanted after a guess that was wrong.
    #[cold]
    pub(super) fn look_again<T: Wire>(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        self.info = Some(codec::type_info::<T>());
    }
}
