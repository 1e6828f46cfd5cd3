//! One item of news as the frames that travel: in the encodings that its subscribers need, each made once.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use meshzero_proto::codec::{self, EncodeError, Encoding, TypeInfo, WireType};
use meshzero_proto::news::{self, Log};
use meshzero_proto::wire::frame;

use crate::message::written::{EncodedParts, ReusableValue, give_back, take_spare};

/// The encodings in which an item is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EncodingSet(u8);

impl EncodingSet {
    /// As a number, and back.
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Returns what is wanted here or there.
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

/// An item as the frames that travel, made as far as that was wanted: before the publisher is locked, because the item's own code
/// runs meanwhile.
#[derive(Debug, Default)]
pub(crate) struct EncodedItem {
    bincode: EncodedFrame,
    message_pack: EncodedFrame,
}

/// An item in the encoding that was wanted, or in MessagePack where bincode cannot hold it.
#[derive(Debug, Default)]
struct EncodedFrame {
    /// Set once it was made, or could not be.
    is_made: bool,
    written: EncodedParts,
    /// The same in pieces that are shared, where it is large.
    pieces: Vec<Bytes>,
    /// The reason why it could not be made.
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
    /// Memory for what this thread publishes next.
    static SPARE: ReusableValue<EncodedItem> = const { Cell::new(None) };
}

impl EncodedItem {
    /// One of which nothing has been made.
    #[inline(always)]
    pub(crate) fn spare() -> Box<Self> {
        take_spare(&SPARE)
    }

    /// Keeps its memory for the next one.
    #[inline(always)]
    pub(crate) fn end(mut self: Box<Self>) {
        self.bincode.clear();
        self.message_pack.clear();
        give_back(&SPARE, self);
    }

    /// Makes the frames that are wanted and have not been made.
    ///
    /// # Panics
    /// If there can be no such topic, because its name is too long.
    #[inline(always)]
    pub(crate) fn make<T: WireType>(&mut self, topic: &str, item: &T, wanted: EncodingSet, max: usize) {
        if wanted.has(Encoding::Bincode) && !self.bincode.is_made {
            self.bincode.make(topic, item, Encoding::Bincode, max);
        }
        if wanted.has(Encoding::MessagePack) && !self.message_pack.is_made {
            self.message_pack.make(topic, item, Encoding::MessagePack, max);
        }
    }

    /// Returns whether all that are wanted have been made, or could not be.
    #[inline(always)]
    pub(crate) fn has(&self, wanted: EncodingSet) -> bool {
        (self.bincode.is_made || !wanted.has(Encoding::Bincode))
            && (self.message_pack.is_made || !wanted.has(Encoding::MessagePack))
    }

    /// Returns the error of a frame that is wanted, if there is one.
    #[inline(always)]
    pub(crate) fn error(&self, wanted: EncodingSet) -> Option<&EncodeError> {
        let error = |encoding| self.of(encoding).error.as_ref().filter(|_| wanted.has(encoding));
        error(Encoding::Bincode).or_else(|| error(Encoding::MessagePack))
    }

    /// Returns whether one of the frames that were made is large.
    #[inline(always)]
    pub(crate) fn is_large(&self) -> bool {
        !self.bincode.pieces.is_empty() || !self.message_pack.pieces.is_empty()
    }

    /// The item as a frame, for those who want it in this encoding.
    #[inline(always)]
    pub(crate) fn frame(&self, wanted: Encoding) -> FrameRef<'_> {
        let EncodedFrame { written, pieces, .. } = self.of(wanted);
        if pieces.is_empty() { FrameRef::Small(written.bytes()) } else { FrameRef::Large(pieces) }
    }

    /// Keeps the item, in the encodings in which it was made.
    pub(crate) fn retain(&self, info: &'static TypeInfo) -> RetainedItem {
        let kept = |encoding| {
            let frame = self.frame(encoding).to_bytes();
            (!frame.is_empty()).then_some(frame)
        };
        RetainedItem {
            item: Some(info),
            bincode: kept(Encoding::Bincode),
            message_pack: kept(Encoding::MessagePack),
        }
    }

    #[inline(always)]
    fn of(&self, encoding: Encoding) -> &EncodedFrame {
        match encoding {
            Encoding::Bincode => &self.bincode,
            Encoding::MessagePack => &self.message_pack,
        }
    }
}

impl EncodedFrame {
    #[inline(always)]
    fn make<T: WireType>(&mut self, topic: &str, item: &T, wanted: Encoding, max: usize) {
        self.is_made = true;
        let written = self.written.write(|out| {
            let writing = news::begin_item(out, topic);
            let encoded = codec::encode_preferring(item, wanted, max, out);
            writing.end(out, encoded)
        });
        match written {
            Ok(()) if self.written.has_blobs() || Log::is_large(self.written.bytes().len()) => self.divide(),
            Ok(()) => {}
            Err(error) => self.fail(error),
        }
    }

    #[cold]
    fn divide(&mut self) {
        self.pieces = self.written.take_pieces();
    }

    #[cold]
    fn fail(&mut self, error: EncodeError) {
        self.error = Some(error);
        // Large items begin in little memory, and what failed may have taken much.
        self.written = EncodedParts::default();
    }

    #[inline(always)]
    fn clear(&mut self) {
        if self.is_made {
            self.is_made = false;
            self.written.clear();
            self.pieces.clear();
            self.error = None;
        }
    }
}

impl RetainedItem {
    /// The item for those who want it in this encoding; as MessagePack if it is in no other.
    pub(crate) fn frame(&self, wanted: Encoding) -> Option<Bytes> {
        let wanted = match wanted {
            Encoding::Bincode => &self.bincode,
            Encoding::MessagePack => &self.message_pack,
        };
        wanted.clone().or_else(|| self.message_pack.clone())
    }
}

/// An item as the frame that travels.
#[derive(Clone, Copy)]
pub(crate) enum FrameRef<'a> {
    Small(&'a [u8]),
    /// In pieces, one after the other.
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

/// The frames of a log as whole ones. Large items are kept in pieces, which only a connection puts together by itself.
pub(crate) fn whole(kept: Vec<Bytes>) -> impl Iterator<Item = Bytes> {
    let mut kept = kept.into_iter();
    std::iter::from_fn(move || {
        let first = kept.next()?;
        let length = frame::length(&first).unwrap_or_default();
        if length <= first.len() {
            return Some(first);
        }
        let mut frame = BytesMut::with_capacity(length);
        frame.extend_from_slice(&first);
        while frame.len() < length {
            frame.extend_from_slice(&kept.next()?);
        }
        Some(frame.freeze())
    })
}
