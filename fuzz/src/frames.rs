//! Frames, cut at any byte.

use bytes::BytesMut;
use meshzero_proto::wire::frame::{self, Frame, FrameError, FrameKind, Frames, HEADER_BYTES, Header};

/// The first two bytes are the limit, the third is the number of bytes that arrive at a time; the others are frames.
///
/// # Panics
/// If an invariant is broken.
pub fn run(bytes: &[u8]) {
    let Some(([low, high, step], bytes)) = bytes.split_first_chunk() else { return };
    let limit = usize::from(u16::from_le_bytes([*low, *high]));
    let scanned = frame::scan(bytes, limit);
    let (taken, error) = take_all(bytes, usize::from(*step).max(1), limit);
    for frame in &taken {
        assert!(frame.payload.len() <= limit);
    }
    match scanned {
        Ok(found) => {
            assert!(found.complete_bytes <= bytes.len());
            let read: Vec<_> = Frames::new(&bytes[..found.complete_bytes]).collect();
            assert_eq!(read.len(), found.contents.frames);
            let tells = read.iter().filter(|(header, _)| header.kind == FrameKind::Tell).count();
            let highest = read.iter().map(|(header, _)| header.slot).max().unwrap_or(0);
            assert_eq!((tells, highest), (found.contents.tells, found.contents.highest_slot));
            assert_eq!((read.len(), error), (taken.len(), None));
            for ((header, payload), frame) in read.iter().zip(&taken) {
                assert_eq!((header, *payload), (&frame.header, &frame.payload[..]));
            }
            if let Some(next) = found.next {
                assert!(next > bytes.len() - found.complete_bytes && next <= limit + 2 * HEADER_BYTES);
            }
        }
        // The errors of later frames are found when those frames are read.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for Frame { header, payload } in taken {
        let mut again = Vec::new();
        frame::write(&mut again, header, &payload);
        let mut again = BytesMut::from(&again[..]);
        assert_eq!(frame::take(&mut again, limit), Ok(Some(Frame { header, payload })));
    }
}

/// The frames of a reader that receives the bytes `step` at a time.
fn take_all(bytes: &[u8], step: usize, limit: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut buffer = BytesMut::new();
    let mut taken = Vec::new();
    for chunk in bytes.chunks(step) {
        buffer.extend_from_slice(chunk);
        loop {
            match frame::take(&mut buffer, limit) {
                Ok(Some(frame)) => taken.push(frame),
                Ok(None) => break,
                Err(error) => return (taken, Some(error)),
            }
        }
    }
    (taken, None)
}

/// Frames of every kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut bytes = vec![0xff, 0xff, 7];
    let mut all = Vec::new();
    for kind in (0..=u8::MAX).filter_map(FrameKind::from_byte) {
        let header = Header { flags: frame::BINCODE, slot: 3, ..Header::new(kind, 0) };
        frame::write(&mut bytes, header, b"payload");
        all.push(bytes.clone());
    }
    all
}
