//! Values that types are tried with, and which of them a type has refused.

use std::collections::HashMap;

/// Numbers, all of them valid in every integer type.
const NUMBERS: [u8; 8] = [0, 1, 2, 3, 7, 10, 16, 100];

/// Texts that common validating types take: numbers, dates, addresses, links, ids, colours.
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

/// Byte strings are zeros of every length up to this one, and of the length that the type takes in memory, which is what an
/// array of bytes wants.
const MOST_BYTES: usize = 64;

/// The longest of them.
const LONGEST_BYTES: usize = 64 << 10;

/// What a type may find that takes whatever comes.
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

/// A kind of place in a type: the type that holds it and the type of the value itself.
type ProbeSite = (&'static str, &'static str);

/// Which value comes next at each place.
#[derive(Debug, Default)]
pub(super) struct Probes {
    refused: HashMap<ProbeSite, usize>,
    /// The place that was filled last in this run, with the number of values that there are for it.
    last: Option<(ProbeSite, usize)>,
    /// Whether a value was refused in this run: the first refusal is the one that counts.
    bumped: bool,
    /// Whether places that refuse nothing get their second value.
    vary: bool,
}

impl Probes {
    /// Starts another run.
    pub(super) fn restart(&mut self, vary: bool) {
        self.last = None;
        self.bumped = false;
        self.vary = vary;
    }

    /// Notes that the value filled in last was refused.
    ///
    /// # Errors
    /// Every value for that place has been refused; the name of its type.
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

    /// The number for `place`.
    pub(super) fn number(&mut self, place: ProbeSite) -> u8 {
        NUMBERS[self.choose(place, NUMBERS.len())]
    }

    /// The truth value for `place`.
    pub(super) fn truth(&mut self, place: ProbeSite) -> bool {
        self.choose(place, 2) == 1
    }

    /// The character for `place`.
    pub(super) fn character(&mut self, place: ProbeSite) -> char {
        CHARS[self.choose(place, CHARS.len())]
    }

    /// The text for `place`.
    pub(super) fn text(&mut self, place: ProbeSite) -> &'static str {
        TEXTS[self.choose(place, TEXTS.len())]
    }

    /// The bytes for `place`, whose type takes `size` bytes in memory.
    pub(super) fn bytes(&mut self, place: ProbeSite, size: usize) -> Vec<u8> {
        let length = self.choose(place, MOST_BYTES + 2);
        vec![0; if length > MOST_BYTES { size.min(LONGEST_BYTES) } else { length }]
    }

    /// The kind of value for `place`.
    pub(super) fn kind(&mut self, place: ProbeSite) -> ProbeKind {
        KINDS[self.choose(place, KINDS.len())]
    }
}
