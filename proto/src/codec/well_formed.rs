//! Validation of one complete MessagePack value within the budget, without decoding it.

use super::budget::DecodeLimits;

/// The assumed memory of one value, for any decoder.
const VALUE_BYTES: usize = 32;

/// Returns the problem with `bytes`, if there is one. It uses one entry of memory for each level of nesting, and reads each byte
/// once.
pub(super) fn check(bytes: &[u8], limits: &DecodeLimits) -> Result<(), &'static str> {
    let mut check = WellFormedChecker {
        rest: bytes,
        memory: limits.bytes,
        elements: limits.values.saturating_add(bytes.len().saturating_mul(limits.values_per_byte)),
        open: Vec::new(),
        nesting: limits.nesting as usize,
    };
    check.value()?;
    while let Some(remaining) = check.open.last_mut() {
        match remaining.checked_sub(1) {
            Some(fewer) => {
                *remaining = fewer;
                check.value()?;
            }
            None => drop(check.open.pop()),
        }
    }
    if check.rest.is_empty() { Ok(()) } else { Err("bytes are left over after the value") }
}

struct WellFormedChecker<'a> {
    rest: &'a [u8],
    memory: usize,
    elements: usize,
    /// The number of values that each open list or map still needs.
    open: Vec<u64>,
    nesting: usize,
}

impl<'a> WellFormedChecker<'a> {
    /// Reads one value, or the head of one that contains others.
    fn value(&mut self) -> Result<(), &'static str> {
        let [marker] = *self.take(1)? else { return Err(TRUNCATED) };
        match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => self.charge(0),
            0x80..=0x8f => self.open_container(2 * u64::from(marker & 0x0f)),
            0x90..=0x9f => self.open_container(u64::from(marker & 0x0f)),
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f)),
            0xcc | 0xd0 => self.skip(1),
            0xcd | 0xd1 => self.skip(2),
            0xca | 0xce | 0xd2 => self.skip(4),
            0xcb | 0xcf | 0xd3 => self.skip(8),
            0xc4 => self.length(1).and_then(|length| self.skip(length)),
            0xc5 => self.length(2).and_then(|length| self.skip(length)),
            0xc6 => self.length(4).and_then(|length| self.skip(length)),
            0xd9 => self.length(1).and_then(|length| self.text(length)),
            0xda => self.length(2).and_then(|length| self.text(length)),
            0xdb => self.length(4).and_then(|length| self.text(length)),
            0xdc => self.length(2).and_then(|length| self.open_container(length as u64)),
            0xdd => self.length(4).and_then(|length| self.open_container(length as u64)),
            0xde => self.length(2).and_then(|length| self.open_container(2 * length as u64)),
            0xdf => self.length(4).and_then(|length| self.open_container(2 * length as u64)),
            0xc1 => Err("a byte without a meaning in MessagePack"),
            0xc7..=0xc9 | 0xd4..=0xd8 => Err("an extension type, which is not supported"),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    fn length(&mut self, bytes: usize) -> Result<usize, &'static str> {
        Ok(self.take(bytes)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn skip(&mut self, length: usize) -> Result<(), &'static str> {
        self.take(length)?;
        self.charge(length)
    }

    fn text(&mut self, length: usize) -> Result<(), &'static str> {
        let text = self.take(length)?;
        std::str::from_utf8(text).map_err(|_| "text that is not UTF-8")?;
        self.charge(length)
    }

    /// Begins a list or map of `values` values, each of at least one byte.
    fn open_container(&mut self, values: u64) -> Result<(), &'static str> {
        self.charge(0)?;
        if values > self.rest.len() as u64 {
            return Err(TRUNCATED);
        }
        if self.open.len() >= self.nesting {
            return Err("is nested deeper than the limit of a message");
        }
        let remaining = usize::try_from(values).ok().and_then(|values| self.elements.checked_sub(values));
        self.elements = remaining.ok_or("has more elements than the limit of a message")?;
        self.open.push(values);
        Ok(())
    }

    fn charge(&mut self, length: usize) -> Result<(), &'static str> {
        let remaining =
            self.memory.checked_sub(length).and_then(|remaining| remaining.checked_sub(VALUE_BYTES));
        self.memory = remaining.ok_or("takes more memory than the limit of a message")?;
        Ok(())
    }
}

const TRUNCATED: &str = "the bytes end before the value does";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn limits() -> DecodeLimits {
        DecodeLimits::untyped(&Limits::default())
    }

    #[test]
    fn complete_values_are_valid_and_others_give_the_problem() {
        let nested = |levels: usize| [vec![0x91; levels], vec![1]].concat();
        for valid in [
            vec![0xc0],
            vec![0x2a],
            vec![0xcb, 0, 0, 0, 0, 0, 0, 0, 0],
            vec![0x82, 0xa1, b'x', 1, 0x93, 1, 2, 3, 0xc4, 1, 255],
            vec![0xdd, 0, 0, 0, 1, 0xc3],
            vec![0xdf, 0, 0, 0, 0],
            nested(64),
        ] {
            assert_eq!(check(&valid, &limits()), Ok(()), "{valid:x?}");
        }
        for (invalid, problem) in [
            (vec![], TRUNCATED),
            (vec![0xc1], "a byte without a meaning in MessagePack"),
            (vec![0xc0, 0xc0], "bytes are left over after the value"),
            (vec![0xa2, b'x'], TRUNCATED),
            (vec![0xa1, 0xff], "text that is not UTF-8"),
            (vec![0xdd, 0xff, 0xff, 0xff, 0xff, 0], TRUNCATED),
            (vec![0xdf, 0, 0, 0, 1, 1], TRUNCATED),
            (vec![0xc6, 0, 0, 1, 0], TRUNCATED),
            (vec![0xd4, 1, 2], "an extension type, which is not supported"),
            (nested(65), "is nested deeper than the limit of a message"),
        ] {
            assert_eq!(check(&invalid, &limits()), Err(problem), "{invalid:x?}");
        }
    }

    #[test]
    fn elements_and_memory_are_bounded() {
        let list =
            |length: u32| [vec![0xdd], length.to_be_bytes().to_vec(), vec![1; length as usize]].concat();
        let few = DecodeLimits { values: 10, values_per_byte: 0, bytes: 1_000, nesting: 4 };
        assert_eq!(check(&list(10), &few), Ok(()));
        assert_eq!(check(&list(11), &few), Err("has more elements than the limit of a message"));
        let little = DecodeLimits { bytes: 100, ..few };
        assert_eq!(check(&list(10), &little), Err("takes more memory than the limit of a message"));
    }
}
