//! One published item, encoded as frames: in the encodings that its subscribers need, each encoded once.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use meshzero_proto::codec::{self, EncodeError, Encoding, TypeInfo, WireType};
use meshzero_proto::news::{self, Log};
use meshzero_proto::wire::frame;

use crate::message::written::{EncodedParts, ReusableValue, give_back, take_spare};

/// A set of encodings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EncodingSet(u8);

impl EncodingSet {
    /// Returns the set as a number, see [`EncodingSet::from_bits`].
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Returns the union of both sets.
    #[inline(always)]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, encoding: Encoding) {
        self.0 |= bit(encoding);
    }

    #[inline(always)]
    fn has(self, encoding: Encoding) -> bool {
        self.0 & bit(encoding) != 0
    }
}

#[inline(always)]
fn bit(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Bincode => 1,
        Encoding::MessagePack => 2,
    }
}

/// An item as encoded frames, as far as they were needed. They are encoded before the publisher is locked, because that
/// runs the item's own code.
#[derive(Debug, Default)]
pub(crate) struct EncodedItem {
    bincode: EncodedFrame,
    message_pack: EncodedFrame,
}

/// An item in one encoding, or in MessagePack if bincode cannot represent it.
#[derive(Debug, Default)]
struct EncodedFrame {
    /// Set once encoding has been attempted.
    is_encoded: bool,
    parts: EncodedParts,
    /// The frame as shared pieces, if it is large.
    pieces: Vec<Bytes>,
    /// The error of the attempt.
    error: Option<EncodeError>,
}

/// The last item of a topic, as frames.
#[derive(Default)]
pub(crate) struct RetainedItem {
    pub(crate) item: Option<&'static TypeInfo>,
    bincode: Option<Bytes>,
    message_pack: Option<Bytes>,
}

thread_local! {
    /// The buffers for the next item of this thread.
    static SPARE: ReusableValue<EncodedItem> = const { Cell::new(None) };
}

impl EncodedItem {
    /// An item without any frames.
    #[inline(always)]
    pub(crate) fn spare() -> Box<Self> {
        take_spare(&SPARE)
    }

    /// Clears the item, and keeps its buffers for the next one.
    #[inline(always)]
    pub(crate) fn recycle(mut self: Box<Self>) {
        self.bincode.clear();
        self.message_pack.clear();
        give_back(&SPARE, self);
    }

    /// Encodes the frames that are wanted and have not been encoded.
    ///
    /// # Panics
    /// If the name of the topic is too long.
    #[inline(always)]
    pub(crate) fn encode<T: WireType>(&mut self, topic: &str, item: &T, wanted: EncodingSet, max: usize) {
        if wanted.has(Encoding::Bincode) && !self.bincode.is_encoded {
            self.bincode.make(topic, item, Encoding::Bincode, max);
        }
        if wanted.has(Encoding::MessagePack) && !self.message_pack.is_encoded {
            self.message_pack.make(topic, item, Encoding::MessagePack, max);
        }
    }

    /// Returns whether encoding has been attempted for all wanted frames.
    #[inline(always)]
    pub(crate) fn has(&self, wanted: EncodingSet) -> bool {
        (self.bincode.is_encoded || !wanted.has(Encoding::Bincode))
            && (self.message_pack.is_encoded || !wanted.has(Encoding::MessagePack))
    }

    /// Returns the error of a frame that is wanted, if there is one.
    #[inline(always)]
    pub(crate) fn error(&self, wanted: EncodingSet) -> Option<&EncodeError> {
        let error = |encoding| self.frame_in(encoding).error.as_ref().filter(|_| wanted.has(encoding));
        error(Encoding::Bincode).or_else(|| error(Encoding::MessagePack))
    }

    /// Returns whether one of the frames is large.
    #[inline(always)]
    pub(crate) fn is_large(&self) -> bool {
        !self.bincode.pieces.is_empty() || !self.message_pack.pieces.is_empty()
    }

    /// The frame for subscribers that want this encoding.
    #[inline(always)]
    pub(crate) fn frame(&self, wanted: Encoding) -> FrameRef<'_> {
        let EncodedFrame { parts, pieces, .. } = self.frame_in(wanted);
        if pieces.is_empty() { FrameRef::Small(parts.bytes()) } else { FrameRef::Large(pieces) }
    }

    /// Retains the item, in the encodings that it has.
    pub(crate) fn retain(&self, info: &'static TypeInfo) -> RetainedItem {
        let retained = |encoding| {
            let frame = self.frame(encoding).to_bytes();
            (!frame.is_empty()).then_some(frame)
        };
        RetainedItem {
            item: Some(info),
            bincode: retained(Encoding::Bincode),
            message_pack: retained(Encoding::MessagePack),
        }
    }

    #[inline(always)]
    fn frame_in(&self, encoding: Encoding) -> &EncodedFrame {
        match encoding {
            Encoding::Bincode => &self.bincode,
            Encoding::MessagePack => &self.message_pack,
        }
    }
}

impl EncodedFrame {
    #[inline(always)]
    fn make<T: WireType>(&mut self, topic: &str, item: &T, wanted: Encoding, max: usize) {
        self.is_encoded = true;
        let result = self.parts.write(|out| {
            let writer = news::begin_item(out, topic);
            let encoded = codec::encode_preferring(item, wanted, max, out);
            writer.end(out, encoded)
        });
        match result {
            Ok(()) if self.parts.has_blobs() || Log::is_large(self.parts.bytes().len()) => self.split(),
            Ok(()) => {}
            Err(error) => self.fail(error),
        }
    }

    #[cold]
    fn split(&mut self) {
        self.pieces = self.parts.take_pieces();
    }

    #[cold]
    fn fail(&mut self, error: EncodeError) {
        self.error = Some(error);
        // The buffer of a large item begins small, and a failed attempt may have grown it.
        self.parts = EncodedParts::default();
    }

    #[inline(always)]
    fn clear(&mut self) {
        if self.is_encoded {
            self.is_encoded = false;
            self.parts.clear();
            self.pieces.clear();
            self.error = None;
        }
    }
}

impl RetainedItem {
    /// The frame for subscribers that want this encoding; MessagePack if there is no other.
    pub(crate) fn frame(&self, wanted: Encoding) -> Option<Bytes> {
        let wanted = match wanted {
            Encoding::Bincode => &self.bincode,
            Encoding::MessagePack => &self.message_pack,
        };
        wanted.clone().or_else(|| self.message_pack.clone())
    }
}

/// A reference to an encoded frame.
#[derive(Clone, Copy)]
pub(crate) enum FrameRef<'a> {
    Small(&'a [u8]),
    /// The pieces of the frame, in order.
    Large(&'a [Bytes]),
}

impl FrameRef<'_> {
    pub(crate) fn to_bytes(self) -> Bytes {
        match self {
            Self::Small(bytes) => Bytes::copy_from_slice(bytes),
            Self::Large([whole]) => whole.clone(),
            Self::Large(pieces) => pieces.concat().into(),
        }
    }
}

/// Joins the pieces of a log to whole frames. Large items are kept in pieces, which only a connection can send as they
/// are.
pub(crate) fn whole_frames(pieces: Vec<Bytes>) -> impl Iterator<Item = Bytes> {
    let mut pieces = pieces.into_iter();
    std::iter::from_fn(move || {
        let first = pieces.next()?;
        let length = frame::length(&first).unwrap_or_default();
        if length <= first.len() {
            return Some(first);
        }
        let mut frame = BytesMut::with_capacity(length);
        frame.extend_from_slice(&first);
        while frame.len() < length {
            frame.extend_from_slice(&pieces.next()?);
        }
        Some(frame.freeze())
    })
}
