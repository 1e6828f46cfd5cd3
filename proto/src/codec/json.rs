//! JSON, the format of descriptions and of messages in other protocols, decoded under the same budget as every format.

use std::mem::size_of;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bounded::Bounded;
use super::budget::{Budget, DecodeLimits};
use super::transcode::{KeyMode, MAX_KEY_LEVELS, Transcoded};

/// The maximum nesting, the same as serde_json's. A schema takes a few levels for each level of its type.
const MAX_NESTING: u32 = 127;

/// The maximum memory per byte. A schema such as `{"type":"null"}` is a map of one entry, which takes 50 times its length; a list
/// of maps with shorter keys is not a schema.
const BYTES_PER_BYTE: usize = 64;

/// Reads JSON from all of `bytes`.
///
/// # Errors
/// The problem and its position, as text.
pub(crate) fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let limits = DecodeLimits::for_control(bytes.len(), BYTES_PER_BYTE, MAX_NESTING);
    let budget = Budget::new(&limits, bytes.len());
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let read = T::deserialize(Bounded::new(&mut source, &budget, size_of::<T>()));
    read.and_then(|value| source.end().map(|()| value)).map_err(|error| error.to_string())
}

/// A message without a Rust type, as JSON. It is encoded as MessagePack, like any other message: maps keep the order of
/// their entries. Received values without a form in JSON are converted to the nearest: bytes become a list of numbers, keys that
/// are not text become their JSON, and numbers that are not finite become null.
///
/// ```
/// use meshzero_proto::codec::{DecodeLimits, Encoding, Json, decode, encode};
///
/// let (limits, mut bytes) = (DecodeLimits::default(), Vec::new());
/// encode(&Json::new(&br#"{"x": 1}"#[..], &limits), Encoding::MessagePack, 100, &mut bytes)?;
/// assert_eq!(bytes, b"\x81\xa1x\x01");
/// let json: Json = decode(&bytes, Encoding::MessagePack, &limits)?;
/// assert_eq!(&json.text()[..], br#"{"x":1}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Json {
    text: Bytes,
    limits: DecodeLimits,
}

impl Json {
    /// Creates a message from `text`. Encoding it fails if it is not JSON within `limits`.
    pub fn new(text: impl Into<Bytes>, limits: &DecodeLimits) -> Self {
        Self { text: text.into(), limits: *limits }
    }

    /// Returns the JSON.
    pub fn text(&self) -> &Bytes {
        &self.text
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let budget = Budget::new(&self.limits, self.text.len());
        let mut source = serde_json::Deserializer::from_slice(&self.text);
        let source_value = Bounded::new(&mut source, &budget, 0);
        let value = Transcoded::new(source_value, KeyMode::Any).serialize(serializer)?;
        source.end().map_err(S::Error::custom)?;
        Ok(value)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = serde_json::to_vec(&Transcoded::new(source, KeyMode::Text(MAX_KEY_LEVELS)))
            .map_err(D::Error::custom)?;
        Ok(Self::new(text, &DecodeLimits::default()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::codec::{Encoding, decode, encode, type_info};

    #[test]
    fn json_is_always_encoded_as_message_pack() {
        assert_eq!(type_info::<Json>().fingerprint(), None);
    }

    #[test]
    fn json_of_the_densest_valid_schemas_is_read() {
        let dense = json!(vec![json!({ "type": "null" }); 10_000]);
        assert_eq!(decode_json::<Value>(dense.to_string().as_bytes()), Ok(dense));
        let mixed = json!({ "a": [1, -1, 0.5, true, null, "text"], "b": { "c": {} }, "d": [] });
        assert_eq!(decode_json(mixed.to_string().as_bytes()), Ok(mixed));
    }

    fn to_msgpack(json: &str) -> Result<Vec<u8>, String> {
        let mut out = vec![7];
        let limits = DecodeLimits { bytes: 10_000, nesting: 8, values: 100, values_per_byte: 0 };
        let json = Json::new(json.to_owned(), &limits);
        let result = encode(&json, Encoding::MessagePack, 1_000, &mut out).map_err(|error| error.to_string());
        assert!(out[0] == 7 && (result.is_ok() || out.len() == 1), "{out:?}");
        result.map(|()| out.split_off(1))
    }

    fn to_json(bytes: &[u8]) -> Result<String, String> {
        let json: Json = decode(bytes, Encoding::MessagePack, &DecodeLimits::default())
            .map_err(|error| error.to_string())?;
        Ok(String::from_utf8(json.text().to_vec()).expect("JSON is text"))
    }

    #[test]
    fn messages_become_json_and_json_messages() {
        for text in [
            r#"{"b":[1,-1,0.5,18446744073709551615],"a":{"":null},"text":"\"é\"","yes":true}"#,
            "[]",
            "{}",
            "null",
            r#""GO""#,
            "-9223372036854775808",
        ] {
            let bytes = to_msgpack(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(to_json(&bytes).as_deref(), Ok(text));
        }
        assert_eq!(to_msgpack("[1, {\"a\": 2}]"), Ok(vec![0x92, 1, 0x81, 0xa1, b'a', 2]));
    }

    #[test]
    fn values_without_a_json_form_become_the_nearest() {
        assert_eq!(to_json(&[0xc4, 2, 0, 255]).as_deref(), Ok("[0,255]"));
        assert_eq!(
            to_json(&[0x83, 1, 2, 0x92, 1, 2, 3, 0xc0, 4]).as_deref(),
            Ok(r#"{"1":2,"[1,2]":3,"null":4}"#)
        );
        let not_a_number = [&[0xcb][..], &f64::NAN.to_be_bytes()].concat();
        assert_eq!(to_json(&not_a_number).as_deref(), Ok("null"));
    }

    #[test]
    fn keys_within_keys_do_not_double_at_every_level() {
        assert_eq!(to_json(&[0x81, 0x81, 0xa1, b'a', 1, 2]).as_deref(), Ok(r#"{"{\"a\":1}":2}"#));
        let deep = [&[0x81; 40][..], &[1], &[2; 40]].concat();
        assert!(to_json(&deep).expect_err("2^40 backslashes").contains("keys"));
    }

    #[test]
    fn invalid_or_excessive_frames_are_refused() {
        for text in
            ["", "[1", "[1] 2", "NaN", "\"\u{1}\"", &"[".repeat(9), &format!("[{}1]", "1,".repeat(100))]
        {
            assert!(to_msgpack(text).is_err(), "{text}");
        }
        assert!(to_msgpack(&format!("{:?}", "x".repeat(1_000))).expect_err("long").contains("1000 bytes"));
        for bytes in [&[][..], &[0xc1], &[0x92, 1], &[1, 2], &[0xdd, 0xff, 0xff, 0xff, 0xff, 1]] {
            assert!(to_json(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn json_that_is_many_times_as_large_in_memory_is_refused() {
        let maps = [&b"["[..], &br#"{"":0},"#.repeat(100_000), b"0]"].concat();
        let error = decode_json::<Value>(&maps).expect_err("66 MB from 700 KB");
        assert!(error.contains("memory"), "{error}");
        assert!(decode_json::<Value>(&b"[".repeat(100_000)).is_err());
        assert!(decode_json::<Value>(b"[1] 2").is_err());
    }
}
