//! Probe values, and the record of those that a type has refused.

use std::collections::HashMap;

/// Probe numbers, all of them valid in every integer type.
const NUMBERS: [u8; 8] = [0, 1, 2, 3, 7, 10, 16, 100];

/// Probe texts that common validating types accept: numbers, dates, addresses, links, ids, colours.
const TEXTS: [&str; 24] = [
    "",
    "0",
    "a",
    "1970-01-01T00:00:00Z",
    "1970-01-01",
    "00:00:00",
    "1970-01-01T00:00:00",
    "0.0.0",
    "127.0.0.1",
    "127.0.0.1:80",
    "::1",
    "[::1]:80",
    "http://a.b/",
    "a@b.cc",
    "UTC",
    "+00:00",
    "/",
    "00000000-0000-0000-0000-000000000000",
    "a/b",
    "{}",
    "[]",
    "#000000",
    "abcdefgh",
    "A",
];

const CHARS: [char; 3] = ['a', '0', 'A'];

/// The longest of the probe byte strings, which are zeros of every length up to this one, and of the type's size in memory, which
/// is the length of an array of bytes.
const MAX_BYTES: usize = 64;

/// The longest byte string of a type's size.
const LONGEST_BYTES: usize = 64 << 10;

/// The kind of value presented to a type that accepts any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeKind {
    Unit,
    Text,
    Number,
    Truth,
    Map,
    List,
}

const KINDS: [ProbeKind; 6] =
    [ProbeKind::Unit, ProbeKind::Text, ProbeKind::Number, ProbeKind::Truth, ProbeKind::Map, ProbeKind::List];

/// A kind of site in a type: the type that holds it and the type of the value itself.
type ProbeSite = (&'static str, &'static str);

/// The next probe value for each site.
#[derive(Debug, Default)]
pub(super) struct Probes {
    refused: HashMap<ProbeSite, usize>,
    /// The site that was filled last in this run, with the number of probe values for it.
    last: Option<(ProbeSite, usize)>,
    /// Set if a value was refused in this run: only the first refusal counts.
    bumped: bool,
    /// Set if sites that refuse nothing get their second value.
    vary: bool,
}

impl Probes {
    /// Starts another run.
    pub(super) fn restart(&mut self, vary: bool) {
        self.last = None;
        self.bumped = false;
        self.vary = vary;
    }

    /// Records that the last value was refused.
    ///
    /// # Errors
    /// Every value for that site has been refused; the name of its type.
    pub(super) fn refuse(&mut self) -> Result<(), &'static str> {
        if self.bumped {
            return Ok(());
        }
        self.bumped = true;
        let Some((place, choices)) = self.last else { return Err("it") };
        let refused = self.refused.entry(place).or_default();
        *refused += 1;
        if *refused < choices { Ok(()) } else { Err(if place.0.is_empty() { place.1 } else { place.0 }) }
    }

    fn choose(&mut self, place: ProbeSite, choices: usize) -> usize {
        self.last = Some((place, choices));
        match self.refused.get(&place) {
            Some(refused) => (*refused).min(choices - 1),
            None => usize::from(self.vary).min(choices - 1),
        }
    }

    /// Returns the number for `place`.
    pub(super) fn number(&mut self, place: ProbeSite) -> u8 {
        NUMBERS[self.choose(place, NUMBERS.len())]
    }

    /// Returns the truth value for `place`.
    pub(super) fn truth(&mut self, place: ProbeSite) -> bool {
        self.choose(place, 2) == 1
    }

    /// Returns the character for `place`.
    pub(super) fn character(&mut self, place: ProbeSite) -> char {
        CHARS[self.choose(place, CHARS.len())]
    }

    /// Returns the text for `place`.
    pub(super) fn text(&mut self, place: ProbeSite) -> &'static str {
        TEXTS[self.choose(place, TEXTS.len())]
    }

    /// Returns the bytes for `place`, whose type takes `size` bytes in memory.
    pub(super) fn bytes(&mut self, place: ProbeSite, size: usize) -> Vec<u8> {
        let length = self.choose(place, MAX_BYTES + 2);
        vec![0; if length > MAX_BYTES { size.min(LONGEST_BYTES) } else { length }]
    }

    /// Returns the kind of value for `place`.
    pub(super) fn kind(&mut self, place: ProbeSite) -> ProbeKind {
        KINDS[self.choose(place, KINDS.len())]
    }
}
