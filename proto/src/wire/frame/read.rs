//! Reading frames: complete ones are found in received bytes, and their headers are checked once.

use bytes::{Buf, Bytes, BytesMut};

use super::header::{FrameKind, HEADER_BYTES, Header, ID_BYTES, LENGTH_BYTES};

/// A received frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// Its payload, shared with the buffer that it was read into.
    pub payload: Bytes,
}

/// An error in the bytes of a frame. The connection cannot continue after any of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length does not even cover the header.
    #[error("a frame announced {0} bytes, fewer than its header has")]
    TooShort(usize),
    /// The length is over the limit.
    #[error("a frame announced {announced} bytes; at most {limit} are allowed")]
    TooLong {
        /// Bytes that were announced.
        announced: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// This version does not know the kind.
    #[error("a frame of the unknown kind {0}")]
    UnknownKind(u8),
}

/// Takes the next complete frame off the front of `buffer`; `None` when more bytes are needed.
///
/// `limit` bounds the payload in bytes. A length over it is an error before any memory is spent on it.
///
/// # Errors
/// [`FrameError`]: the bytes are not frames of this protocol.
pub fn take(buffer: &mut BytesMut, limit: usize) -> Result<Option<Frame>, FrameError> {
    let Some(length) = complete_length(buffer, limit)? else { return Ok(None) };
    if buffer.len() < length {
        return Ok(None);
    }
    let mut frame = buffer.split_to(length).freeze();
    let (header, _) = Header::read(&frame).expect("the frame is complete and of a known kind");
    frame.advance(header.kind.header_bytes());
    Ok(Some(Frame { header, payload: frame }))
}

/// The complete frames at the front of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompleteFrames {
    /// The size of the complete frames in bytes.
    pub complete_bytes: usize,
    /// The contents of these frames.
    pub contents: FrameContents,
    /// The size of the incomplete frame after them in bytes; `None` while its length is unknown.
    pub next: Option<usize>,
}

/// A summary of frames, from their headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameContents {
    /// The number of frames.
    pub frames: usize,
    /// The number of tells among them.
    pub tells: usize,
    /// The highest number of a message type in any of them.
    pub highest_slot: u16,
    /// The number of frames among them that only keep the link alive, see [`FrameKind::is_keep_alive`].
    pub keep_alives: usize,
    /// The flags of all of them, combined.
    pub flags: u8,
}

/// Finds the complete frames at the front of `bytes`, and checks each header, so that [`Frames`] can trust them.
///
/// # Errors
/// [`FrameError`]: the bytes are not frames of this protocol. A frame that is too long is detected by its first bytes.
pub fn scan(bytes: &[u8], limit: usize) -> Result<CompleteFrames, FrameError> {
    let mut rest = bytes;
    let (mut frames, mut tells, mut keep_alives) = (0, 0, 0);
    // The header is one word, which ends with the flags and the slot: the union and the maximum of whole words have theirs.
    let (mut union, mut highest) = (0, 0);
    let next = loop {
        let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
            break self::complete_length(rest, limit)?;
        };
        let word = u64::from_le_bytes(*header);
        let facts = KindFacts::of(header[LENGTH_BYTES])?;
        let header_bytes = usize::from(facts.header_bytes);
        let length = check_length(word as u32, header_bytes, header_bytes, limit)?;
        let Some(remainder) = rest.get(length..) else { break Some(length) };
        frames += 1;
        tells += usize::from(facts.is_tell);
        keep_alives += usize::from(facts.is_keep_alive);
        union |= word;
        highest = word.max(highest);
        rest = remainder;
    };
    let [.., flags, _, _] = union.to_le_bytes();
    let [.., low, high] = highest.to_le_bytes();
    let highest_slot = u16::from_le_bytes([low, high]);
    let contents = FrameContents { frames, tells, highest_slot, keep_alives, flags };
    Ok(CompleteFrames { complete_bytes: bytes.len() - rest.len(), contents, next })
}

/// The facts about a kind of frame that [`scan`] needs, in a table: a look-up is shorter than the questions.
#[derive(Clone, Copy)]
struct KindFacts {
    /// The length of its header, or 0 for an unknown kind.
    header_bytes: u8,
    is_tell: bool,
    is_keep_alive: bool,
}

/// The facts about the kind of each number.
static FACTS: [KindFacts; 1 << u8::BITS] = {
    let mut facts = [KindFacts { header_bytes: 0, is_tell: false, is_keep_alive: false }; 1 << u8::BITS];
    let mut byte = 0;
    while byte < facts.len() {
        if let Some(kind) = FrameKind::from_byte(byte as u8) {
            facts[byte] = KindFacts {
                header_bytes: kind.header_bytes() as u8,
                is_tell: matches!(kind, FrameKind::Tell),
                is_keep_alive: kind.is_keep_alive(),
            };
        }
        byte += 1;
    }
    facts
};

impl KindFacts {
    /// Returns the facts about the kind with this number.
    #[inline(always)]
    fn of(byte: u8) -> Result<Self, FrameError> {
        let facts = FACTS[usize::from(byte)];
        if facts.header_bytes == 0 { Err(FrameError::UnknownKind(byte)) } else { Ok(facts) }
    }
}

/// Returns the length of a frame of this process that begins with `bytes`, its header included; `None` when there are too few
/// bytes to know.
pub fn length(bytes: &[u8]) -> Option<usize> {
    Some(LENGTH_BYTES + u32::from_le_bytes(*bytes.first_chunk()?) as usize)
}

/// Returns the length of the frame at the front of `bytes`, its header included; `None` when it is not known yet.
#[inline(always)]
fn complete_length(bytes: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some(announced) = bytes.first_chunk() else { return Ok(None) };
    let (min, max) = match bytes.get(LENGTH_BYTES) {
        Some(byte) => {
            let header_bytes = KindFacts::of(*byte)?.header_bytes.into();
            (header_bytes, header_bytes)
        }
        // It is not known yet whether it has an id.
        None => (HEADER_BYTES, HEADER_BYTES + ID_BYTES),
    };
    check_length(u32::from_le_bytes(*announced), min, max, limit).map(Some)
}

/// Returns the length of a frame that announced so many bytes, and whose header has from `min` to `max` of them.
#[inline(always)]
fn check_length(announced: u32, min: usize, max: usize, limit: usize) -> Result<usize, FrameError> {
    let announced = announced as usize;
    let frame = LENGTH_BYTES + announced;
    if frame < min {
        return Err(FrameError::TooShort(announced));
    }
    if frame.saturating_sub(max) > limit {
        return Err(FrameError::TooLong { announced, limit });
    }
    Ok(frame)
}

/// An iterator over frames that [`scan`] found complete.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// Returns the frames in `bytes`, without the incomplete one after the last.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the number of remaining bytes, including those of the next frame.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (Header, &'a [u8]);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let length = LENGTH_BYTES + u32::from_le_bytes(*self.rest.first_chunk()?) as usize;
        let (frame, rest) = self.rest.split_at_checked(length)?;
        let read = Header::read(frame)?;
        self.rest = rest;
        Some(read)
    }
}
