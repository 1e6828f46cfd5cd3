//! Control messages of the protocol, such as a hello or a catalogue: MessagePack with names, decoded under a budget like all
//! untrusted input.

use std::mem::size_of;

use rmp_serde::Deserializer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bounded::Bounded;
use super::budget::{Budget, DecodeLimits};

/// The maximum nesting of control messages. It exceeds that of all of them, because those of a later version may be nested
/// deeper, and fits every stack.
const MAX_NESTING: u32 = 16;

/// The maximum memory per byte of a control message. The worst case is a list of names: an empty one is one byte on the wire,
/// and 24 bytes in memory.
const BYTES_PER_BYTE: usize = 16;

/// Encodes a control message, which never fails, since it has only names, texts, numbers and addresses.
pub(crate) fn to_bytes<T: Serialize>(message: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(message).expect("names, texts, numbers and addresses always encode")
}

/// Decodes a control message from all of `bytes`. Fields that this version does not know are skipped.
///
/// # Errors
/// The problem, as text.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let limits = DecodeLimits::for_control(bytes.len(), BYTES_PER_BYTE, MAX_NESTING);
    let budget = Budget::new(&limits, bytes.len());
    let mut source = Deserializer::from_read_ref(bytes);
    source.set_max_depth(MAX_NESTING as usize + 2);
    let message = T::deserialize(Bounded::new(&mut source, &budget, size_of::<T>()))
        .map_err(|error| error.to_string())?;
    match bool::deserialize(&mut source) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(message),
        _ => Err("bytes are left over".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Message {
        names: Vec<String>,
        number: u128,
        address: Option<std::net::SocketAddr>,
    }

    fn message() -> Message {
        let address = "[::1]:80".parse().expect("an address");
        Message { names: vec!["a".into(); 100], number: u128::MAX, address: Some(address) }
    }

    #[test]
    fn control_messages_decode_and_nothing_may_follow_them() {
        let mut bytes = to_bytes(&message());
        assert_eq!(from_bytes(&bytes), Ok(message()));
        bytes.push(0xc0);
        assert_eq!(from_bytes::<Message>(&bytes), Err("bytes are left over".to_owned()));
    }

    #[test]
    fn unknown_fields_are_skipped_unless_they_are_nested_too_deeply() {
        #[derive(Serialize)]
        struct Later<T> {
            #[serde(flatten)]
            message: Message,
            new: T,
        }
        assert_eq!(from_bytes(&to_bytes(&Later { message: message(), new: [[[[1]]]] })), Ok(message()));
        let mut deep = to_bytes(&Later { message: message(), new: () });
        deep.pop();
        deep.extend([0x91; 1_000]);
        let error = from_bytes::<Message>(&deep).expect_err("it has no end");
        assert!(error.contains("depth") || error.contains("nested"), "{error}");
    }

    #[test]
    fn a_list_of_empty_texts_is_refused_before_it_is_large() {
        let bytes = [vec![0xdd, 0, 16, 0, 0], vec![0xa0; 1 << 20]].concat();
        let error = from_bytes::<Vec<String>>(&bytes).expect_err("24 MiB of empty texts");
        assert!(error.contains("memory"), "{error}");
    }
}
