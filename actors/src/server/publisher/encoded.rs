//! One published item, encoded as frames: in the encodings that its subscribers need, each encoded once.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use meshzero_proto::buffer::{Buffer, WriteBuffer};
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

    /// Returns the encodings that are in both sets.
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns this set without the encodings of the other.
    #[inline(always)]
    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[inline(always)]
    fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    fn has(self, encoding: Encoding) -> bool {
        self.0 & bit(encoding) != 0
    }

    /// Removes one of the encodings, and returns it.
    #[inline(always)]
    fn pop(&mut self) -> Option<Encoding> {
        let popped = match *self {
            set if set.is_empty() => return None,
            set if set.has(Encoding::Bincode) => Encoding::Bincode,
            _ => Encoding::MessagePack,
        };
        self.0 &= !bit(popped);
        Some(popped)
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
    /// The encodings that have been attempted; the other frames are those of an earlier item.
    attempted: EncodingSet,
    /// Those of them whose attempt has failed.
    failed: EncodingSet,
    /// Those of them whose frame is large.
    large: EncodingSet,
    bincode: EncodedFrame,
    message_pack: EncodedFrame,
}

/// An item in one encoding, or in MessagePack if bincode cannot represent it.
#[derive(Debug, Default)]
struct EncodedFrame {
    parts: EncodedParts,
    /// The frame as shared pieces, if it is large.
    pieces: Vec<Bytes>,
    /// The error, if the attempt has failed.
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
        if !self.failed.or(self.large).is_empty() {
            self.release();
        }
        self.attempted = EncodingSet::default();
        give_back(&SPARE, self);
    }

    /// Drops what is not kept for the next item.
    #[cold]
    fn release(&mut self) {
        (self.failed, self.large) = Default::default();
        for frame in [&mut self.bincode, &mut self.message_pack] {
            frame.pieces.clear();
            frame.error = None;
        }
    }

    /// Encodes the frames that are wanted and have not been encoded.
    ///
    /// # Panics
    /// If the name of the topic is too long.
    #[inline(always)]
    pub(crate) fn encode<T: WireType>(&mut self, topic: &str, item: &T, wanted: EncodingSet, max: usize) {
        let missing = wanted.without(self.attempted);
        if missing.has(Encoding::Bincode) {
            self.encode_in(Encoding::Bincode, topic, item, max);
        }
        if missing.has(Encoding::MessagePack) {
            self.encode_in_message_pack(topic, item, max);
        }
    }

    /// Encodes it in MessagePack, out of line: most subscribers want bincode.
    #[inline(never)]
    fn encode_in_message_pack<T: WireType>(&mut self, topic: &str, item: &T, max: usize) {
        self.encode_in(Encoding::MessagePack, topic, item, max);
    }

    #[inline(always)]
    fn encode_in<T: WireType>(&mut self, encoding: Encoding, topic: &str, item: &T, max: usize) {
        self.attempted.add(encoding);
        let frame = match encoding {
            Encoding::Bincode => &mut self.bincode,
            Encoding::MessagePack => &mut self.message_pack,
        };
        let written = frame.parts.write(|out| {
            // The frame of an earlier item.
            out.cut(0);
            let writer = news::begin_item(out, topic);
            let encoded = codec::encode_preferring(item, encoding, max, out);
            writer.end(out, encoded)
        });
        match written {
            Ok(()) if frame.parts.has_blobs() || Log::is_large(frame.parts.bytes().len()) => {
                frame.split();
                self.large.add(encoding);
            }
            Ok(()) => {}
            Err(error) => {
                frame.fail(error);
                self.failed.add(encoding);
            }
        }
    }

    /// Returns whether encoding has been attempted for all wanted frames.
    #[inline(always)]
    pub(crate) fn has(&self, wanted: EncodingSet) -> bool {
        wanted.without(self.attempted).is_empty()
    }

    /// Returns the error of a frame that is wanted, if there is one.
    #[inline(always)]
    pub(crate) fn error(&self, wanted: EncodingSet) -> Option<&EncodeError> {
        let mut failed = self.failed.and(wanted);
        failed.pop().and_then(|encoding| self.frame_in(encoding).error.as_ref())
    }

    /// Returns whether one of the frames is large.
    #[inline(always)]
    pub(crate) fn is_large(&self) -> bool {
        !self.large.is_empty()
    }

    /// The frame for subscribers that want this encoding, which has been attempted.
    #[inline(always)]
    pub(crate) fn frame(&self, wanted: Encoding) -> FrameRef<'_> {
        let EncodedFrame { parts, pieces, .. } = self.frame_in(wanted);
        if self.large.has(wanted) { FrameRef::Large(pieces) } else { FrameRef::Small(parts.buffer()) }
    }

    /// Retains the item, in the encodings that it has.
    pub(crate) fn retain(&self, info: &'static TypeInfo) -> RetainedItem {
        let encoded = self.attempted.without(self.failed);
        let retained = |encoding| encoded.has(encoding).then(|| self.frame(encoding).to_bytes());
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
    Small(&'a Buffer),
    /// The pieces of the frame, in order.
    Large(&'a [Bytes]),
}

impl FrameRef<'_> {
    pub(crate) fn to_bytes(self) -> Bytes {
        match self {
            Self::Small(frame) => Bytes::copy_from_slice(frame.written()),
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
