//! The reassembly of one long frame from its pieces.

use bytes::Bytes;

use crate::wire::frame::{self, Frame, FrameError, Frames};

/// The maximum memory reserved for a frame of which less has arrived.
const INITIAL_BYTES: usize = 32 << 10;

/// The maximum memory reserved because another frame was as long.
const MAX_GUESSED_BYTES: usize = (1 << 20) + frame::OVERHEAD_BYTES;

/// The received part of a frame that is sent in pieces, see [`FrameKind::Piece`](frame::FrameKind::Piece). It grows with the
/// received bytes, because their total is not announced.
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
    /// Adds a piece. The total is at most `limit` bytes, and possibly `guess`: after the first bytes this much is reserved, or
    /// each long frame would be moved in memory several times.
    ///
    /// # Errors
    /// [`FragmentError::TooLong`]; nothing was added.
    pub fn add(&mut self, piece: &[u8], guess: usize, limit: usize) -> Result<(), FragmentError> {
        let Self(bytes) = self;
        let room = limit.checked_sub(bytes.len()).filter(|room| *room >= piece.len());
        let room = room.ok_or(FragmentError::TooLong { limit })?;
        if bytes.capacity() - bytes.len() < piece.len() {
            let guess = if bytes.len() < INITIAL_BYTES { 0 } else { guess.min(MAX_GUESSED_BYTES) };
            // Otherwise the capacity doubles each time, up to the maximum.
            let more = piece.len().max(bytes.len()).max(guess.saturating_sub(bytes.len()));
            bytes.reserve_exact(more.min(room));
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
        let whole = frame::cut(&bytes, bytes.len())?.complete_bytes;
        let mut frames = Frames::new(&bytes);
        match frames.next() {
            Some((header, payload)) if frames.remaining() == 0 && whole == bytes.len() => {
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

    fn joined(bytes: &[u8], piece: usize) -> Result<Frame, FragmentError> {
        let mut pieces = FragmentBuffer::default();
        bytes.chunks(piece).try_for_each(|piece| pieces.add(piece, 0, bytes.len()))?;
        pieces.reply(7)
    }

    #[test]
    fn pieces_of_any_length_become_the_frame() {
        let frame = reply(7, b"a reply");
        for piece in 1..=frame.len() {
            let joined = joined(&frame, piece).expect("it is whole");
            assert_eq!((joined.header.id, &joined.payload[..]), (7, &b"a reply"[..]));
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
            assert!(joined(wrong, 5).is_err(), "{wrong:?}");
        }
        let nonsense = [0xff; 20];
        assert!(matches!(joined(&nonsense, 5), Err(FragmentError::Frame(_))));
    }

    #[test]
    fn no_more_is_kept_or_reserved_than_a_frame_may_have() {
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
    fn as_much_as_another_had_is_reserved_once_some_has_arrived() {
        let mut pieces = FragmentBuffer::default();
        let mut reserved = |bytes: usize, guess| {
            pieces.add(&vec![1; bytes], guess, usize::MAX).expect("room");
            pieces.0.capacity()
        };
        assert!(reserved(10, usize::MAX) < 100, "for a few bytes nothing");
        assert!(reserved(INITIAL_BYTES, usize::MAX) < INITIAL_BYTES + 100);
        assert_eq!(reserved(1, 100_000), 100_000);
        assert_eq!(reserved(100_000, usize::MAX), MAX_GUESSED_BYTES, "whatever the other had");
    }
}
