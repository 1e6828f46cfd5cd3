//! Frames over bare TCP: a length, a number, a body. Under tokio each frame passes a queue to the task that writes, which
//! writes all that wait at once. `benches/peers/bare` has the same design.

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;

use super::mode::Mode;
use crate::bench::traffic::packet::{LONGEST, NUMBER};

/// The number of bytes per read, and per write of a blocking sender.
pub(super) const BUFFER: usize = 64 << 10;
/// The size of a frame's length prefix, in bytes.
const PREFIX: usize = size_of::<u32>();
/// The bytes of a frame before its body.
pub(super) const HEAD: usize = PREFIX + NUMBER;
/// The limit of queued bytes, and the fewest and most frames.
const QUEUED: usize = 4 << 20;
const FRAMES: (usize, usize) = (4, 1_024);
/// Frames that are written at once.
const BATCH: usize = 1_024;

/// Returns the number of frames of this size that may be queued.
pub(super) fn queue(size: usize) -> usize {
    (QUEUED / size.max(1)).clamp(FRAMES.0, FRAMES.1)
}

/// Appends the frame of a packet.
pub(super) fn append(frame: &mut Vec<u8>, number: u64, body: &[u8]) {
    // No packet comes near 4 GiB.
    frame.extend_from_slice(&((NUMBER + body.len()) as u32).to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(body);
}

/// Returns the frame of a packet, in memory of its own.
pub(super) fn frame(number: u64, body: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(HEAD + body.len());
    append(&mut frame, number, body);
    frame.into()
}

/// Connects to the server of bare TCP.
pub(super) async fn connect(address: SocketAddr, mode: Mode, size: usize) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&mode.greeting(size)).await?;
    Ok(stream)
}

/// Writes the frames of the queue until all senders are dropped, all queued frames in one gathered write.
pub(super) async fn write(mut queue: mpsc::Receiver<Bytes>, mut stream: OwnedWriteHalf) -> io::Result<()> {
    let mut frames = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut frames, BATCH).await > 0 {
        let mut slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match stream.write_vectored(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => IoSlice::advance_slices(&mut rest, count),
            }
        }
        frames.clear();
    }
    stream.shutdown().await
}

/// A buffer that splits received bytes into frames.
#[derive(Debug)]
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
    /// The received bytes of frames that were not passed on yet.
    from: usize,
    to: usize,
}

impl FrameBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BUFFER], from: 0, to: 0 }
    }

    /// Returns the space for the next read. There is always some.
    ///
    /// # Errors
    /// The next frame is longer than any that is measured.
    pub(super) fn space(&mut self) -> io::Result<&mut [u8]> {
        self.bytes.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        let whole = self.length()?.map_or(0, |length| PREFIX + length);
        if whole > self.bytes.len() {
            self.bytes.resize(whole, 0);
        }
        Ok(&mut self.bytes[self.to..])
    }

    /// Takes in the bytes that were read into the space, passes on the frames that are complete, with their numbers and
    /// bodies, and returns the bytes of all of them.
    ///
    /// # Errors
    /// A frame is longer or shorter than any that is measured.
    pub(super) fn take(&mut self, read: usize, mut each: impl FnMut(u64, &[u8])) -> io::Result<&[u8]> {
        self.to = (self.to + read).min(self.bytes.len());
        let begin = self.from;
        while let Some(length) = self.length()? {
            let end = self.from + PREFIX + length;
            let Some(frame) = self.bytes[..self.to].get(self.from + PREFIX..end) else { break };
            let Some((number, body)) = frame.split_first_chunk() else { break };
            each(u64::from_le_bytes(*number), body);
            self.from = end;
        }
        Ok(&self.bytes[begin..self.from])
    }

    fn length(&self) -> io::Result<Option<usize>> {
        let Some(length) = self.bytes[self.from..self.to].first_chunk() else { return Ok(None) };
        match u32::from_le_bytes(*length) as usize {
            length if (NUMBER..=LONGEST).contains(&length) => Ok(Some(length)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_split_wherever_they_are_cut() {
        let mut bytes = Vec::new();
        for (number, size) in [(7, 3), (8, 0), (9, 100)] {
            append(&mut bytes, number, &vec![number as u8; size]);
        }
        for piece in 1..=bytes.len() {
            let (mut frames, mut seen, mut whole) = (FrameBuffer::new(), Vec::new(), Vec::new());
            for bytes in bytes.chunks(piece) {
                frames.space().expect("short frames")[..bytes.len()].copy_from_slice(bytes);
                let taken = frames.take(bytes.len(), |number, body| {
                    assert!(body.iter().all(|byte| u64::from(*byte) == number));
                    seen.push((number, body.len()));
                });
                whole.extend_from_slice(taken.expect("short frames"));
            }
            assert_eq!(seen, [(7, 3), (8, 0), (9, 100)], "pieces of {piece}");
            assert_eq!(whole, bytes);
        }
    }

    #[test]
    fn a_frame_longer_than_the_buffer_has_room() {
        let (mut frames, mut seen) = (FrameBuffer::new(), 0);
        let bytes = frame(1, &vec![1; 3 * BUFFER]);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let space = frames.space().expect("short enough");
            let read = space.len().min(rest.len());
            space[..read].copy_from_slice(&rest[..read]);
            rest = &rest[read..];
            frames.take(read, |_, body| seen += body.len()).expect("short enough");
        }
        assert_eq!(seen, 3 * BUFFER);
    }

    #[test]
    fn a_forged_length_is_refused() {
        for length in [0, NUMBER as u32 - 1, LONGEST as u32 + 1, u32::MAX] {
            let mut frames = FrameBuffer::new();
            frames.space().expect("empty")[..PREFIX].copy_from_slice(&length.to_le_bytes());
            assert!(frames.take(PREFIX, |_, _| {}).is_err(), "{length}");
        }
    }
}
