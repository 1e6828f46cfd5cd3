//! Writing frames, with a complete payload or one that is appended in parts.

use std::convert::Infallible;

use super::header::{FLAGS_AT, FrameKind, HEADER_BYTES, Header, ID_BYTES, LENGTH_BYTES, TRACED, flags};
use crate::buffer::WriteBuffer;
use crate::codec::{self, Encoding};
use crate::trace::TraceContext;

/// A frame whose header is written, and whose payload is being appended to the same buffer.
#[derive(Debug)]
#[must_use = "the header is incomplete until the end"]
pub struct FrameWriter {
    start: usize,
    /// The size of the detached blobs when the frame began.
    detached_before: usize,
}

impl FrameWriter {
    /// Begins a frame at the end of `out`.
    #[inline(always)]
    pub fn new(out: &mut impl WriteBuffer, header: Header) -> Self {
        let writer = Self { start: out.length(), detached_before: codec::detached_len() };
        // One store, because a later load of several bytes would have to wait for separate stores.
        let fields =
            u64::from(header.kind as u8) | u64::from(header.flags) << 8 | u64::from(header.slot) << 16;
        out.put(&(fields << (8 * LENGTH_BYTES)).to_le_bytes());
        if header.kind.has_id() {
            out.put(&header.id.to_le_bytes());
        }
        writer
    }

    /// Adds the trace to which the message belongs. Call it before the rest of the payload is appended.
    #[cold]
    pub fn trace(&self, out: &mut impl WriteBuffer, context: TraceContext) {
        out.written_mut()[self.start + FLAGS_AT] |= TRACED;
        out.put(&context.to_bytes());
    }

    /// Ends the frame, with the encoding of its payload. On an error the frame is removed.
    ///
    /// # Errors
    /// Those of `encoded`.
    #[inline(always)]
    pub fn end<E>(self, out: &mut impl WriteBuffer, encoded: Result<Encoding, E>) -> Result<(), E> {
        match encoded {
            Ok(encoding) => {
                let Self { start, detached_before } = self;
                let frame = &mut out.written_mut()[start..];
                frame[FLAGS_AT] |= flags(encoding);
                let length = frame.len() - LENGTH_BYTES + (codec::detached_len() - detached_before);
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

/// Sets the id of `frame`, which is a request or another frame with an id.
///
/// # Panics
/// If the frame has no id.
#[inline(always)]
pub fn set_id(frame: &mut [u8], id: u64) {
    frame[HEADER_BYTES..HEADER_BYTES + ID_BYTES].copy_from_slice(&id.to_le_bytes());
}

/// Returns the length of a frame with a payload of this many bytes.
pub fn length_of(kind: FrameKind, payload: usize) -> usize {
    kind.header_bytes() + payload
}

/// Appends a frame with the given payload.
pub fn write(out: &mut impl WriteBuffer, header: Header, payload: &[u8]) {
    let writer = FrameWriter::new(out, header);
    out.put(payload);
    // This encoding adds no flags: the header already has them.
    let ended = writer.end::<Infallible>(out, Ok(Encoding::MessagePack));
    match ended {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

/// Appends the header of a frame whose payload of `length` bytes is not a part of `out`.
pub fn announce(out: &mut Vec<u8>, header: Header, length: usize) {
    let start = out.len();
    write(out, header, b"");
    let frame_length = out.len() - start - LENGTH_BYTES + length;
    let frame_length = u32::try_from(frame_length).expect("messages are bounded far below 4 GiB");
    out[start..start + LENGTH_BYTES].copy_from_slice(&frame_length.to_le_bytes());
}
