//! Messages without a Rust type, in MessagePack and in JSON: the values of `meshzero` with the feature `face`, and otherwise
//! those of serde_json, which reach the same code of meshzero.

#[cfg(feature = "face")]
use meshzero::Value;
use meshzero_proto::codec::{DecodeLimits, Encoding, decode, encode};
#[cfg(not(feature = "face"))]
use serde_json::Value;

use crate::memory;

/// Small, so that short inputs reach them.
const LIMITS: DecodeLimits = DecodeLimits { bytes: 64 << 10, nesting: 16, values: 1_000, values_per_byte: 0 };

const NAMED: Encoding = Encoding::MessagePack;

/// Reads `bytes` as MessagePack and as JSON, and encodes the result in both.
///
/// # Panics
/// If an invariant is broken.
pub fn run(bytes: &[u8]) {
    match memory::within(3 * LIMITS.bytes, || decode::<Value>(bytes, NAMED, &LIMITS)) {
        Ok(value) => {
            let json = value.to_string();
            from_json(&json).expect("a value is shown as JSON");
            let written = written(&value);
            let again: Value =
                decode(&written, NAMED, &DecodeLimits::default()).expect("it was encoded from this value");
            // By their bytes: NaN is not equal to itself.
            assert_eq!(self::written(&again), written);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(value) = from_json(text)
    {
        from_json(&value.to_string()).expect("a value is shown as JSON");
        let limits = DecodeLimits { nesting: 200, ..DecodeLimits::default() };
        let again: Value = decode(&written(&value), NAMED, &limits).expect("it was encoded from this value");
        assert_eq!(again, value, "JSON has nothing that is not equal to itself");
    }
}

#[cfg(feature = "face")]
fn from_json(text: &str) -> Option<Value> {
    Value::from_json(text).ok()
}

#[cfg(not(feature = "face"))]
fn from_json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn written(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(value, NAMED, usize::MAX, &mut bytes).expect("a value can be written");
    bytes
}

/// Values of every kind, in both formats.
pub fn seeds() -> Vec<Vec<u8>> {
    let all = r#"{"nothing":null,"yes":true,"count":-3,"large":18446744073709551615,"half":0.5,"text":"a\n","list":[1,[2,{}]]}"#;
    let value = from_json(all).expect("it is JSON");
    let bytes = [&[0x82, 7, 0xc4, 2, 1, 0xff][..], &[0xc0, 0xd5, 3, 1, 2]].concat();
    vec![all.as_bytes().to_vec(), written(&value), bytes, b"[[[[1e300]]]]".to_vec()]
}
