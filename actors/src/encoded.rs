//! One item of news as the frames that travel: in the encodings that its subscribers need, each made once.

use bytes::Bytes;
use meshzero_proto::codec::{self, Beside, EncodeError, Encoding, TypeInfo, Wire};
use meshzero_proto::name::Topic;
use meshzero_proto::news;

/// The frames of the item that is being published, each encoded once. Their memory is used again.
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

    /// Encodes the item as `wanted`, if it has not been yet. A value that bincode cannot hold becomes MessagePack.
    pub(crate) fn make<T: Wire>(
        &mut self,
        topic: &Topic,
        item: &T,
        wanted: Encoding,
        max: usize,
    ) -> Result<(), EncodeError> {
        let frame = match wanted {
            Encoding::Bincode => &mut self.bincode,
            Encoding::MessagePack => &mut self.message_pack,
        };
        if frame.pieces.is_empty() && frame.bytes.is_empty() {
            // Should the item's `Serialize` panic, half a frame is cleared away before the next item.
            let blobs = codec::beside(&mut frame.bytes, |out| write_item(out, topic, item, wanted, max))?;
            if !blobs.is_empty() || news::Log::is_large(frame.bytes.len()) {
                frame.pieces = pieces(std::mem::take(&mut frame.bytes).into(), blobs);
            }
        }
        Ok(())
    }

    /// Whether it is large in one of the encodings in which it was made.
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

/// Appends an item as a frame, in the encoding that is wanted, or in MessagePack where bincode cannot hold it.
#[inline(always)]
pub(crate) fn write_item<T: Wire>(
    out: &mut Vec<u8>,
    topic: &Topic,
    item: &T,
    wanted: Encoding,
    max: usize,
) -> Result<(), EncodeError> {
    let writing = news::begin_item(out, topic);
    let encoded = codec::encode_preferring(item, wanted, max, out);
    writing.end(out, encoded)
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
