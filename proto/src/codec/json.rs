//! JSON from strangers, which is what descriptions travel as, under the budget that stands before every format.

use std::mem::size_of;

use serde::de::DeserializeOwned;

use super::bounded::Bounded;
use super::budget::{Budget, DecodeLimits};

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

    #[test]
    fn json_that_is_many_times_as_large_in_memory_is_refused() {
        let maps = [&b"["[..], &br#"{"":0},"#.repeat(100_000), b"0]"].concat();
        let error = decode_json::<Value>(&maps).expect_err("66 MB from 700 KB");
        assert!(error.contains("memory"), "{error}");
        assert!(decode_json::<Value>(&b"[".repeat(100_000)).is_err());
        assert!(decode_json::<Value>(b"[1] 2").is_err());
    }
}
