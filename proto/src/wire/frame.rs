//! Frames: the units into which messages on a connection are divided.
//!
//! Every frame has a header, little-endian, and a payload:
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 0–3 | length | bytes that follow this field |
//! | 4 | kind | [`FrameKind`] |
//! | 5 | flags | [`BINCODE`], [`REPLY_BINCODE`], [`TRACED`], [`LAST`] |
//! | 6–7 | slot | the number of a message type in the endpoint's catalogue |
//! | 8–15 | id | for kinds that belong to a request or a subscription: its number |
//!
//! A reply longer than [`PIECE_BYTES`](crate::stream::PIECE_BYTES) travels as a series of [`FrameKind::Piece`], whose payloads
//! together are its frame. Other frames may come between them, including pieces of other replies.

mod header;
mod read;
mod write;

pub use self::header::{
    BINCODE, FrameKind, HEADER_BYTES, Header, KIND_AT, LAST, OVERHEAD_BYTES, REPLY_BINCODE, TRACED, encoding,
    flags, split_trace,
};
pub use self::read::{CompleteFrames, Frame, FrameContents, FrameError, Frames, length, scan, take};
pub use self::write::{FrameWriter, announce, length_of, set_id, write};

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::header::{ID_BYTES, LENGTH_BYTES};
    use super::*;
    use crate::codec::Encoding;
    use crate::trace::TraceContext;

    const LIMIT: usize = 1_000;

    fn header() -> Header {
        Header { kind: FrameKind::Request, flags: BINCODE, slot: 7, id: 1 << 40 }
    }

    #[test]
    fn frames_are_read_however_the_bytes_are_split() {
        let mut bytes = Vec::new();
        write(&mut bytes, header(), b"first");
        write(&mut bytes, Header::new(FrameKind::Describe, 0), b"");
        let mut buffer = BytesMut::new();
        let mut frames = Vec::new();
        for byte in bytes {
            buffer.extend_from_slice(&[byte]);
            frames.extend(take(&mut buffer, LIMIT).expect("well-formed"));
        }
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0], Frame { header: header(), payload: Bytes::from_static(b"first") });
        assert_eq!(frames[1].header.kind, FrameKind::Describe);
        assert!(buffer.is_empty());
    }

    #[test]
    fn complete_frames_at_the_front_are_found_and_read_in_order() {
        let mut bytes = Vec::new();
        write(&mut bytes, header(), b"first");
        let one = bytes.len();
        let tell = Header { slot: 9, ..Header::new(FrameKind::Tell, 0) };
        write(&mut bytes, tell, b"");
        let two = bytes.len();
        write(&mut bytes, header(), b"third");
        let three = bytes.len();
        assert_eq!([one, two - one, three - two], [HEADER_BYTES + ID_BYTES + 5, HEADER_BYTES, one]);
        for end in 0..bytes.len() {
            let found = scan(&bytes[..end], LIMIT).expect("well-formed");
            assert_eq!(
                found.complete_bytes,
                [0, one, two].into_iter().rfind(|start| *start <= end).unwrap_or(0)
            );
            let known = end - found.complete_bytes >= LENGTH_BYTES;
            assert_eq!(found.next.is_some(), known, "at {end}");
        }
        let contents = FrameContents { frames: 3, tells: 1, highest_slot: 9, keep_alives: 0, flags: BINCODE };
        assert_eq!(scan(&bytes, LIMIT), Ok(CompleteFrames { complete_bytes: three, contents, next: None }));
        let mut frames = Frames::new(&bytes);
        assert_eq!(frames.next(), Some((header(), &b"first"[..])));
        assert_eq!(frames.next(), Some((tell, &b""[..])));
        assert_eq!((frames.remaining(), frames.next()), (one, Some((header(), &b"third"[..]))));
        assert_eq!((frames.remaining(), frames.next()), (0, None));
    }

    #[test]
    fn the_longest_payload_is_accepted_wherever_its_frame_is_split() {
        for kind in [FrameKind::Request, FrameKind::Tell] {
            let mut bytes = Vec::new();
            write(&mut bytes, Header::new(kind, 0), &[0; LIMIT]);
            for end in 0..bytes.len() {
                assert_eq!(
                    scan(&bytes[..end], LIMIT).map(|found| found.complete_bytes),
                    Ok(0),
                    "{kind:?} at {end}"
                );
            }
            write(&mut bytes, Header::new(kind, 0), &[0; LIMIT + 1]);
            assert!(matches!(scan(&bytes, LIMIT), Err(FrameError::TooLong { .. })));
        }
    }

    #[test]
    fn the_trace_is_split_from_a_message_unless_it_is_too_short() {
        let context: TraceContext =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("well-formed");
        let mut bytes = Vec::new();
        let writer = FrameWriter::new(&mut bytes, header());
        writer.trace(&mut bytes, context);
        bytes.extend_from_slice(b"rest");
        writer.end::<()>(&mut bytes, Ok(Encoding::Bincode)).expect("it is complete");
        let contents = scan(&bytes, LIMIT).expect("well-formed").contents;
        assert_eq!((contents.flags, contents.tells), (BINCODE | TRACED, 0));
        let (read, payload) = Frames::new(&bytes).next().expect("one frame");
        assert_eq!(read, Header { flags: BINCODE | TRACED, ..header() });
        assert_eq!(split_trace(read.flags, payload), Some((Some(context), &b"rest"[..])));
        assert_eq!(split_trace(BINCODE, payload), Some((None, payload)));
        assert_eq!(split_trace(TRACED, &[0; 26]), Some((None, &[0][..])), "zeros are no context");
        for short in 0..25 {
            assert_eq!(split_trace(TRACED, &payload[..short]), None);
        }
    }

    #[test]
    fn a_payload_that_fails_removes_its_frame() {
        let mut bytes = vec![1, 2, 3];
        let writer = FrameWriter::new(&mut bytes, header());
        bytes.extend_from_slice(b"half");
        assert_eq!(writer.end(&mut bytes, Err("no")), Err("no"));
        assert_eq!(bytes, [1, 2, 3]);
    }

    #[test]
    fn invalid_lengths_and_kinds_are_errors_before_the_payload_arrives() {
        let mut huge = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
        assert!(matches!(take(&mut huge, LIMIT), Err(FrameError::TooLong { limit: LIMIT, .. })));
        let mut short = BytesMut::from(&3u32.to_le_bytes()[..]);
        assert_eq!(take(&mut short, LIMIT), Err(FrameError::TooShort(3)));
        let without_id = [HEADER_BYTES as u8, 0, 0, 0, FrameKind::Request as u8, 0, 0, 0];
        assert_eq!(scan(&without_id, LIMIT), Err(FrameError::TooShort(HEADER_BYTES)));
        let mut bytes = Vec::new();
        write(&mut bytes, header(), b"");
        bytes[4] = 99;
        assert_eq!(take(&mut BytesMut::from(&bytes[..]), LIMIT), Err(FrameError::UnknownKind(99)));
        assert_eq!(scan(&bytes, LIMIT), Err(FrameError::UnknownKind(99)));
    }
}
