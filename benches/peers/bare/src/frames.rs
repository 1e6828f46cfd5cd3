//! Frames over tokio: a length, a number, a body. One queue before the writer, which writes all queued frames at once.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// The limit of queued bytes, and the most and fewest frames.
const QUEUED: usize = 4 << 20;
const FRAMES: (usize, usize) = (4, 1024);
/// Frames that are written at once.
const BATCH: usize = 1024;
const READ: usize = 64 << 10;
const HEAD: usize = size_of::<u32>() + size_of::<u64>();
/// Longer than any message of the comparison.
const LONGEST: usize = 64 << 20;

/// The number of frames of this size that may be queued.
pub(crate) fn queue(size: usize) -> usize {
    (QUEUED / size).clamp(FRAMES.0, FRAMES.1)
}

/// One encoded message, in memory of its own, which subscribers share.
pub(crate) type Frame = Bytes;

/// The frame of a message.
pub(crate) fn frame(number: u64, body: &[u8]) -> Frame {
    let mut frame = Vec::with_capacity(HEAD + body.len());
    // No message of the comparison comes near 4 GiB.
    frame.extend_from_slice(&((size_of::<u64>() + body.len()) as u32).to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(body);
    frame.into()
}

/// Writes the frames of the queue until all senders are dropped: all queued frames in one gathered write.
pub(crate) async fn write(mut queue: mpsc::Receiver<Frame>, mut stream: OwnedWriteHalf) -> io::Result<()> {
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
    Ok(())
}

/// Splits the received bytes into frames.
pub(crate) struct Reader {
    stream: OwnedReadHalf,
    buffer: BytesMut,
}

impl Reader {
    pub(crate) fn new(stream: OwnedReadHalf) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(READ) }
    }

    /// Waits for more bytes; `false` at the end of the connection.
    pub(crate) async fn fill(&mut self) -> io::Result<bool> {
        let missing =
            self.length()?.map_or(0, |length| (size_of::<u32>() + length).saturating_sub(self.buffer.len()));
        self.buffer.reserve(missing.max(READ));
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(length) => Ok(length > 0),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Passes the buffered frames on: their numbers and bodies.
    pub(crate) fn each(&mut self, mut handle: impl FnMut(u64, &[u8])) -> io::Result<()> {
        while let Some(length) = self.length()? {
            let whole = size_of::<u32>() + length;
            let Some(frame) = self.buffer.get(..whole) else { break };
            let number =
                peers_common::number_of(&frame[size_of::<u32>()..]).ok_or(io::ErrorKind::InvalidData)?;
            handle(number, &frame[HEAD..]);
            self.buffer.advance(whole);
        }
        Ok(())
    }

    fn length(&self) -> io::Result<Option<usize>> {
        let Some(length) = self.buffer.first_chunk() else { return Ok(None) };
        match u32::from_le_bytes(*length) as usize {
            length if (size_of::<u64>()..=LONGEST).contains(&length) => Ok(Some(length)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
