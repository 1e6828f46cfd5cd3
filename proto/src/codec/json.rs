//! JSON, which descriptions and the messages of other protocols travel as, under the budget that stands before every format.

use std::mem::size_of;

use serde::de::DeserializeOwned;

use super::bounded::Bounded;
use super::budget::{Budget, DecodeLimits};
use super::error::{DecodeError, EncodeError};
use super::msgpack;
use super::transcode::{Keys, Transcoded};

/// Each schema takes a few levels for one of its type. serde_json has the same bound.
const NESTING: u32 = 127;

/// Memory that a byte may turn into. A schema such as `{"type":"null"}` is a
/// map of one entry, which takes 50 times its length; a list of maps with shorter keys is none.
const BYTES_PER_BYTE: usize = 64;

/// Reads JSON that takes up all of `bytes`.
///
/// # Errors
/// What does not decode, and where, as text.
pub(crate) fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let limits = DecodeLimits::of_words(bytes.len(), BYTES_PER_BYTE, NESTING);
    let budget = Budget::new(&limits, bytes.len());
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let read = T::deserialize(Bounded::<_, true>::new(&mut source, &budget, size_of::<T>()));
    read.and_then(|value| source.end().map(|()| value)).map_err(|error| error.to_string())
}

/// Adds to `out` what `json` is as MessagePack, at most `max` bytes: maps keep the order of their entries.
///
/// # Errors
/// [`DecodeError`] says where it is no JSON, or more than `limits` allow; `out` is as it was then.
pub fn from_json(
    json: &[u8],
    limits: &DecodeLimits,
    max: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let budget = Budget::new(limits, json.len());
    let length = out.len();
    let mut source = serde_json::Deserializer::from_slice(json);
    let value = Transcoded::new(Bounded::<_, true>::new(&mut source, &budget, 0), Keys::Any);
    let written = msgpack::encode(&value, max, out).map_err(|error| match error {
        EncodeError::Refused { problem } => DecodeError::whole(problem),
        other => DecodeError::whole(other.to_string()),
    });
    written.and_then(|()| source.end().map_err(|error| DecodeError::whole(error.to_string()))).inspect_err(
        |_| {
            out.truncate(length);
        },
    )
}

/// What a message in MessagePack is as JSON. Bytes become a list of numbers, keys that are no text become their JSON, and what
/// JSON has no number for becomes null.
///
/// # Errors
/// [`DecodeError`] says why it is no such message, or more than `limits` allow.
pub fn to_json(bytes: &[u8], limits: &DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    let budget = Budget::new(limits, bytes.len());
    let mut source = msgpack::source(bytes, limits);
    let value = Transcoded::new(Bounded::<_, true>::new(&mut source, &budget, 0), Keys::Text);
    let json = serde_json::to_vec(&value).map_err(|error| DecodeError::whole(error.to_string()))?;
    if msgpack::is_at_end(&mut source) { Ok(json) } else { Err(DecodeError::whole(msgpack::LEFT_OVER)) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn honest_json_of_the_densest_schemas_is_read() {
        let dense = json!(vec![json!({ "type": "null" }); 10_000]);
        assert_eq!(decode_json::<Value>(dense.to_string().as_bytes()), Ok(dense));
        let mixed = json!({ "a": [1, -1, 0.5, true, null, "text"], "b": { "c": {} }, "d": [] });
        assert_eq!(decode_json(mixed.to_string().as_bytes()), Ok(mixed));
    }

    fn packed(json: &str) -> Result<Vec<u8>, String> {
        let mut out = vec![7];
        let limits = DecodeLimits { bytes: 10_000, nesting: 8, values: 100, values_per_byte: 0 };
        let done = from_json(json.as_bytes(), &limits, 1_000, &mut out).map_err(|error| error.to_string());
        assert!(out[0] == 7 && (done.is_ok() || out.len() == 1), "{out:?}");
        done.map(|()| out.split_off(1))
    }

    fn unpacked(bytes: &[u8]) -> Result<String, String> {
        let json = to_json(bytes, &DecodeLimits::default()).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(json).expect("JSON is text"))
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
            let bytes = packed(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(unpacked(&bytes).as_deref(), Ok(text));
        }
        assert_eq!(packed("[1, {\"a\": 2}]"), Ok(vec![0x92, 1, 0x81, 0xa1, b'a', 2]));
    }

    #[test]
    fn what_json_does_not_have_becomes_what_is_nearest() {
        assert_eq!(unpacked(&[0xc4, 2, 0, 255]).as_deref(), Ok("[0,255]"));
        assert_eq!(
            unpacked(&[0x83, 1, 2, 0x92, 1, 2, 3, 0xc0, 4]).as_deref(),
            Ok(r#"{"1":2,"[1,2]":3,"null":4}"#)
        );
        let not_a_number = [&[0xcb][..], &f64::NAN.to_be_bytes()].concat();
        assert_eq!(unpacked(&not_a_number).as_deref(), Ok("null"));
    }

    #[test]
    fn what_is_neither_or_too_much_is_refused() {
        for text in
            ["", "[1", "[1] 2", "NaN", "\"\u{1}\"", &"[".repeat(9), &format!("[{}1]", "1,".repeat(100))]
        {
            assert!(packed(text).is_err(), "{text}");
        }
        assert!(packed(&format!("{:?}", "x".repeat(1_000))).expect_err("long").contains("1000 bytes"));
        for bytes in [&[][..], &[0xc1], &[0x92, 1], &[1, 2], &[0xdd, 0xff, 0xff, 0xff, 0xff, 1]] {
            assert!(unpacked(bytes).is_err(), "{bytes:?}");
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
