//! Tests that the compact encoding is bincode's, byte by byte, and refuses the same bytes.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bincode::config::standard;
use bincode::serde::{decode_from_slice, encode_to_vec};
use bytes::Bytes;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::codec::{Blob, DecodeLimits, Encoding, WireType, decode, encode};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Tree {
    Nothing,
    Flag(bool),
    Unsigned(u8, u16, u32, u64, u128),
    Signed { a: i8, b: i16, c: i32, d: i64, e: i128 },
    Float(Float, Double),
    Letter(char),
    Text(String),
    Bytes(Blob),
    List(Vec<Tree>),
    Map(BTreeMap<u16, Tree>),
    Named { name: Option<String>, unit: (), inside: Box<Tree>, array: [u16; 3] },
    Wrapped(Wrapper),
    Maybe(Option<Option<Box<Tree>>>),
    Outcome(Result<u32, String>),
}

/// Floats by their bits, so that all of them are equal to themselves.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Float(f32);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Double(f64);

impl PartialEq for Double {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrapper(Point);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point(u64, Unit, i32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

/// Integers of all lengths; a random one alone would almost always be long.
macro_rules! integers {
    ($type:ty) => {
        (any::<$type>(), 0..<$type>::BITS).prop_map(|(number, shift)| number >> shift)
    };
}

fn leaf() -> impl Strategy<Value = Tree> {
    let floats = (any::<u32>(), any::<u64>())
        .prop_map(|(a, b)| Tree::Float(Float(f32::from_bits(a)), Double(f64::from_bits(b))));
    prop_oneof![
        Just(Tree::Nothing),
        any::<bool>().prop_map(Tree::Flag),
        (any::<u8>(), integers!(u16), integers!(u32), integers!(u64), integers!(u128))
            .prop_map(|(a, b, c, d, e)| Tree::Unsigned(a, b, c, d, e)),
        (any::<i8>(), integers!(i16), integers!(i32), integers!(i64), integers!(i128))
            .prop_map(|(a, b, c, d, e)| Tree::Signed { a, b, c, d, e }),
        floats,
        any::<char>().prop_map(Tree::Letter),
        any::<String>().prop_map(Tree::Text),
        prop::collection::vec(any::<u8>(), 0..600).prop_map(|bytes| Tree::Bytes(bytes.into())),
        (integers!(u64), integers!(i32)).prop_map(|(a, b)| Tree::Wrapped(Wrapper(Point(a, Unit, b)))),
        prop_oneof![integers!(u32).prop_map(Ok), any::<String>().prop_map(Err)].prop_map(Tree::Outcome),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    leaf().prop_recursive(4, 48, 6, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let named = (any::<Option<String>>(), boxed.clone(), any::<[u16; 3]>())
            .prop_map(|(name, inside, array)| Tree::Named { name, unit: (), inside, array });
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
            prop::collection::btree_map(integers!(u16), inner, 0..6).prop_map(Tree::Map),
            named,
            prop::option::of(prop::option::of(boxed)).prop_map(Tree::Maybe),
        ]
    })
}

/// Returns what bincode reads from all of `bytes`.
fn by_bincode<T: WireType>(bytes: &[u8]) -> Option<T> {
    let (value, length) = decode_from_slice(bytes, standard().with_limit::<{ 1 << 24 }>()).ok()?;
    (length == bytes.len()).then_some(value)
}

fn by_us<T: WireType>(bytes: &[u8]) -> Option<T> {
    decode(bytes, Encoding::Bincode, &DecodeLimits::default()).ok()
}

/// Checks that both read the same from `bytes`, or both nothing.
#[track_caller]
fn read_alike<T: WireType + PartialEq + Debug>(bytes: &[u8]) {
    assert_eq!(by_us::<T>(bytes), by_bincode::<T>(bytes), "{bytes:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn values_have_the_bytes_of_bincode(tree in tree(), before in 0..300_usize) {
        let expected = encode_to_vec(&tree, standard()).expect("bincode encodes it");
        let mut bytes = vec![7; before];
        prop_assert_eq!(encode(&tree, Encoding::Bincode, expected.len(), &mut bytes), Ok(()));
        prop_assert_eq!(&bytes[before..], &expected);
        prop_assert!(encode(&tree, Encoding::Bincode, expected.len() - 1, &mut bytes).is_err());
        prop_assert_eq!(bytes.len(), before + expected.len());
        prop_assert_eq!(by_us(&expected), Some(tree));
    }

    #[test]
    fn damaged_values_are_read_as_bincode_reads_them(
        tree in tree(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
        is_cut in prop::bool::weighted(0.2),
        suffix in prop::collection::vec(any::<u8>(), 0..2),
    ) {
        let mut bytes = encode_to_vec(&tree, standard()).expect("bincode encodes it");
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if is_cut {
            bytes.truncate(length.index(bytes.len()));
        }
        bytes.extend(suffix);
        read_alike::<Tree>(&bytes);
    }

    #[test]
    fn random_bytes_are_read_as_bincode_reads_them(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        read_alike::<Tree>(&bytes);
        read_alike::<(u16, Option<i64>, char)>(&bytes);
        read_alike::<Vec<(u8, Result<bool, i128>)>>(&bytes);
        read_alike::<(String, Blob)>(&bytes);
    }
}

/// Checks all first bytes before up to 17 others.
#[test]
fn every_first_byte_is_read_as_bincode_reads_it() {
    for first in 0..=255 {
        for length in 0..=17 {
            for other in [0, 1, 0x80, 0xa0, 0xbf, 0xff] {
                let bytes = [vec![first], vec![other; length]].concat();
                read_alike::<bool>(&bytes);
                read_alike::<char>(&bytes);
                read_alike::<Option<()>>(&bytes);
                read_alike::<(u8, i8)>(&bytes);
                read_alike::<u16>(&bytes);
                read_alike::<i16>(&bytes);
                read_alike::<u32>(&bytes);
                read_alike::<i32>(&bytes);
                read_alike::<u64>(&bytes);
                read_alike::<i64>(&bytes);
                read_alike::<u128>(&bytes);
                read_alike::<i128>(&bytes);
                read_alike::<String>(&bytes);
                read_alike::<Bytes>(&bytes);
                read_alike::<Result<(), ()>>(&bytes);
            }
        }
    }
}

#[test]
fn integers_at_the_ends_of_each_length_have_the_bytes_of_bincode() {
    fn check<T: WireType + PartialEq + Debug>(value: T) {
        let expected = encode_to_vec(&value, standard()).expect("bincode encodes it");
        let mut bytes = Vec::new();
        assert_eq!(encode(&value, Encoding::Bincode, 17, &mut bytes), Ok(()));
        assert_eq!(bytes, expected, "{value:?}");
        assert_eq!(by_us(&bytes), Some(value));
    }
    for bits in [0, 7, 8, 15, 16, 31, 32, 63, 64, 126] {
        for offset in -6..=6 {
            let number = (1_i128 << bits) + offset;
            for number in [number, -number] {
                check(number as u16);
                check(number as u32);
                check(number as u64);
                check(number as u128);
                check(number as i16);
                check(number as i32);
                check(number as i64);
                check(number);
            }
        }
    }
    for number in [i128::MIN, i128::MAX] {
        check(number);
        check(number as u128);
    }
}

#[test]
fn integers_that_are_longer_than_necessary_are_read() {
    assert_eq!(by_us(&[251, 7, 0]), Some(7_u64));
    assert_eq!(by_us(&[253, 7, 0, 0, 0, 0, 0, 0, 0]), Some(7_u64));
    assert_eq!(by_us::<u32>(&[253, 7, 0, 0, 0, 0, 0, 0, 0]), None);
}

/// Returns the path and the problem of reading `bytes` as a `T`.
fn fault<T: WireType + Debug>(bytes: &[u8]) -> (String, String) {
    let error = decode::<T>(bytes, Encoding::Bincode, &DecodeLimits::default()).expect_err("it is refused");
    (error.path, error.problem)
}

#[test]
fn an_error_says_what_is_wrong_and_where() {
    for (actual, path, problem) in [
        (fault::<(u8, bool)>(&[1, 2]), "[1]", "the byte 2 is neither true nor false"),
        (fault::<Vec<char>>(&[2, b'a', 0x80]), "[1]", "bytes that are not a character"),
        (fault::<(u8, (String,))>(&[1, 1, 0xff]), "[1][0]", "text that is not UTF-8"),
        (fault::<[u16; 2]>(&[1, 252, 0, 0, 0, 0]), "[1]", "an integer that is too large for its type"),
        (fault::<(u8, Option<u8>)>(&[1, 3]), "[1]", "there is no variant 3"),
        (fault::<u8>(&[1, 2, 3]), "", "2 bytes are left over after the value"),
        (fault::<(u8, Result<u8, u8>)>(&[1, 2]), "[1]", "invalid value: integer `2`, expected `Ok` or `Err`"),
        (
            fault::<serde_json::Value>(&[1]),
            "",
            "the type asks for a value of any type, which the compact encoding does not describe",
        ),
    ] {
        assert_eq!(actual, (path.to_owned(), problem.to_owned()));
    }
}

#[test]
fn an_error_that_does_not_occur_again_is_an_error() {
    use std::cell::Cell;
    thread_local!(static ATTEMPTS: Cell<u8> = const { Cell::new(0) });

    #[derive(Debug, Serialize)]
    struct Fickle;
    impl<'de> Deserialize<'de> for Fickle {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            let attempts = ATTEMPTS.replace(ATTEMPTS.get() + 1);
            if attempts == 0 { Err(serde::de::Error::custom("not yet")) } else { Ok(Self) }
        }
    }

    let (path, problem) = fault::<Fickle>(&[]);
    assert!(path.is_empty() && problem.contains("read again"), "{problem}");
    assert!(by_us::<Fickle>(&[]).is_some());
}

#[test]
fn fields_that_are_left_out_and_unknown_lengths_are_refused() {
    #[derive(Serialize)]
    struct Skips {
        #[serde(skip_serializing_if = "Option::is_none")]
        first: Option<u8>,
        second: u8,
    }
    struct Stream;
    impl Serialize for Stream {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..9).filter(|number| number % 2 == 0))
        }
    }

    let mut bytes = Vec::new();
    let problem =
        |encoded: Result<(), crate::codec::EncodeError>| encoded.expect_err("it is refused").to_string();
    let skips = encode(&Skips { first: None, second: 2 }, Encoding::Bincode, 10, &mut bytes);
    assert!(problem(skips).contains("the field `first` is left out"));
    let stream = encode(&Stream, Encoding::Bincode, 10, &mut bytes);
    assert!(problem(stream).contains("a list of unknown length"));
    assert!(bytes.is_empty());
    assert_eq!(encode(&Skips { first: Some(1), second: 2 }, Encoding::Bincode, 10, &mut bytes), Ok(()));
    assert_eq!(bytes, [1, 1, 2]);
}
