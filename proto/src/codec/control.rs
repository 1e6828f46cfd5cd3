//! Control messages of the protocol, such as a hello or a catalogue: MessagePack with names, decoded under a budget like all
//! untrusted input.

use std::mem::size_of;

use rmp_serde::Deserializer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bounded::Bounded;
use super::budget::{Budget, DecodeLimits};

/// The maximum nesting of control messages. It exceeds that of any of them, because a later version's may nest deeper, and fits
/// every stack.
const NESTING: u32 = 16;

/// The maximum memory per byte of a control message. The densest is a list of names, of which an empty one has one byte and 24 in
/// memory.
const BYTES_PER_BYTE: usize = 16;

/// Encodes a control message, which never fails: names, texts, numbers and addresses.
pub(crate) fn to_bytes<T: Serialize>(words: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(words).expect("names, texts, numbers and addresses always encode")
}

/// Decodes a control message from all of `bytes`. Fields that this version does not know are skipped.
///
/// # Errors
/// The problem, as text.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let limits = DecodeLimits::of_control(bytes.len(), BYTES_PER_BYTE, NESTING);
    let budget = Budget::new(&limits, bytes.len());
    let mut source = Deserializer::from_read_ref(bytes);
    source.set_max_depth(NESTING as usize + 2);
    let words = T::deserialize(Bounded::<_, false>::new(&mut source, &budget, size_of::<T>()))
        .map_err(|error| error.to_string())?;
    match bool::deserialize(&mut source) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(words),
        _ => Err("bytes are left over".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Words {
        names: Vec<String>,
        number: u128,
        address: Option<std::net::SocketAddr>,
    }

    fn words() -> Words {
        let address = "[::1]:80".parse().expect("an address");
        Words { names: vec!["a".into(); 100], number: u128::MAX, address: Some(address) }
    }

    #[test]
    fn control_messages_decode_and_nothing_may_follow_them() {
        let mut bytes = to_bytes(&words());
        assert_eq!(from_bytes(&bytes), Ok(words()));
        bytes.push(0xc0);
        assert_eq!(from_bytes::<Words>(&bytes), Err("bytes are left over".to_owned()));
    }

    #[test]
    fn unknown_fields_are_passed_over_unless_they_nest_without_end() {
        #[derive(Serialize)]
        struct Later<T> {
            #[serde(flatten)]
            words: Words,
            new: T,
        }
        assert_eq!(from_bytes(&to_bytes(&Later { words: words(), new: [[[[1]]]] })), Ok(words()));
        let mut deep = to_bytes(&Later { words: words(), new: () });
        deep.pop();
        deep.extend([0x91; 1_000]);
        let error = from_bytes::<Words>(&deep).expect_err("it has no end");
        assert!(error.contains("depth") || error.contains("nested"), "{error}");
    }

    #[test]
    fn a_list_of_nothing_is_refused_before_it_is_large() {
        let bytes = [vec![0xdd, 0, 16, 0, 0], vec![0xa0; 1 << 20]].concat();
        let error = from_bytes::<Vec<String>>(&bytes).expect_err("24 MiB of empty texts");
        assert!(error.contains("memory"), "{error}");
    }
}
