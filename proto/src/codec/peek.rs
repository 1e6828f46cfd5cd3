//! The outermost structure of a MessagePack message, found without reading the rest.

/// Returns the bytes of a message that is a single byte string.
pub fn whole_bytes(message: &[u8]) -> Option<&[u8]> {
    let (marker, rest) = message.split_first()?;
    let (length, bytes) = match marker {
        0xc4 => {
            let (length, bytes) = rest.split_first()?;
            (usize::from(*length), bytes)
        }
        0xc5 => {
            let (length, bytes) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), bytes)
        }
        0xc6 => {
            let (length, bytes) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_be_bytes(*length)).ok()?, bytes)
        }
        _ => return None,
    };
    (bytes.len() == length).then_some(bytes)
}

/// Returns the key and the value of a map with one entry, whose key is a text of at most 255 bytes.
pub fn single_entry(message: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = match message {
        [0x81, length @ 0xa0..=0xbf, rest @ ..] => (length & 0x1f, rest),
        [0x81, 0xd9, length, rest @ ..] => (*length, rest),
        _ => return None,
    };
    let (key, value) = rest.split_at_checked(length.into())?;
    Some((std::str::from_utf8(key).ok()?, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::codec::{Blob, Encoding, encode};

    fn packed(value: &impl serde::Serialize) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, Encoding::MessagePack, 1 << 20, &mut out).expect("it is encoded");
        out
    }

    #[test]
    fn all_forms_of_bytes_are_recognized() {
        for length in [0, 1, 255, 256, 65_535, 65_536] {
            let bytes = vec![7; length];
            assert_eq!(whole_bytes(&packed(&Blob::from(bytes.clone()))), Some(&bytes[..]), "{length}");
        }
        assert_eq!(whole_bytes(&packed(&"text")), None);
        for truncated in [&[][..], &[0xc4], &[0xc4, 2, 1], &[0xc4, 1, 1, 1], &[0xc5, 1], &[0xc6, 0, 0, 0]] {
            assert_eq!(whole_bytes(truncated), None, "{truncated:?}");
        }
    }

    #[test]
    fn a_single_entry_is_split_into_key_and_value() {
        let long = "x".repeat(200);
        for key in ["Move", "", "größe", &long] {
            let message = packed(&json!({ key: [1, 2] }));
            assert_eq!(single_entry(&message), Some((key, &packed(&[1, 2])[..])));
        }
        for other in [json!({}), json!({ "a": 1, "b": 2 }), json!(["a", 1]), json!("a")] {
            assert_eq!(single_entry(&packed(&other)), None);
        }
        assert_eq!(single_entry(&[0x81, 0xa5, b'a']), None);
        assert_eq!(single_entry(&[0x81, 0xa1, 0xff, 1]), None);
    }
}
