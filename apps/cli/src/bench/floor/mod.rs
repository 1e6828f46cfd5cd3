//! The floor: what the machine allows without a mesh, over the same transport and in the same run.
//!
//! `peer` is what the serving side does for it, `ping` a round trip and a window of calls over bare TCP, `bulk` one way
//! over bare TCP, `local` a bare actix actor in this process, and `beside` which of them stand beside a measurement.

mod beside;
mod bulk;
mod local;
mod peer;
mod ping;

pub(crate) use beside::{Floor, RateMadeBy, Sample, floors, rates, round_trips, time_of_all};
pub(crate) use peer::Peer;

use std::io;
use std::net::SocketAddr;

use crate::failure::Failure;

/// What the first bytes of a connection to the peer are.
const MAGIC: [u8; 4] = *b"mzfl";

/// What the peer does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// Sends back what comes, from a thread that waits for it.
    EchoBlocking = 1,
    /// Sends back what comes, under tokio.
    EchoTokio = 2,
    /// Counts frames, in a thread that waits for them; the count is sent back after the last.
    CountBlocking = 3,
    /// Counts frames, under tokio.
    CountTokio = 4,
}

impl Duty {
    fn greeting(self) -> [u8; 5] {
        let [a, b, c, d] = MAGIC;
        [a, b, c, d, self as u8]
    }

    fn read(greeting: [u8; 5]) -> Option<Self> {
        let duties = [Self::EchoBlocking, Self::EchoTokio, Self::CountBlocking, Self::CountTokio];
        duties.into_iter().find(|duty| duty.greeting() == greeting)
    }
}

/// How much is read and written at a time.
const BUFFER: usize = 64 << 10;
/// The bytes before a frame that say how long it is.
const PREFIX: usize = 4;

/// A frame's length as it stands before it.
fn prefix(size: usize) -> [u8; PREFIX] {
    u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes()
}

/// Counts frames in a stream of bytes, however it is cut.
#[derive(Debug, Default)]
struct Frames {
    counted: u64,
    head: [u8; PREFIX],
    known: usize,
    /// Bytes of the current frame that are still to come.
    left: usize,
}

impl Frames {
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

fn failed(address: SocketAddr) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::Machine(format!("bare TCP with {address}, for comparison, failed: {error}"))
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
            let mut frames = Frames::default();
            bytes.chunks(piece).for_each(|bytes| frames.take(bytes));
            assert_eq!((frames.counted, frames.left), (3, 0), "pieces of {piece}");
        }
    }

    #[test]
    fn a_duty_is_read_as_it_was_written() {
        assert_eq!(Duty::read(Duty::CountTokio.greeting()), Some(Duty::CountTokio));
        assert_eq!(Duty::read(*b"GET /"), None);
    }
}
