//! The first bytes of a connection to the server of bare TCP: what it measures, and the size of its packets.

use super::threads::Threads;
use crate::bench::traffic::packet::{LONGEST, SHORTEST};

/// The first bytes of a connection.
const MAGIC: [u8; 4] = *b"mzfl";

/// The length of a greeting: the magic bytes, the mode and the size.
pub(super) const GREETING: usize = 9;

/// The mode of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Echoes one frame at a time, from a blocking thread.
    PingBlocking,
    /// Echoes one frame at a time, under tokio on one thread.
    PingTokio,
    /// Answers each frame through a queue, under tokio.
    Calls(Threads),
    /// Counts frames in a blocking thread and sends back the counts after the last.
    CountBlocking,
    /// Counts frames under tokio and sends back the counts after the last.
    Count(Threads),
}

const ALL: [Mode; 7] = [
    Mode::PingBlocking,
    Mode::PingTokio,
    Mode::Calls(Threads::One),
    Mode::Calls(Threads::Workers),
    Mode::CountBlocking,
    Mode::Count(Threads::One),
    Mode::Count(Threads::Workers),
];

impl Mode {
    /// Returns the greeting for packets of `size` bytes.
    pub(super) fn greeting(self, size: usize) -> [u8; GREETING] {
        let [a, b, c, d] = MAGIC;
        let mode = ALL.iter().position(|mode| *mode == self).unwrap_or(ALL.len()) as u8;
        let [w, x, y, z] = u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
        [a, b, c, d, mode, w, x, y, z]
    }

    /// Reads a greeting; `None` if it is none of this program's.
    pub(super) fn read([a, b, c, d, mode, w, x, y, z]: [u8; GREETING]) -> Option<(Self, usize)> {
        let size = u32::from_le_bytes([w, x, y, z]) as usize;
        let known = [a, b, c, d] == MAGIC && (SHORTEST..=LONGEST).contains(&size);
        ALL.get(usize::from(mode)).filter(|_| known).map(|mode| (*mode, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_read_as_it_was_written() {
        for mode in ALL {
            for size in [SHORTEST, 1_000, LONGEST] {
                assert_eq!(Mode::read(mode.greeting(size)), Some((mode, size)));
            }
        }
        assert_eq!(Mode::read(*b"GET / HTT"), None);
        assert_eq!(Mode::read(Mode::PingTokio.greeting(LONGEST + 1)), None);
        assert_eq!(Mode::read([b'm', b'z', b'f', b'l', 7, 8, 0, 0, 0]), None);
    }
}
