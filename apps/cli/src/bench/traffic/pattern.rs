//! The bytes of packets, which follow from their numbers, and their check on arrival.
//!
//! To compare every byte of every packet takes longer than the mesh takes for a short message, and the report would be about
//! the check. So the bytes of short packets are compared in a sample.

use std::ops::Range;

use bytes::Bytes;

use super::packet::{Body, LONGEST, NUMBER, Packet, PacketId, SHORT};

/// The offsets at which a body may begin in the pattern, in steps of 8 bytes.
const SHIFTS: usize = 4_096;
/// The limit of bodies that are compared completely, and the length from which the bytes of every packet are compared.
const WHOLE: usize = 4_096;
/// One in this many shorter packets is compared. The number is odd, so that the sample has every offset in the pattern.
pub(crate) const SAMPLE: u64 = 61;
/// The bytes of a longer body that are compared at its beginning, at its end, and at a place between that moves with
/// the number.
const PART: usize = 1_024;

/// The bytes that bodies are cut from: the same in every process, and different at every offset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pattern {
    bytes: Bytes,
}

impl Pattern {
    /// Creates the pattern for packets of `size` bytes at most.
    pub(crate) fn new(size: usize) -> Self {
        let mut pattern = Self::default();
        pattern.grow(size);
        pattern
    }

    /// Grows it for packets of `size` bytes.
    pub(crate) fn grow(&mut self, size: usize) {
        let length = size.clamp(SHORT, LONGEST) + SHIFTS;
        if length > self.bytes.len() {
            self.bytes = pseudo_random(length).into();
        }
    }

    /// Returns the packet of `size` bytes with this number.
    ///
    /// # Panics
    /// Packets with this kind of body do not have that size, or the pattern is not long enough.
    #[inline]
    pub(crate) fn packet<B: Body>(&self, stream: u16, number: u64, size: usize) -> Packet<B> {
        Packet { id: PacketId::new(stream, number), body: B::cut(self, number, size.saturating_sub(NUMBER)) }
    }

    /// Returns the body of the packet of `size` bytes with this number.
    ///
    /// # Panics
    /// The pattern is not long enough.
    #[inline]
    pub(crate) fn body(&self, number: u64, size: usize) -> &[u8] {
        self.bytes(number, size.saturating_sub(NUMBER))
    }

    /// Returns the body with this number and length.
    ///
    /// # Panics
    /// The pattern is not long enough.
    #[inline]
    pub(super) fn bytes(&self, number: u64, length: usize) -> &[u8] {
        &self.bytes[cut(number, length)]
    }

    /// Like [`Pattern::bytes`], sharing the pattern's memory.
    pub(super) fn shared(&self, number: u64, length: usize) -> Bytes {
        self.bytes.slice(cut(number, length))
    }

    /// Returns whether the body of a packet of `size` bytes arrived as it was sent, as far as it is compared: its length
    /// always, its bytes if the packet is longer than [`WHOLE`] or one of the sample.
    #[inline]
    pub(crate) fn is_intact(&self, number: u64, body: &[u8], size: usize) -> bool {
        body.len() == size.saturating_sub(NUMBER)
            && ((body.len() < WHOLE && !number.is_multiple_of(SAMPLE)) || self.has_bytes(number, body))
    }

    /// Returns whether a body has the bytes that go with its number. Of a long one only a part is compared, a different
    /// part for each number.
    fn has_bytes(&self, number: u64, body: &[u8]) -> bool {
        let wanted = self.bytes.get(cut(number, body.len()));
        wanted.is_some_and(|wanted| parts(number, body.len()).all(|part| wanted[part.clone()] == body[part]))
    }
}

/// Returns the range of a packet's body in the pattern.
#[inline]
fn cut(number: u64, length: usize) -> Range<usize> {
    let start = (number % (SHIFTS as u64 / 8)) as usize * 8;
    start..start + length
}

/// Returns the parts of a body that are compared.
fn parts(number: u64, length: usize) -> impl Iterator<Item = Range<usize>> {
    let [head, middle, tail] = if length <= WHOLE {
        [0..length, 0..0, 0..0]
    } else {
        let places = length.div_ceil(PART);
        let start = (number % places as u64) as usize * PART;
        [0..PART, start..(start + PART).min(length), length - PART..length]
    };
    [head, middle, tail].into_iter()
}

/// Generates bytes by xorshift, so that both sides have the same without sending them.
fn pseudo_random(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::traffic::packet::with_body;

    /// Returns whether a packet is seen to be intact where every packet is compared.
    fn has_its_bytes<B: Body>(pattern: &Pattern, packet: &Packet<B>, size: usize) -> bool {
        packet.body().len() == size - NUMBER && pattern.has_bytes(packet.number(), packet.body())
    }

    #[test]
    fn packets_have_their_size_and_are_intact() {
        for size in [8, 9, 63, 64, 65, 4_096, 5_000, 100_000] {
            let (ours, theirs) = (Pattern::new(size), Pattern::new(LONGEST));
            for number in [0, 1, 511, 512, 1 << 40] {
                with_body!(size, B => {
                    let packet = ours.packet::<B>(7, number, size);
                    assert_eq!(NUMBER + packet.body().len(), size);
                    assert_eq!(packet.body(), ours.body(number, size));
                    assert!(has_its_bytes(&theirs, &packet, size), "{number} of {size}");
                    assert!(theirs.is_intact(number, packet.body(), size));
                    assert!(!theirs.is_intact(number, packet.body(), size + 1));
                });
            }
        }
    }

    #[test]
    fn a_wrong_byte_shows_wherever_it_is() {
        let (pattern, size) = (Pattern::new(9_000), 9_000);
        for place in [0, 1_500, 5_000, size - NUMBER - 1] {
            let found = (0..9).any(|number| {
                let mut bytes = pattern.body(number, size).to_vec();
                bytes[place] ^= 1;
                !pattern.is_intact(number, &bytes, size)
            });
            assert!(found, "byte {place}");
        }
    }

    #[test]
    fn one_short_packet_of_the_sample_is_compared() {
        let (pattern, size) = (Pattern::new(64), 64);
        let damaged = (0..10 * SAMPLE).filter(|number| {
            let mut bytes = pattern.body(*number, size).to_vec();
            bytes[5] ^= 1;
            !pattern.is_intact(*number, &bytes, size)
        });
        assert_eq!(damaged.count(), 10);
    }

    #[test]
    fn a_number_that_does_not_go_with_the_bytes_shows() {
        let pattern = Pattern::new(64);
        assert!(!pattern.is_intact(SAMPLE, pattern.body(5, 64), 64));
        assert!(!pattern.is_intact(2 * SAMPLE, pattern.body(SAMPLE, 64), 64));
    }
}
