//! Tests of 128-bit integers, and of other values that serde buffers in a form of its own before it knows the type, in every
//! shape.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::num::{NonZeroI128, NonZeroU128};

use serde::{Deserialize, Serialize};

use super::decode_default;
use crate::codec::{EncodeError, Encoding, WireType, encode_preferring, type_info};

const BIG: u128 = u128::from_be_bytes(*b"this could be te");
const LOW: i128 = i128::MIN + 5;

/// Checks that `value` is decoded as it was encoded, in each encoding that its type permits.
fn assert_round_trip<T: WireType + PartialEq + Debug>(value: T) {
    let preferred = match type_info::<T>().fingerprint() {
        Some(_) => vec![Encoding::Bincode, Encoding::MessagePack],
        None => vec![Encoding::MessagePack],
    };
    for preferred in preferred {
        let mut bytes = Vec::new();
        let encoding = encode_preferring(&value, preferred, 1 << 20, &mut bytes).expect("it encodes");
        assert_eq!(decode_default::<T>(&bytes, encoding).as_ref(), Ok(&value), "{preferred:?}");
    }
}

/// Checks that the sender refuses a value, with the part at `path`.
fn assert_refused<T: WireType>(value: T, path: &str) {
    assert_refused_as("128-bit", value, path);
}

fn assert_refused_as<T: WireType>(reason: &str, value: T, path: &str) {
    let mut bytes = b"before".to_vec();
    let result = encode_preferring(&value, Encoding::MessagePack, 1 << 20, &mut bytes);
    assert_eq!(bytes, b"before");
    match result {
        Err(EncodeError::Refused { problem }) => {
            assert!(problem.contains(path) && problem.contains(reason), "{problem}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(type_info::<T>().fingerprint(), None, "as bincode it would not be checked");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Unit,
    Small(u64),
    Wide(u128),
    Negative(i128),
    Text(String),
    Bytes(crate::codec::Blob),
    Pair { wide: u128, float: f32 },
    Letter { c: char },
    List(Vec<Option<u128>>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
enum Internally {
    Unit,
    Fields { id: u128 },
    Plain { float: f32, c: char, text: String, none: Option<u8>, unit: (), bytes: crate::codec::Blob },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacently {
    Wide(u128),
    Fields { id: i128 },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    id: u128,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flattened {
    name: String,
    own: u128,
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct NextToFlattened {
    own: u128,
    #[serde(flatten)]
    others: BTreeMap<String, u64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Newtype(u128);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Plain {
    Wide(u128),
    Fields { id: i128 },
    Tuple(u128, i128),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Holder {
    robots: Vec<Untagged>,
}

#[test]
fn integers_of_128_bits_are_sent_if_their_type_is_known() {
    for value in [0, 1, u128::from(u64::MAX) + 1, BIG, u128::MAX] {
        assert_round_trip(value);
        assert_round_trip(value as i128);
        assert_round_trip(Newtype(value));
        assert_round_trip(Some(value));
        assert_round_trip(vec![value; 3]);
        assert_round_trip((value, value as i128));
        assert_round_trip(HashMap::from([(7_u8, value), (9, 1)]));
        assert_round_trip(BTreeMap::from([(value, 7_u8)]));
        assert_round_trip(BTreeMap::from([(value as i128, "x".to_owned())]));
        assert_round_trip(Plain::Wide(value));
        assert_round_trip(Plain::Fields { id: value as i128 });
        assert_round_trip(Plain::Tuple(value, LOW));
        assert_round_trip(Adjacently::Wide(value));
        assert_round_trip(Adjacently::Fields { id: LOW });
        assert_round_trip(NextToFlattened { own: value, others: BTreeMap::from([("a".to_owned(), 1)]) });
    }
    assert_round_trip(NonZeroU128::MIN);
    assert_round_trip(NonZeroI128::MIN);
}

#[test]
fn integers_of_128_bits_are_refused_if_serde_would_buffer_them() {
    assert_refused(Untagged::Wide(BIG), "the value");
    assert_refused(Untagged::Wide(1), "the value");
    assert_refused(Untagged::Negative(LOW), "the value");
    assert_refused(Untagged::Pair { wide: BIG, float: 0.5 }, "`wide`");
    assert_refused(Untagged::List(vec![None, Some(7)]), "`[1]`");
    assert_refused(Internally::Fields { id: BIG }, "`id`");
    assert_refused(Flattened { name: "x".to_owned(), own: 1, inner: Inner { id: BIG } }, "`");
    assert_refused(Holder { robots: vec![Untagged::Unit, Untagged::Wide(BIG)] }, "`robots[1]`");
    assert_refused(Some(Untagged::Wide(BIG)), "the value");
    assert_refused(BTreeMap::from([("a".to_owned(), Internally::Fields { id: 1 })]), "`a.id`");
}

#[test]
fn bytes_are_refused_if_they_would_become_text() {
    let text = || crate::codec::Blob::from(b"could be text".to_vec());
    assert_refused_as("bytes", Untagged::Bytes(text()), "the value");
    assert_refused_as(
        "bytes",
        Holder { robots: vec![Untagged::Unit, Untagged::Bytes(text())] },
        "`robots[1]`",
    );
    let long = crate::codec::Blob::from(vec![b'x'; 100_000]);
    assert_refused_as("bytes", Untagged::Bytes(long.clone()), "the value");
    // Values known to be bytes stay bytes, in the buffer and outside it.
    let mut bytes = Vec::new();
    let value = (1_u128, long, NextToFlattened { own: 7, others: BTreeMap::new() });
    let mut blobs = Vec::new();
    let encoded = crate::codec::detaching(&mut bytes, &mut blobs, |out| {
        encode_preferring(&value, Encoding::MessagePack, 1 << 20, out).map(drop)
    });
    assert_eq!((encoded, blobs.len()), (Ok(()), 1));
}

#[test]
fn other_values_buffered_by_serde_are_preserved() {
    assert_round_trip(Untagged::Unit);
    assert_round_trip(Untagged::Small(u64::MAX));
    assert_round_trip(Untagged::Text("text".to_owned()));
    assert_round_trip(Untagged::Letter { c: 'é' });
    assert_round_trip(Untagged::Bytes(b"\xff\xfe of sixteen!!!".to_vec().into()));
    assert_round_trip(Internally::Unit);
    assert_round_trip(Internally::Plain {
        float: 0.1,
        c: 'x',
        text: String::new(),
        none: None,
        unit: (),
        bytes: b"just 16 of bytes".to_vec().into(),
    });
}

/// An unproven type that counts how often it is decoded.
#[derive(Debug, PartialEq, Serialize)]
#[serde(transparent)]
struct Reads<const EXACT: bool>(crate::codec::Blob);

thread_local! {
    static READS: Cell<usize> = const { Cell::new(0) };
}

struct AnyBytes;

impl<'de> serde::de::Visitor<'de> for AnyBytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

impl<'de, const EXACT: bool> Deserialize<'de> for Reads<EXACT> {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        READS.set(READS.get() + 1);
        source.deserialize_any(AnyBytes).map(|bytes| Self(bytes.into()))
    }
}

#[test]
fn only_a_type_that_may_decode_differently_is_decoded_as_a_check() {
    fn reads<const EXACT: bool>() -> usize {
        assert_eq!(type_info::<Reads<EXACT>>().fingerprint(), None);
        READS.set(0);
        let value = Reads::<EXACT>(vec![b'x'; 10_000].into());
        encode_preferring(&value, Encoding::MessagePack, 1 << 20, &mut Vec::new()).expect("it encodes");
        READS.get()
    }
    type_info::<Reads<true>>().declare_exact();
    assert_eq!((reads::<false>(), reads::<true>()), (1, 0));
}

#[test]
fn decoding_as_a_check_has_the_limits_of_the_message() {
    #[derive(Serialize, Deserialize)]
    struct Long {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        numbers: Vec<u128>,
    }
    assert_eq!(type_info::<Long>().fingerprint(), None);
    let long = Long { name: None, numbers: vec![BIG; (20 << 20) / 16] };
    encode_preferring(&long, Encoding::MessagePack, 64 << 20, &mut Vec::new()).expect("it encodes");
}
