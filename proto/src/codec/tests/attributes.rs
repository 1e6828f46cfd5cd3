//! Tests of serde's attributes in bincode and in MessagePack.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{bytes_of, decode_default};
use crate::codec::{Encoding, WireType, encode_preferring, type_info};

/// Encodes and decodes `value` as two ends with this type would: in bincode if it is proven and this value allows it.
fn round_trip<T: WireType>(value: &T) -> (Encoding, T) {
    let preferred = match type_info::<T>().fingerprint() {
        Some(_) => Encoding::Bincode,
        None => Encoding::MessagePack,
    };
    let mut bytes = b"before".to_vec();
    let encoding_used = encode_preferring(value, preferred, 1 << 20, &mut bytes).expect("it encodes");
    assert!(bytes.starts_with(b"before"));
    (encoding_used, decode_default(&bytes[6..], encoding_used).expect("it decodes"))
}

fn assert_round_trip<T: WireType + PartialEq + Debug>(encoding: Encoding, value: T) {
    let (actual, decoded) = round_trip(&value);
    assert_eq!((actual, &decoded), (encoding, &value), "{:?}", type_info::<T>().unproven_reason());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Renamed {
    #[serde(rename = "type", alias = "kind")]
    category: String,
    #[serde(default)]
    count: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Volume {
    VeryLoud,
    #[serde(alias = "quiet")]
    NotLoud(u8),
}

#[test]
fn rename_alias_and_default_are_safe() {
    assert_round_trip(Encoding::Bincode, Renamed { category: "a".to_owned(), count: 1 });
    assert_round_trip(Encoding::Bincode, Volume::VeryLoud);
    assert_round_trip(Encoding::Bincode, Volume::NotLoud(3));
    let bytes = rmp_serde::to_vec(&HashMap::from([("kind", "b")])).expect("a map encodes");
    let read = decode_default::<Renamed>(&bytes, Encoding::MessagePack);
    assert_eq!(read, Ok(Renamed { category: "b".to_owned(), count: 0 }));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Skips {
    a: u8,
    #[serde(skip_serializing_if = "is_zero", default)]
    b: u8,
    c: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct SkipsLarge {
    a: u8,
    #[serde(skip_serializing_if = "is_99", default = "ninety_nine")]
    b: u8,
    c: u8,
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

fn is_99(number: &u8) -> bool {
    *number == 99
}

fn ninety_nine() -> u8 {
    99
}

#[test]
fn a_field_that_is_left_out_sends_the_value_as_message_pack() {
    // No probe is skipped here, so the type is considered safe, and the serialiser detects it.
    assert_round_trip(Encoding::Bincode, SkipsLarge { a: 1, b: 2, c: 3 });
    assert_round_trip(Encoding::MessagePack, SkipsLarge { a: 1, b: 99, c: 3 });
    assert!(type_info::<Skips>().unproven_reason().is_some_and(|reason| reason.contains("`b`")));
    assert_round_trip(Encoding::MessagePack, Skips { a: 1, b: 0, c: 3 });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    a: u8,
    #[serde(flatten)]
    rest: HashMap<String, u16>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    Point { x: f32, y: f32 },
    Cloud { points: Vec<(f32, f32)> },
    Empty,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    One(u8),
    Two { x: u8 },
    Three,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    Text(String),
    Both { n: u8, s: String },
}

#[test]
fn self_describing_types_are_sent_as_message_pack() {
    assert_round_trip(Encoding::MessagePack, Flat { a: 1, rest: HashMap::from([("b".to_owned(), 2)]) });
    assert_round_trip(Encoding::MessagePack, Tagged::Point { x: 0.5, y: -1.0 });
    assert_round_trip(Encoding::MessagePack, Tagged::Empty);
    assert_round_trip(Encoding::MessagePack, Untagged::Number(7));
    assert_round_trip(Encoding::MessagePack, Untagged::Text("seven".to_owned()));
    assert_round_trip(Encoding::MessagePack, Untagged::Both { n: 7, s: "seven".to_owned() });
    for value in [Adjacent::One(1), Adjacent::Two { x: 2 }, Adjacent::Three] {
        assert_eq!(round_trip(&value).1, value);
    }
}

#[test]
fn a_typed_message_may_have_more_values_than_an_untyped_one_though_serde_buffers_it() {
    let cloud = Tagged::Cloud { points: vec![(1.0, 2.0); 40_000] };
    assert_eq!(round_trip(&cloud).1, cloud);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Known {
    Red,
    Green,
    #[serde(other)]
    Other,
}

#[test]
fn an_unknown_variant_becomes_other() {
    assert_eq!(round_trip(&Known::Green).1, Known::Green);
    let bytes = bytes_of(&"Blue".to_owned(), Encoding::MessagePack);
    assert_eq!(decode_default(&bytes, Encoding::MessagePack), Ok(Known::Other));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct WithSeconds {
    #[serde(with = "seconds")]
    wait: Duration,
    #[serde(skip)]
    cache: Option<String>,
}

mod seconds {
    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(d: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(d.as_secs())
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
struct Percent(u16);

impl TryFrom<u16> for Percent {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, String> {
        if (1..=100).contains(&number) { Ok(Self(number)) } else { Err(format!("{number} is no percentage")) }
    }
}

impl From<Percent> for u16 {
    fn from(percent: Percent) -> u16 {
        percent.0
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Password(u32);

impl TryFrom<u32> for Password {
    type Error = &'static str;

    fn try_from(number: u32) -> Result<Self, &'static str> {
        if number == 123_456 { Ok(Self(number)) } else { Err("wrong") }
    }
}

impl From<Password> for u32 {
    fn from(password: Password) -> u32 {
        password.0
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nested {
    level: Percent,
    list: Vec<Percent>,
}

#[test]
fn with_skip_and_checks_are_safe_if_a_probe_passes() {
    assert_round_trip(Encoding::Bincode, WithSeconds { wait: Duration::from_secs(5), cache: None });
    assert_round_trip(Encoding::Bincode, Percent(50));
    assert_round_trip(Encoding::Bincode, Nested { level: Percent(1), list: vec![Percent(100)] });
    let reason = type_info::<Password>().unproven_reason().expect("no probe passes");
    assert!(reason.contains("refuses every value"), "{reason}");
    assert_round_trip(Encoding::MessagePack, Password(123_456));
}

#[test]
fn a_value_that_its_type_rejects_is_an_error_in_both_encodings() {
    for encoding in [Encoding::Bincode, Encoding::MessagePack] {
        let bytes = bytes_of(&(3_u16, vec![500_u16]), encoding);
        if encoding == Encoding::Bincode {
            let error = decode_default::<Nested>(&bytes, encoding).expect_err("500 is no percentage");
            assert_eq!(error.to_string(), "[1][0]: 500 is no percentage");
        }
        let error = decode_default::<Percent>(&bytes_of(&500_u16, encoding), encoding)
            .expect_err("500 is no percentage");
        assert_eq!(error.to_string(), "500 is no percentage");
    }
}

/// Reads a number and, depending on it, another value.
struct Version;

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (0_u8, 0_u8).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> serde::de::Visitor<'de> for Parts {
            type Value = Version;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a version")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut parts: A) -> Result<Version, A::Error> {
                match parts.next_element::<u8>()? {
                    Some(0) => parts.next_element::<u8>()?.map(drop),
                    _ => parts.next_element::<String>()?.map(drop),
                };
                Ok(Version)
            }
        }
        deserializer.deserialize_tuple(2, Parts)
    }
}

#[test]
fn a_type_whose_shape_depends_on_a_value_is_not_proven() {
    assert_eq!(type_info::<Version>().unproven_reason(), Some("it does not always read the same values"));
}
