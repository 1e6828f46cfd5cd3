//! Frames: how one message is told from the next on a connection.
//!
//! Every frame has a header, little-endian, and a payload:
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0–3 | length | bytes that follow this field |
//! | 4 | kind | [`Kind`] |
//! | 5 | flags | [`BINCODE`], [`REPLY_BINCODE`], [`TRACED`], [`LAST`] |
//! | 6–7 | slot | the number of a message type in the endpoint's catalogue |
//! | 8–15 | id | of kinds that belong to a request or a subscription: which one |
//!
//! A reply longer than [`PIECE_BYTES`](crate::stream::PIECE_BYTES) travels as a series of [`Kind::Piece`], whose payloads are,
//! one after the other, its frame. Other frames may come between them, also pieces of other replies.

use std::convert::Infallible;

use bytes::{Buf, Bytes, BytesMut};

use crate::buffer::WriteBuffer;
use crate::codec::{self, Encoding};
use crate::trace::TraceContext;

/// Length of a header without an id, in bytes.
pub const HEADER_BYTES: usize = 8;

/// Length of an id, where a header has one.
const ID_BYTES: usize = 8;

/// Length of the first field, which does not count itself.
const LENGTH_BYTES: usize = 4;

/// Where in a frame its kind is.
pub const KIND_AT: usize = LENGTH_BYTES;

/// Where in a frame its flags are.
const FLAGS_AT: usize = KIND_AT + 1;

/// What a payload may hold beyond the message that it carries: a topic of 128 bytes, or a trace and a deadline.
pub const OVERHEAD_BYTES: usize = 256;

/// Flag: the payload is bincode; otherwise it is MessagePack with field names.
pub const BINCODE: u8 = 1;

/// Flag of a request: the reply may be bincode, because both ends have the same fingerprint of it.
pub const REPLY_BINCODE: u8 = 2;

/// Flag of a request and of a tell: the payload begins with the [`TraceContext`] that the message is part of, before all
/// else that it has.
pub const TRACED: u8 = 4;

/// Flag of a piece: no other follows, and the frame is whole.
pub const LAST: u8 = 8;

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

/// Divides the payload of a request or a tell: the trace that it is part of, if it has one, and all else. `None` if it is too
/// short for what its flags say.
pub fn divide(flags: u8, payload: &[u8]) -> Option<(Option<TraceContext>, &[u8])> {
    if flags & TRACED == 0 {
        return Some((None, payload));
    }
    let (trace, rest) = payload.split_first_chunk()?;
    Some((TraceContext::from_bytes(trace), rest))
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Endpoint to client, once after the handshake: the message types it handles, in MessagePack.
    Catalogue = 1,
    /// A message that wants a reply. Four bytes of remaining time in milliseconds (0: none), then the message. May be
    /// [`TRACED`].
    Request = 2,
    /// A message that wants no reply. May be [`TRACED`].
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
    News = 10,
    /// Items that the connection's one subscription did not get: eight bytes of count, one of reason.
    Gap = 11,
    /// What one node tells another about the mesh, in MessagePack.
    Peer = 12,
    /// Asks how much of the stream has arrived, which an [`Kind::Ack`] answers.
    Ping = 13,
    /// So many bytes of the stream have arrived, says the id.
    Ack = 14,
    /// The link ends here, and will not go on over another connection.
    Bye = 15,
    /// A message that its sender has withdrawn before it left. It means nothing.
    Void = 16,
    /// Asks for what the endpoint's node has counted, which comes as a reply in JSON.
    Stats = 17,
    /// A part of the reply to the request `id`: bytes of its frame, which follow those of the piece before. See [`LAST`].
    Piece = 18,
}

impl Kind {
    /// The kind of this number; `None` if this version knows none.
    #[inline(always)]
    pub fn from_byte(byte: u8) -> Option<Self> {
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
            10 => Self::News,
            11 => Self::Gap,
            12 => Self::Peer,
            13 => Self::Ping,
            14 => Self::Ack,
            15 => Self::Bye,
            16 => Self::Void,
            17 => Self::Stats,
            18 => Self::Piece,
            _ => return None,
        })
    }

    /// Whether it keeps the link itself going, or ends it, and carries nothing for those who use it.
    #[inline(always)]
    pub fn is_upkeep(self) -> bool {
        matches!(self, Self::Ping | Self::Ack | Self::Bye | Self::Void)
    }

    /// Whether its header has an id.
    #[inline(always)]
    fn has_id(self) -> bool {
        match self {
            Self::Request | Self::Cancel | Self::Reply | Self::Refusal => true,
            Self::Describe | Self::Subscribe | Self::Subscribed | Self::Ack => true,
            Self::Stats | Self::Piece => true,
            Self::Catalogue | Self::Tell | Self::News | Self::Gap | Self::Peer => false,
            // A withdrawn message has an id if it had one, which is a part of what means nothing.
            Self::Ping | Self::Bye | Self::Void => false,
        }
    }

    /// Length of its header in bytes.
    #[inline(always)]
    fn header_bytes(self) -> usize {
        if self.has_id() { HEADER_BYTES + ID_BYTES } else { HEADER_BYTES }
    }
}

/// The fields of a header besides the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: Kind,
    /// [`BINCODE`], [`REPLY_BINCODE`], [`TRACED`] and [`LAST`]; other bits are zero and ignored.
    pub flags: u8,
    /// The message type, where the kind has one.
    pub slot: u16,
    /// The request or subscription, where the kind belongs to one, and otherwise 0.
    pub id: u64,
}

impl Header {
    /// A header without flags and slot.
    pub fn new(kind: Kind, id: u64) -> Self {
        Self { kind, flags: 0, slot: 0, id }
    }

    /// The header at the front of `bytes`, with what comes after it; `None` if they are too few, or the kind is unknown.
    #[inline(always)]
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let ([_, _, _, _, kind, flags, slot @ ..], rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let kind = Kind::from_byte(*kind)?;
        let (id, rest) = match kind.has_id() {
            true => rest.split_first_chunk().map(|(id, rest)| (u64::from_le_bytes(*id), rest))?,
            false => (0, rest),
        };
        Some((Self { kind, flags: *flags, slot: u16::from_le_bytes(*slot), id }, rest))
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

/// A frame whose header is written, and whose payload is being appended to the same buffer.
#[derive(Debug)]
#[must_use = "the header is not whole before the end"]
pub struct Writing {
    start: usize,
    /// Bytes of blobs that had left beside the buffer before.
    beside: usize,
}

impl Writing {
    /// Begins a frame at the end of `out`.
    #[inline(always)]
    pub fn new(out: &mut impl WriteBuffer, header: Header) -> Self {
        let writing = Self { start: out.length(), beside: codec::beside_len() };
        // One number, because a processor waits for bytes that were stored one by one before it copies them together.
        let fields =
            u64::from(header.kind as u8) | u64::from(header.flags) << 8 | u64::from(header.slot) << 16;
        out.put(&(fields << (8 * LENGTH_BYTES)).to_le_bytes());
        if header.kind.has_id() {
            out.put(&header.id.to_le_bytes());
        }
        writing
    }

    /// Says of which trace the message is a part. To be called before anything else of the payload is appended.
    #[cold]
    pub fn trace(&self, out: &mut impl WriteBuffer, context: TraceContext) {
        out.written_mut()[self.start + FLAGS_AT] |= TRACED;
        out.put(&context.to_bytes());
    }

    /// Ends it, with the encoding of its payload or why there is none. Then nothing is left of it.
    ///
    /// # Errors
    /// Those of `encoded`.
    #[inline(always)]
    pub fn end<E>(self, out: &mut impl WriteBuffer, encoded: Result<Encoding, E>) -> Result<(), E> {
        match encoded {
            Ok(encoding) => {
                let Self { start, beside } = self;
                let frame = &mut out.written_mut()[start..];
                frame[FLAGS_AT] |= flags(encoding);
                let length = frame.len() - LENGTH_BYTES + (codec::beside_len() - beside);
                let length = u32::try_from(length).expect("messages are bounded far below 4 GiB");
                frame[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
                Ok(())
            }
            Err(error) => {
                out.cut(self.start);
                Err(error)
            }
        }
    }
}

/// Names the request, or another frame that has an id, which `frame` is.
///
/// # Panics
/// If it is no such frame.
#[inline(always)]
pub fn set_id(frame: &mut [u8], id: u64) {
    frame[HEADER_BYTES..HEADER_BYTES + ID_BYTES].copy_from_slice(&id.to_le_bytes());
}

/// The length of a frame whose payload has so many bytes.
pub fn length_of(kind: Kind, payload: usize) -> usize {
    kind.header_bytes() + payload
}

/// Appends a frame with the given payload.
pub fn write(out: &mut impl WriteBuffer, header: Header, payload: &[u8]) {
    let writing = Writing::new(out, header);
    out.put(payload);
    // The flags of the header are whole already.
    let ended = writing.end::<Infallible>(out, Ok(Encoding::MessagePack));
    match ended {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

/// Appends the header of a frame whose payload of `length` bytes is not a part of `out`.
pub fn announce(out: &mut Vec<u8>, header: Header, length: usize) {
    let start = out.len();
    write(out, header, b"");
    let announced = out.len() - start - LENGTH_BYTES + length;
    let announced = u32::try_from(announced).expect("messages are bounded far below 4 GiB");
    out[start..start + LENGTH_BYTES].copy_from_slice(&announced.to_le_bytes());
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
    let (header, _) = Header::read(&frame).expect("the frame is whole and of a known kind");
    frame.advance(header.kind.header_bytes());
    Ok(Some(Frame { header, payload: frame }))
}

/// The whole frames that some bytes begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of the whole frames.
    pub whole: usize,
    /// What is in them.
    pub contents: Contents,
    /// Bytes of the frame behind them, of which a part is missing; `None` while not even its length is known.
    pub next: Option<usize>,
}

/// What frames hold, as far as their headers tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many they are.
    pub frames: usize,
    /// How many of them are tells.
    pub tells: usize,
    /// The highest number of a message type in any of them.
    pub highest_slot: u16,
    /// How many of them keep the link itself going, see [`Kind::is_upkeep`].
    pub upkeep: usize,
    /// The flags that any of them has.
    pub flags: u8,
}

/// Looks how many whole frames `bytes` begins with, and checks each header, so that [`Frames`] can trust them.
///
/// # Errors
/// [`FrameError`]: the bytes are not frames of this protocol. A frame that is too long is told by its first bytes.
pub fn cut(bytes: &[u8], limit: usize) -> Result<Cut, FrameError> {
    let mut rest = bytes;
    let mut contents = Contents::default();
    let next = loop {
        let next = self::whole(rest, limit)?;
        let Some((frame, behind)) = next.and_then(|length| rest.split_at_checked(length)) else { break next };
        if let [_, _, _, _, kind, flags, low, high, ..] = frame {
            contents.frames += 1;
            contents.tells += usize::from(*kind == Kind::Tell as u8);
            contents.highest_slot = contents.highest_slot.max(u16::from_le_bytes([*low, *high]));
            contents.upkeep += usize::from((Kind::Ping as u8..=Kind::Void as u8).contains(kind));
            contents.flags |= flags;
        }
        rest = behind;
    };
    Ok(Cut { whole: bytes.len() - rest.len(), contents, next })
}

/// The length of a frame of this process that begins with `bytes`, its header included; `None` when there are too few of them
/// to know.
pub fn length(bytes: &[u8]) -> Option<usize> {
    Some(LENGTH_BYTES + u32::from_le_bytes(*bytes.first_chunk()?) as usize)
}

/// The length of the frame that `bytes` begins with, its header included; `None` when that is not known yet.
#[inline(always)]
fn whole(bytes: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some(length) = bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize) else {
        return Ok(None);
    };
    let (least, most) = match bytes.get(LENGTH_BYTES) {
        Some(byte) => {
            let header = Kind::from_byte(*byte).ok_or(FrameError::UnknownKind(*byte))?.header_bytes();
            (header, header)
        }
        // Whether it has an id is not known yet.
        None => (HEADER_BYTES, HEADER_BYTES + ID_BYTES),
    };
    let frame = LENGTH_BYTES + length;
    if frame < least {
        return Err(FrameError::TooShort(length));
    }
    if frame.saturating_sub(most) > limit {
        return Err(FrameError::TooLong { announced: length, limit });
    }
    Ok(Some(frame))
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

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let length = LENGTH_BYTES + u32::from_le_bytes(*self.rest.first_chunk()?) as usize;
        let (frame, rest) = self.rest.split_at_checked(length)?;
        let read = Header::read(frame)?;
        self.rest = rest;
        Some(read)
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
        let one = bytes.len();
        let tell = Header { slot: 9, ..Header::new(Kind::Tell, 0) };
        write(&mut bytes, tell, b"");
        let two = bytes.len();
        write(&mut bytes, header(), b"third");
        let three = bytes.len();
        assert_eq!([one, two - one, three - two], [HEADER_BYTES + ID_BYTES + 5, HEADER_BYTES, one]);
        for end in 0..bytes.len() {
            let cut = cut(&bytes[..end], LIMIT).expect("well-formed");
            assert_eq!(cut.whole, [0, one, two].into_iter().rfind(|whole| *whole <= end).unwrap_or(0));
            let known = end - cut.whole >= LENGTH_BYTES;
            assert_eq!(cut.next.is_some(), known, "at {end}");
        }
        let contents = Contents { frames: 3, tells: 1, highest_slot: 9, upkeep: 0, flags: BINCODE };
        assert_eq!(cut(&bytes, LIMIT), Ok(Cut { whole: three, contents, next: None }));
        let mut frames = Frames::new(&bytes);
        assert_eq!(frames.next(), Some((header(), &b"first"[..])));
        assert_eq!(frames.next(), Some((tell, &b""[..])));
        assert_eq!((frames.left(), frames.next()), (one, Some((header(), &b"third"[..]))));
        assert_eq!((frames.left(), frames.next()), (0, None));
    }

    #[test]
    fn the_longest_payload_is_taken_wherever_its_frame_is_cut() {
        for kind in [Kind::Request, Kind::Tell] {
            let mut bytes = Vec::new();
            write(&mut bytes, Header::new(kind, 0), &[0; LIMIT]);
            for end in 0..bytes.len() {
                assert_eq!(cut(&bytes[..end], LIMIT).map(|cut| cut.whole), Ok(0), "{kind:?} at {end}");
            }
            write(&mut bytes, Header::new(kind, 0), &[0; LIMIT + 1]);
            assert!(matches!(cut(&bytes, LIMIT), Err(FrameError::TooLong { .. })));
        }
    }

    #[test]
    fn a_traced_message_is_divided_and_one_too_short_is_not() {
        let context: TraceContext =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("well-formed");
        let mut bytes = Vec::new();
        let writing = Writing::new(&mut bytes, header());
        writing.trace(&mut bytes, context);
        bytes.extend_from_slice(b"rest");
        writing.end::<()>(&mut bytes, Ok(Encoding::Bincode)).expect("it is whole");
        let contents = cut(&bytes, LIMIT).expect("well-formed").contents;
        assert_eq!((contents.flags, contents.tells), (BINCODE | TRACED, 0));
        let (read, payload) = Frames::new(&bytes).next().expect("one frame");
        assert_eq!(read, Header { flags: BINCODE | TRACED, ..header() });
        assert_eq!(divide(read.flags, payload), Some((Some(context), &b"rest"[..])));
        assert_eq!(divide(BINCODE, payload), Some((None, payload)));
        assert_eq!(divide(TRACED, &[0; 26]), Some((None, &[0][..])), "zeros are no context");
        for short in 0..25 {
            assert_eq!(divide(TRACED, &payload[..short]), None);
        }
    }

    #[test]
    fn a_payload_that_fails_leaves_nothing_behind() {
        let mut bytes = vec![1, 2, 3];
        let writing = Writing::new(&mut bytes, header());
        bytes.extend_from_slice(b"half");
        assert_eq!(writing.end(&mut bytes, Err("no")), Err("no"));
        assert_eq!(bytes, [1, 2, 3]);
    }

    #[test]
    fn forged_lengths_and_kinds_are_errors_before_the_payload_arrives() {
        let mut huge = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
        assert!(matches!(take(&mut huge, LIMIT), Err(FrameError::TooLong { limit: LIMIT, .. })));
        let mut short = BytesMut::from(&3u32.to_le_bytes()[..]);
        assert_eq!(take(&mut short, LIMIT), Err(FrameError::TooShort(3)));
        let without_id = [HEADER_BYTES as u8, 0, 0, 0, Kind::Request as u8, 0, 0, 0];
        assert_eq!(cut(&without_id, LIMIT), Err(FrameError::TooShort(HEADER_BYTES)));
        let mut bytes = Vec::new();
        write(&mut bytes, header(), b"");
        bytes[4] = 99;
        assert_eq!(take(&mut BytesMut::from(&bytes[..]), LIMIT), Err(FrameError::UnknownKind(99)));
        assert_eq!(cut(&bytes, LIMIT), Err(FrameError::UnknownKind(99)));
    }
}
