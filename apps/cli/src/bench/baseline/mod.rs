//! The baseline: the same traffic without a mesh, over the same transport and in the same run.
//!
//! `peer` is the server of bare TCP, `ping` measures round trips and windows of calls over it, `bulk` one-way frames
//! over it, and `local` a bare actix actor in this process.

pub(super) mod bulk;
pub(super) mod local;
mod peer;
pub(super) mod ping;

pub(crate) use peer::BaselineServer;

use std::io;
use std::net::SocketAddr;

use super::traffic::packet::LONGEST;
use crate::failure::Failure;

/// The first bytes of a connection to the server of bare TCP.
const MAGIC: [u8; 4] = *b"mzfl";

/// The mode of a connection: echo or count, blocking or under tokio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionMode {
    /// Echoes bytes, from a blocking thread.
    EchoBlocking = 1,
    /// Echoes bytes, under tokio.
    EchoTokio = 2,
    /// Counts frames in a blocking thread and sends back the count after the last.
    CountBlocking = 3,
    /// Counts frames, under tokio.
    CountTokio = 4,
}

impl ConnectionMode {
    fn greeting(self) -> [u8; 5] {
        let [a, b, c, d] = MAGIC;
        [a, b, c, d, self as u8]
    }

    fn read(greeting: [u8; 5]) -> Option<Self> {
        let duties = [Self::EchoBlocking, Self::EchoTokio, Self::CountBlocking, Self::CountTokio];
        duties.into_iter().find(|mode| mode.greeting() == greeting)
    }
}

/// The number of bytes per read or write.
const BUFFER: usize = 64 << 10;
/// The size of a frame's length prefix, in bytes.
const PREFIX: usize = 4;

/// Returns the length prefix of a frame.
fn prefix(size: usize) -> [u8; PREFIX] {
    u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes()
}

/// A counter of frames in a stream of bytes that may be split anywhere.
#[derive(Debug, Default)]
struct FrameCounter {
    counted: u64,
    head: [u8; PREFIX],
    known: usize,
    /// Bytes of the current frame that are still missing.
    left: usize,
}

impl FrameCounter {
    /// Returns whether the stream is at a frame boundary.
    fn is_between(&self) -> bool {
        self.left == 0 && self.known == 0
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
            } else {
                let taken = (PREFIX - self.known).min(bytes.len());
                self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
                self.known += taken;
                bytes = &bytes[taken..];
                if self.known < PREFIX {
                    return;
                }
                self.known = 0;
                self.left = u32::from_le_bytes(self.head) as usize;
            }
            if self.left == 0 {
                self.counted += 1;
            }
        }
    }
}

/// A buffer that echoes whole frames only: two ends that both write without reading would deadlock.
#[derive(Debug, Default)]
struct FrameEcho {
    frames: FrameCounter,
    begun: Vec<u8>,
}

impl FrameEcho {
    /// Returns the complete frames up to and including `bytes`, to be sent back; nothing in the middle of a frame.
    ///
    /// # Errors
    /// The frame is longer than any that is measured.
    fn take<'a>(&'a mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        if self.frames.is_between() {
            self.begun.clear();
        }
        self.frames.take(bytes);
        if self.begun.is_empty() && self.frames.is_between() {
            return Ok(bytes);
        }
        self.begun.extend_from_slice(bytes);
        if self.begun.len() > LONGEST + 4 * BUFFER {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(if self.frames.is_between() { &self.begun } else { &[] })
    }
}

fn failed(address: SocketAddr) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::Local(format!("bare TCP with {address}, for the baseline, failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_wherever_they_are_cut() {
        let mut bytes = Vec::new();
        for size in [3, 0, 10] {
            bytes.extend(prefix(size));
            bytes.extend(vec![7; size]);
        }
        for piece in 1..bytes.len() {
            let mut frames = FrameCounter::default();
            bytes.chunks(piece).for_each(|bytes| frames.take(bytes));
            assert!(frames.counted == 3 && frames.is_between(), "pieces of {piece}");
        }
    }

    #[test]
    fn whole_frames_are_sent_back() {
        let (one, two) = ([&prefix(3)[..], b"abc"].concat(), [&prefix(2)[..], b"de"].concat());
        let both = [one.clone(), two.clone()].concat();
        let mut echo_buffer = FrameEcho::default();
        assert_eq!(echo_buffer.take(&one).expect("short"), one);
        assert_eq!(echo_buffer.take(&both).expect("short"), both);
        for piece in 1..both.len() {
            let mut sent = Vec::new();
            for bytes in both.chunks(piece) {
                sent.extend_from_slice(echo_buffer.take(bytes).expect("short"));
            }
            assert_eq!(sent, both, "pieces of {piece}");
        }
        let mut endless = FrameEcho::default();
        endless.take(&[0xff; 4]).expect("a prefix is short");
        let refused = (0..LONGEST / BUFFER + 8).any(|_| endless.take(&[0; BUFFER]).is_err());
        assert!(refused && endless.begun.len() <= LONGEST + 5 * BUFFER);
    }

    #[test]
    fn a_duty_is_read_as_it_was_written() {
        assert_eq!(
            ConnectionMode::read(ConnectionMode::CountTokio.greeting()),
            Some(ConnectionMode::CountTokio)
        );
        assert_eq!(ConnectionMode::read(*b"GET /"), None);
    }
}
