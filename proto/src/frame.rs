//! Frames: how one message is told from the next on a connection.
//!
//! Every frame has a header of 16 bytes, little-endian, and a payload:
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0–3 | length | bytes that follow this field: 12 and the payload |
//! | 4 | kind | [`Kind`] |
//! | 5 | flags | [`BINCODE`], [`REPLY_BINCODE`] |
//! | 6–7 | slot | the number of a message type in the endpoint's catalogue |
//! | 8–15 | id | the request or subscription that the frame belongs to |

use bytes::{Buf, Bytes, BytesMut};

use crate::codec::{self, Encoding};

/// Length of a header in bytes.
pub const HEADER_BYTES: usize = 16;

/// What a payload may hold beyond the message that it carries: a topic of 128 bytes, a deadline.
pub const OVERHEAD_BYTES: usize = 256;

/// Flag: the payload is bincode; otherwise it is MessagePack with field names.
pub const BINCODE: u8 = 1;

/// Flag of a request: the reply may be bincode, because both ends have the same fingerprint of it.
pub const REPLY_BINCODE: u8 = 2;

/// The flags of a frame whose payload has this encoding.
pub fn flags(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Bincode => BINCODE,
        Encoding::MessagePack => 0,
    }
}

/// The encoding that one of a frame's flags tells, [`BINCODE`] or [`REPLY_BINCODE`].
pub fn encoding(flags: u8, flag: u8) -> Encoding {
    if flags & flag == 0 { Encoding::MessagePack } else { Encoding::Bincode }
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Endpoint to client, once after the handshake: the message types it handles, in MessagePack.
    Catalogue = 1,
    /// A message that wants a reply. Four bytes of remaining time in milliseconds (0: none), then the message.
    Request = 2,
    /// A message that wants no reply.
    Tell = 3,
    /// The reply to the request `id` is no longer wanted.
    Cancel = 4,
    /// The reply to the request `id`.
    Reply = 5,
    /// The request `id` has no reply; the payload says why, in MessagePack.
    Refusal = 6,
    /// Asks for the endpoint's description, which comes as a reply in JSON.
    Describe = 7,
    /// Asks for news: a [`crate::news::Subscribe`] in MessagePack.
    Subscribe = 8,
    /// The subscription `id` stands: every item from here on will arrive or be counted.
    Subscribed = 9,
    /// An item for the connection's one subscription: the topic's length in one byte, the topic, the item.
    News = 11,
    /// Items that the connection's one subscription did not get: eight bytes of count, one of reason.
    Gap = 12,
    /// What one node tells another about the mesh, in MessagePack.
    Peer = 13,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Catalogue,
            2 => Self::Request,
            3 => Self::Tell,
            4 => Self::Cancel,
            5 => Self::Reply,
            6 => Self::Refusal,
            7 => Self::Describe,
            8 => Self::Subscribe,
            9 => Self::Subscribed,
            11 => Self::News,
            12 => Self::Gap,
            13 => Self::Peer,
            _ => return None,
        })
    }
}

/// The fields of a header besides the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// [`BINCODE`] and [`REPLY_BINCODE`]; other bits are zero and ignored.
    pub flags: u8,
    /// The message type, where the kind has one.
    pub slot: u16,
    /// The request or subscription, where the kind has one.
    pub id: u64,
}

impl Header {
    /// A header without flags and slot.
    pub fn new(kind: Kind, id: u64) -> Self {
        Self { kind, flags: 0, slot: 0, id }
    }

    /// The header at the front of `bytes`, which begin with a length; `None` if they are too few, or the kind is unknown.
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let [_, _, _, _, kind, flags, slot @ .., _, _, _, _, _, _, _, _] = *bytes;
        let [.., a, b, c, d, e, f, g, h] = *bytes;
        Some(Self {
            kind: Kind::from_byte(kind)?,
            flags,
            slot: u16::from_le_bytes(slot),
            id: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        })
    }
}

/// One frame as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// Its payload, shared with the buffer that it was read into.
    pub payload: Bytes,
}

/// Why bytes are not a frame. The connection cannot go on after any of these.
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
    /// The kind is none that this version knows.
    #[error("a frame of the unknown kind {0}")]
    UnknownKind(u8),
}

/// Appends a frame whose payload is written by `payload`; when that fails nothing is appended.
///
/// # Errors
/// What `payload` returns.
pub fn write_with<E>(
    out: &mut Vec<u8>,
    header: Header,
    payload: impl FnOnce(&mut Vec<u8>) -> Result<u8, E>,
) -> Result<(), E> {
    let (start, beside) = (out.len(), codec::beside_len());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[header.kind as u8, header.flags]);
    out.extend_from_slice(&header.slot.to_le_bytes());
    out.extend_from_slice(&header.id.to_le_bytes());
    match payload(out) {
        Ok(flags) => {
            out[start + 5] |= flags;
            let length = out.len() - start - 4 + (codec::beside_len() - beside);
            let length = u32::try_from(length).expect("messages are bounded far below 4 GiB");
            out[start..start + 4].copy_from_slice(&length.to_le_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// Appends a frame with the given payload.
pub fn write(out: &mut Vec<u8>, header: Header, payload: &[u8]) {
    let written = write_with::<std::convert::Infallible>(out, header, |out| {
        out.extend_from_slice(payload);
        Ok(0)
    });
    match written {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

/// Takes the next whole frame off the front of `buffer`; `None` when more bytes are needed.
///
/// `limit` bounds the payload in bytes. A length over it is an error before any memory is spent on it.
///
/// # Errors
/// [`FrameError`]: the bytes are not frames of this protocol.
pub fn take(buffer: &mut BytesMut, limit: usize) -> Result<Option<Frame>, FrameError> {
    let Some(length) = whole(buffer, limit)? else { return Ok(None) };
    if buffer.len() < length {
        return Ok(None);
    }
    let mut frame = buffer.split_to(length).freeze();
    let header = Header::read(&frame).expect("the frame is whole and of a known kind");
    frame.advance(HEADER_BYTES);
    Ok(Some(Frame { header, payload: frame }))
}

/// Where the whole frames in some bytes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of the whole frames at the front.
    pub whole: usize,
    /// Bytes of the frame behind them, of which a part is missing; `None` while not even its length is known.
    pub next: Option<usize>,
}

/// Looks how many whole frames `bytes` begins with, and checks each header, so that [`Frames`] can trust them.
///
/// # Errors
/// [`FrameError`]: the bytes are not frames of this protocol. A frame that is too long is told by its first bytes.
pub fn cut(bytes: &[u8], limit: usize) -> Result<Cut, FrameError> {
    let mut at = 0;
    loop {
        match self::whole(&bytes[at..], limit)? {
            Some(length) if length <= bytes.len() - at => at += length,
            next => return Ok(Cut { whole: at, next }),
        }
    }
}

/// The length of the frame that `bytes` begins with, its header included; `None` when that is not known yet.
#[inline]
fn whole(bytes: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some(length) = bytes.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes) as usize) else {
        return Ok(None);
    };
    if length < HEADER_BYTES - 4 {
        return Err(FrameError::TooShort(length));
    }
    if length - (HEADER_BYTES - 4) > limit {
        return Err(FrameError::TooLong { announced: length, limit });
    }
    match bytes.get(4) {
        Some(byte) if Kind::from_byte(*byte).is_none() => Err(FrameError::UnknownKind(*byte)),
        _ => Ok(Some(4 + length)),
    }
}

/// The frames in bytes that [`cut`] found whole.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The frames in `bytes`; whatever follows the last whole one is left out.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that are left, those of the next frame included.
    pub fn left(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (Header, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let header = Header::read(self.rest)?;
        let length = 4 + u32::from_le_bytes(*self.rest.first_chunk()?) as usize;
        let payload = self.rest.get(HEADER_BYTES..length)?;
        self.rest = &self.rest[length..];
        Some((header, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1_000;

    fn header() -> Header {
        Header { kind: Kind::Request, flags: BINCODE, slot: 7, id: 1 << 40 }
    }

    #[test]
    fn frames_come_back_whole_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        write(&mut bytes, header(), b"first");
        write(&mut bytes, Header::new(Kind::Describe, 0), b"");
        let mut buffer = BytesMut::new();
        let mut frames = Vec::new();
        for byte in bytes {
            buffer.extend_from_slice(&[byte]);
            frames.extend(take(&mut buffer, LIMIT).expect("well-formed"));
        }
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0], Frame { header: header(), payload: Bytes::from_static(b"first") });
        assert_eq!(frames[1].header.kind, Kind::Describe);
        assert!(buffer.is_empty());
    }

    #[test]
    fn whole_frames_are_cut_from_the_front_and_read_in_order() {
        let mut bytes = Vec::new();
        write(&mut bytes, header(), b"first");
        write(&mut bytes, Header::new(Kind::Describe, 0), b"");
        let two = bytes.len();
        write(&mut bytes, header(), b"third");
        for end in 0..bytes.len() {
            let cut = cut(&bytes[..end], LIMIT).expect("well-formed");
            assert_eq!(
                cut.whole,
                [0, HEADER_BYTES + 5, two].into_iter().rfind(|whole| *whole <= end).unwrap_or(0)
            );
            let known = end - cut.whole >= 4;
            assert_eq!(cut.next.is_some(), known, "at {end}");
        }
        assert_eq!(cut(&bytes, LIMIT), Ok(Cut { whole: bytes.len(), next: None }));
        let mut frames = Frames::new(&bytes);
        assert_eq!(frames.next(), Some((header(), &b"first"[..])));
        assert_eq!(frames.next(), Some((Header::new(Kind::Describe, 0), &b""[..])));
        assert_eq!((frames.left(), frames.next()), (HEADER_BYTES + 5, Some((header(), &b"third"[..]))));
        assert_eq!((frames.left(), frames.next()), (0, None));
    }

    #[test]
    fn a_payload_that_fails_leaves_nothing_behind() {
        let mut bytes = vec![1, 2, 3];
        let failed = write_with(&mut bytes, header(), |out| {
            out.extend_from_slice(b"half");
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        assert_eq!(bytes, [1, 2, 3]);
    }

    #[test]
    fn forged_lengths_and_kinds_are_errors_before_the_payload_arrives() {
        let mut huge = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
        assert!(matches!(take(&mut huge, LIMIT), Err(FrameError::TooLong { limit: LIMIT, .. })));
        let mut short = BytesMut::from(&3u32.to_le_bytes()[..]);
        assert_eq!(take(&mut short, LIMIT), Err(FrameError::TooShort(3)));
        let mut bytes = Vec::new();
        write(&mut bytes, header(), b"");
        bytes[4] = 99;
        assert_eq!(take(&mut BytesMut::from(&bytes[..]), LIMIT), Err(FrameError::UnknownKind(99)));
        assert_eq!(cut(&bytes, LIMIT), Err(FrameError::UnknownKind(99)));
    }
}
