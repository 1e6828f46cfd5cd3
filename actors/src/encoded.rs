//! One item of news as the frames that travel: in the encodings that its subscribers need, each made once.

use std::convert::Infallible;

use bytes::Bytes;
use meshzero_proto::codec::{self, Beside, EncodeError, Encoding, TypeInfo, Wire};
use meshzero_proto::name::Topic;
use meshzero_proto::news;

use crate::written::Written;

/// The encodings in which an item is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted(u8);

impl Wanted {
    /// As a number, and back.
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits)
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

/// An item, encoded as far as that was wanted: before the publisher is locked, because the item's own code does it.
#[derive(Debug, Default)]
pub(crate) struct Item {
    bincode: Option<Result<Payload, EncodeError>>,
    message_pack: Option<Result<Payload, EncodeError>>,
}

/// An item in the encoding that was wanted, or in MessagePack where bincode cannot hold it.
#[derive(Debug)]
struct Payload {
    written: Written,
    encoding: Encoding,
}

impl Item {
    /// Encodes it as it is wanted and has not been yet.
    #[inline(always)]
    pub(crate) fn make<T: Wire>(&mut self, item: &T, wanted: Wanted, max: usize) {
        for encoding in [Encoding::Bincode, Encoding::MessagePack] {
            let made = self.made_mut(encoding);
            if wanted.has(encoding) && made.is_none() {
                *made = Some(Payload::new(item, encoding, max));
            }
        }
    }

    /// Returns whether it has been encoded, or could not be, in all that are wanted.
    #[inline(always)]
    pub(crate) fn has(&self, wanted: Wanted) -> bool {
        let lacks = |encoding| wanted.has(encoding) && self.made(encoding).is_none();
        !lacks(Encoding::Bincode) && !lacks(Encoding::MessagePack)
    }

    /// Returns the error of an encoding that is wanted, if there is one.
    #[inline(always)]
    pub(crate) fn check(&self, wanted: Wanted) -> Result<(), EncodeError> {
        for encoding in [Encoding::Bincode, Encoding::MessagePack] {
            if wanted.has(encoding)
                && let Some(Err(error)) = self.made(encoding)
            {
                return Err(error.clone());
            }
        }
        Ok(())
    }

    /// Appends it as a frame, if it is small; false if it is not.
    #[inline(always)]
    pub(crate) fn write_small(&self, out: &mut Vec<u8>, topic: &Topic, wanted: Encoding) -> bool {
        let Some(Ok(Payload { written, encoding })) = self.made(wanted) else { return false };
        if written.has_blobs() || news::Log::is_large(written.bytes().len()) {
            return false;
        }
        let writing = news::begin_item(out, topic);
        out.extend_from_slice(written.bytes());
        writing.end::<Infallible>(out, Ok(*encoding)).is_ok()
    }

    #[inline(always)]
    fn made(&self, encoding: Encoding) -> Option<&Result<Payload, EncodeError>> {
        match encoding {
            Encoding::Bincode => self.bincode.as_ref(),
            Encoding::MessagePack => self.message_pack.as_ref(),
        }
    }

    #[inline(always)]
    fn made_mut(&mut self, encoding: Encoding) -> &mut Option<Result<Payload, EncodeError>> {
        match encoding {
            Encoding::Bincode => &mut self.bincode,
            Encoding::MessagePack => &mut self.message_pack,
        }
    }
}

impl Payload {
    #[inline(always)]
    fn new<T: Wire>(item: &T, wanted: Encoding, max: usize) -> Result<Self, EncodeError> {
        let mut encoding = wanted;
        let written = Written::new(|out| {
            encoding = codec::encode_preferring(item, wanted, max, out)?;
            Ok::<_, EncodeError>(())
        })?;
        Ok(Self { written, encoding })
    }
}

/// The frames of the item that is being published. Their memory is used again.
#[derive(Default)]
pub(crate) struct Encoded {
    bincode: Frame,
    message_pack: Frame,
}

#[derive(Default)]
struct Frame {
    /// Empty if nobody wanted it yet.
    bytes: Vec<u8>,
    /// The same in pieces that are shared, where it is large.
    pieces: Vec<Bytes>,
}

/// The last item of a topic, as frames.
#[derive(Default)]
pub(crate) struct Retained {
    pub(crate) item: Option<&'static TypeInfo>,
    bincode: Option<Bytes>,
    message_pack: Option<Bytes>,
}

impl Encoded {
    /// Forgets the item before.
    pub(crate) fn clear(&mut self) {
        for frame in [&mut self.bincode, &mut self.message_pack] {
            frame.bytes.clear();
            frame.pieces.clear();
        }
    }

    /// Makes the frames of `item` that are wanted, of which it has the payloads.
    pub(crate) fn make(&mut self, topic: &Topic, item: &mut Item, wanted: Wanted) {
        for encoding in [Encoding::Bincode, Encoding::MessagePack] {
            if !wanted.has(encoding) {
                continue;
            }
            let frame = match encoding {
                Encoding::Bincode => &mut self.bincode,
                Encoding::MessagePack => &mut self.message_pack,
            };
            if item.write_small(&mut frame.bytes, topic, encoding) {
                continue;
            }
            if let Some(Ok(Payload { written, encoding })) = item.made_mut(encoding) {
                let length = written.length();
                let (bytes, blobs) = written.take();
                news::announce_item(&mut frame.bytes, topic, *encoding, length);
                frame.pieces.push(std::mem::take(&mut frame.bytes).into());
                frame.pieces.extend(pieces(bytes.into(), blobs));
            }
        }
    }

    /// Returns whether it is large in one of the encodings in which it was made.
    pub(crate) fn is_large(&self) -> bool {
        !self.bincode.pieces.is_empty() || !self.message_pack.pieces.is_empty()
    }

    /// The item as a frame, as it was made for those who want it in this encoding.
    pub(crate) fn frame(&self, wanted: Encoding) -> FrameRef<'_> {
        let frame = match wanted {
            Encoding::Bincode => &self.bincode,
            Encoding::MessagePack => &self.message_pack,
        };
        if frame.pieces.is_empty() { FrameRef::Small(&frame.bytes) } else { FrameRef::Large(&frame.pieces) }
    }

    /// Keeps the item, in the encodings in which it was made.
    pub(crate) fn retain(&self, info: &'static TypeInfo) -> Retained {
        let kept = |encoding| {
            let frame = self.frame(encoding).to_bytes();
            (!frame.is_empty()).then_some(frame)
        };
        Retained {
            item: Some(info),
            bincode: kept(Encoding::Bincode),
            message_pack: kept(Encoding::MessagePack),
        }
    }
}

/// `bytes`, and the blobs that belong between them.
fn pieces(mut bytes: Bytes, blobs: Vec<Beside>) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(2 * blobs.len() + 1);
    let mut begin = 0;
    for Beside { at, bytes: blob } in blobs {
        pieces.push(bytes.split_to(at - std::mem::replace(&mut begin, at)));
        pieces.push(blob);
    }
    pieces.push(bytes);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

impl Retained {
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
