//! The headers of frames: their kinds, flags and fields.

use crate::codec::Encoding;
use crate::trace::TraceContext;

/// Length of a header without an id, in bytes.
pub const HEADER_BYTES: usize = 8;

/// Length of an id, if the header has one.
pub(super) const ID_BYTES: usize = 8;

/// Length of the first field, which does not count itself.
pub(super) const LENGTH_BYTES: usize = 4;

/// The offset of the kind in a frame.
pub const KIND_AT: usize = LENGTH_BYTES;

/// The offset of the flags in a frame.
pub(super) const FLAGS_AT: usize = KIND_AT + 1;

/// The maximum size of a payload beyond the message in it: a topic of 128 bytes, or a trace and a deadline.
pub const OVERHEAD_BYTES: usize = 256;

/// Flag: the payload is bincode; otherwise it is MessagePack with field names.
pub const BINCODE: u8 = 1;

/// Flag of a request: the reply may be bincode, because both ends have the same fingerprint of it.
pub const REPLY_BINCODE: u8 = 2;

/// Flag of a request and of a tell: the payload begins with the [`TraceContext`] of the message, before everything else.
pub const TRACED: u8 = 4;

/// Flag of a piece: it is the last of its frame.
pub const LAST: u8 = 8;

/// Returns the flags of a frame whose payload has this encoding.
pub fn flags(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Bincode => BINCODE,
        Encoding::MessagePack => 0,
    }
}

/// Returns the encoding that `flag`, [`BINCODE`] or [`REPLY_BINCODE`], stands for in `flags`.
pub fn encoding(flags: u8, flag: u8) -> Encoding {
    if flags & flag == 0 { Encoding::MessagePack } else { Encoding::Bincode }
}

/// Splits the payload of a request or a tell into its trace, if it has one, and the rest. Returns `None` if it is too short for
/// its flags.
pub fn split_trace(flags: u8, payload: &[u8]) -> Option<(Option<TraceContext>, &[u8])> {
    if flags & TRACED == 0 {
        return Some((None, payload));
    }
    let (trace, rest) = payload.split_first_chunk()?;
    Some((TraceContext::from_bytes(trace), rest))
}

/// The purpose of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Endpoint to client, once after the handshake: the message types it handles, in MessagePack.
    Catalogue = 1,
    /// A message that expects a reply. Four bytes of remaining time in milliseconds (0: none), then the message. May be
    /// [`TRACED`].
    Request = 2,
    /// A message that expects no reply. May be [`TRACED`].
    Tell = 3,
    /// Cancels the request `id`, whose reply is no longer needed.
    Cancel = 4,
    /// The reply to the request `id`.
    Reply = 5,
    /// The request `id` has no reply; the payload is the reason, in MessagePack.
    Refusal = 6,
    /// Requests the endpoint's description, which is sent as a reply in JSON.
    Describe = 7,
    /// Requests news: a [`crate::news::Subscribe`] in MessagePack.
    Subscribe = 8,
    /// The subscription `id` is active: every item from here on will arrive or be counted.
    Subscribed = 9,
    /// An item for the connection's one subscription: the topic's length in one byte, the topic, the item.
    News = 10,
    /// Items that the connection's one subscription missed: eight bytes of count, one of reason.
    Gap = 11,
    /// A [peer update](crate::discovery::peer), in MessagePack.
    Peer = 12,
    /// Requests an [`FrameKind::Ack`] with the number of received bytes.
    Ping = 13,
    /// An acknowledgement: the id is the number of received bytes of the stream.
    Ack = 14,
    /// The link ends here, and will not continue over another connection.
    Bye = 15,
    /// A message that its sender withdrew before it was sent. It is ignored.
    Void = 16,
    /// Requests the counters of the endpoint's node, which are sent as a reply in JSON.
    Stats = 17,
    /// A part of the reply to the request `id`: bytes of its frame, which follow those of the previous piece. See [`LAST`].
    Piece = 18,
}

impl FrameKind {
    /// Returns the kind with this number; `None` if this version does not know it.
    #[inline(always)]
    pub const fn from_byte(byte: u8) -> Option<Self> {
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

    /// Returns true for a kind that only keeps the link alive, or ends it, and carries nothing for its users.
    #[inline(always)]
    pub const fn is_keep_alive(self) -> bool {
        matches!(self, Self::Ping | Self::Ack | Self::Bye | Self::Void)
    }

    /// Returns true if its header has an id.
    #[inline(always)]
    pub(super) const fn has_id(self) -> bool {
        match self {
            Self::Request | Self::Cancel | Self::Reply | Self::Refusal => true,
            Self::Describe | Self::Subscribe | Self::Subscribed | Self::Ack => true,
            Self::Stats | Self::Piece => true,
            Self::Catalogue | Self::Tell | Self::News | Self::Gap | Self::Peer => false,
            // A withdrawn message may have an id, which is ignored with the rest of it.
            Self::Ping | Self::Bye | Self::Void => false,
        }
    }

    /// Returns the length of its header in bytes.
    #[inline(always)]
    pub(super) const fn header_bytes(self) -> usize {
        if self.has_id() { HEADER_BYTES + ID_BYTES } else { HEADER_BYTES }
    }
}

/// The fields of a header except the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The purpose of the frame.
    pub kind: FrameKind,
    /// [`BINCODE`], [`REPLY_BINCODE`], [`TRACED`] and [`LAST`]; other bits are zero and ignored.
    pub flags: u8,
    /// The message type, if the kind has one.
    pub slot: u16,
    /// The request or subscription, if the kind belongs to one, and otherwise 0.
    pub id: u64,
}

impl Header {
    /// Creates a header without flags and slot.
    pub fn new(kind: FrameKind, id: u64) -> Self {
        Self { kind, flags: 0, slot: 0, id }
    }

    /// Reads the header at the front of `bytes`, and returns it with the rest; `None` if there are too few bytes, or the kind is
    /// unknown.
    #[inline(always)]
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let ([_, _, _, _, kind, flags, slot @ ..], rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let kind = FrameKind::from_byte(*kind)?;
        let (id, rest) = match kind.has_id() {
            true => rest.split_first_chunk().map(|(id, rest)| (u64::from_le_bytes(*id), rest))?,
            false => (0, rest),
        };
        Some((Self { kind, flags: *flags, slot: u16::from_le_bytes(*slot), id }, rest))
    }
}
