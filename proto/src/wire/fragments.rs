//! The reassembly of one long frame from its pieces.

use bytes::Bytes;

use crate::wire::frame::{self, Frame, FrameError, Frames};

/// The maximum memory reserved for a frame of which less has arrived.
const INITIAL_BYTES: usize = 32 << 10;

/// The maximum memory reserved because an earlier frame was that long.
const MAX_RESERVED_BYTES: usize = (1 << 20) + frame::OVERHEAD_BYTES;

/// The part received so far of a frame that is sent in pieces, see [`FrameKind::Piece`](frame::FrameKind::Piece). It grows with
/// the received bytes, because their total is not announced.
#[derive(Debug, Default)]
pub struct FragmentBuffer(Vec<u8>);

/// The reason why pieces do not form a frame. The connection cannot continue after any of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// The pieces are longer than the limit of a frame.
    #[error("more than {limit} bytes of one frame arrived in pieces")]
    TooLong {
        /// Bytes that are allowed.
        limit: usize,
    },
    /// The pieces do not form a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The pieces form less or more than one frame, or one of another kind or request.
    #[error("the pieces do not form the expected reply")]
    NotTheReply,
}

impl FragmentBuffer {
    /// Adds a piece. The total is at most `limit` bytes, and probably `expected`: that much is reserved after the first bytes,
    /// because each long frame would otherwise be moved in memory several times.
    ///
    /// # Errors
    /// [`FragmentError::TooLong`]; nothing was added.
    pub fn add(&mut self, piece: &[u8], expected: usize, limit: usize) -> Result<(), FragmentError> {
        let Self(bytes) = self;
        let remaining = limit.checked_sub(bytes.len()).filter(|remaining| *remaining >= piece.len());
        let remaining = remaining.ok_or(FragmentError::TooLong { limit })?;
        if bytes.capacity() - bytes.len() < piece.len() {
            let expected = if bytes.len() < INITIAL_BYTES { 0 } else { expected.min(MAX_RESERVED_BYTES) };
            // Otherwise the capacity doubles each time, up to the maximum.
            let more = piece.len().max(bytes.len()).max(expected.saturating_sub(bytes.len()));
            bytes.reserve_exact(more.min(remaining));
        }
        bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Returns the reply to the request `id`, after the last piece has been added.
    ///
    /// # Errors
    /// [`FragmentError`].
    pub fn reply(self, id: u64) -> Result<Frame, FragmentError> {
        let bytes = Bytes::from(self.0);
        let complete_bytes = frame::scan(&bytes, bytes.len())?.complete_bytes;
        let mut frames = Frames::new(&bytes);
        match frames.next() {
            Some((header, payload)) if frames.remaining() == 0 && complete_bytes == bytes.len() => {
                if header.kind != frame::FrameKind::Reply || header.id != id {
                    return Err(FragmentError::NotTheReply);
                }
                let payload = bytes.slice_ref(payload);
                Ok(Frame { header, payload })
            }
            _ => Err(FragmentError::NotTheReply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{FrameKind, Header};

    fn reply(id: u64, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        frame::write(&mut frame, Header::new(FrameKind::Reply, id), payload);
        frame
    }

    fn join(bytes: &[u8], piece: usize) -> Result<Frame, FragmentError> {
        let mut pieces = FragmentBuffer::default();
        bytes.chunks(piece).try_for_each(|piece| pieces.add(piece, 0, bytes.len()))?;
        pieces.reply(7)
    }

    #[test]
    fn pieces_of_any_length_become_the_frame() {
        let frame = reply(7, b"a reply");
        for piece in 1..=frame.len() {
            let frame = join(&frame, piece).expect("it is complete");
            assert_eq!((frame.header.id, &frame.payload[..]), (7, &b"a reply"[..]));
        }
    }

    #[test]
    fn pieces_of_another_frame_are_an_error() {
        let frame = reply(7, b"a reply");
        let two = [&frame[..], &frame].concat();
        let cancel = {
            let mut cancel = Vec::new();
            frame::write(&mut cancel, Header::new(FrameKind::Cancel, 7), b"");
            cancel
        };
        for wrong in [&two[..], &frame[..20], &frame[..3], b"", &reply(8, b"a reply"), &cancel] {
            assert!(join(wrong, 5).is_err(), "{wrong:?}");
        }
        let nonsense = [0xff; 20];
        assert!(matches!(join(&nonsense, 5), Err(FragmentError::Frame(_))));
    }

    #[test]
    fn memory_is_limited_to_the_maximum_of_a_frame() {
        const LIMIT: usize = 1_000;
        let mut pieces = FragmentBuffer::default();
        for _ in 0..10 {
            pieces.add(&[1; 99], LIMIT, LIMIT).expect("room");
        }
        assert!(pieces.0.capacity() <= LIMIT, "{}", pieces.0.capacity());
        assert_eq!(pieces.add(&[1; 11], LIMIT, LIMIT), Err(FragmentError::TooLong { limit: LIMIT }));
        pieces.add(&[1; 10], LIMIT, LIMIT).expect("room");
    }

    #[test]
    fn the_expected_size_is_reserved_once_some_bytes_have_arrived() {
        let mut pieces = FragmentBuffer::default();
        let mut reserved = |bytes: usize, expected| {
            pieces.add(&vec![1; bytes], expected, usize::MAX).expect("room");
            pieces.0.capacity()
        };
        assert!(reserved(10, usize::MAX) < 100, "nothing is reserved for a few bytes");
        assert!(reserved(INITIAL_BYTES, usize::MAX) < INITIAL_BYTES + 100);
        assert_eq!(reserved(1, 100_000), 100_000);
        assert_eq!(reserved(100_000, usize::MAX), MAX_RESERVED_BYTES, "whatever size is expected");
    }
}
