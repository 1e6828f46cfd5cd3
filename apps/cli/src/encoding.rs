//! Text encodings of other programs: UTF-8 with a byte order mark, and UTF-16.

/// The byte order mark that some editors and PowerShell write before UTF-8.
const MARK: &str = "\u{feff}";

/// An error of bytes that are not text; the sentence continues after their name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodingError {
    /// There is no mark of UTF-16, and it is not UTF-8. Lines and bytes are counted from 1.
    #[error(
        "is not UTF-8: byte {position} of line {line} is {byte:#04x}; save it as UTF-8, or as UTF-16 with a byte order mark"
    )]
    Unknown {
        /// The line of the first wrong byte.
        line: usize,
        /// The position of the byte in its line.
        position: usize,
        /// The byte.
        byte: u8,
    },
    /// There is the mark of UTF-16, and the rest is not UTF-16.
    #[error("begins as UTF-16 and is not valid UTF-16 from byte {position} on; save it as UTF-8")]
    Utf16 {
        /// The position of the first wrong byte, counted from 1.
        position: usize,
    },
}

/// Decodes text: UTF-8, or UTF-16 where a byte order mark says so, as PowerShell writes it into files. The mark is
/// removed.
///
/// # Errors
/// [`EncodingError`].
pub(crate) fn decode(bytes: &[u8]) -> Result<String, EncodingError> {
    let text = match encoding(bytes) {
        Encoding::Utf8 => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(error) => return Err(unknown(bytes, error.valid_up_to())),
        },
        Encoding::Utf16(unit) => {
            let (units, rest) = bytes.as_chunks();
            let text = utf16(units.iter().copied().map(unit))?;
            if !rest.is_empty() {
                return Err(EncodingError::Utf16 { position: bytes.len() });
            }
            text
        }
    };
    Ok(without_mark(&text).to_owned())
}

/// Returns the error of bytes that are UTF-8 up to `end`.
fn unknown(bytes: &[u8], end: usize) -> EncodingError {
    let (before, byte) = (&bytes[..end], bytes[end]);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    EncodingError::Unknown { line, position: end - start + 1, byte }
}

fn utf16(units: impl Iterator<Item = u16>) -> Result<String, EncodingError> {
    let mut before = 0;
    let characters = char::decode_utf16(units).map(|character| {
        let character = character.map_err(|_| EncodingError::Utf16 { position: before * 2 + 1 })?;
        before += character.len_utf16();
        Ok(character)
    });
    characters.collect()
}

/// Returns the text without its byte order mark.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// Returns whether a text that begins with these bytes may have a mark of UTF-16.
pub(crate) fn may_have_utf16_mark(start: &[u8]) -> bool {
    matches!(start, [] | [0xff | 0xfe]) || matches!(encoding(start), Encoding::Utf16(_))
}

/// Returns whether a text that begins with these bytes is UTF-16: it has the mark and a zero byte, as every space and
/// line end of UTF-16 has one. The mark alone may begin bytes of any kind.
pub(crate) fn is_utf16(start: &[u8]) -> bool {
    matches!(encoding(start), Encoding::Utf16(_)) && start.contains(&0)
}

enum Encoding {
    Utf8,
    /// With the order of the two bytes of a unit.
    Utf16(fn([u8; 2]) -> u16),
}

fn encoding(start: &[u8]) -> Encoding {
    match start {
        [0xff, 0xfe, ..] => Encoding::Utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => Encoding::Utf16(u16::from_be_bytes),
        _ => Encoding::Utf8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_is_read_however_it_is_written() {
        let text = "{\"city\": \"Zürich\"}\n→\n";
        let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("{MARK}{text}").encode_utf16().flat_map(order).collect()
        };
        for bytes in [
            text.as_bytes().to_vec(),
            format!("{MARK}{text}").into_bytes(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
        ] {
            assert_eq!(decode(&bytes), Ok(text.to_owned()), "{bytes:?}");
        }
    }

    #[test]
    fn only_the_mark_is_left_out() {
        assert_eq!(decode(b"a\rb\r\r\nc\n\r\n"), Ok("a\rb\r\r\nc\n\r\n".to_owned()));
        assert_eq!(decode("a\u{feff}b".as_bytes()), Ok("a\u{feff}b".to_owned()));
        assert_eq!(decode("\u{feff}\u{feff}".as_bytes()), Ok("\u{feff}".to_owned()));
        assert_eq!(decode(b""), Ok(String::new()));
    }

    #[test]
    fn what_is_no_text_says_where() {
        let unknown = |line, position, byte| Err(EncodingError::Unknown { line, position, byte });
        assert_eq!(decode(&[0xff]), unknown(1, 1, 0xff));
        assert_eq!(decode(b"a\xff\n"), unknown(1, 2, 0xff));
        assert_eq!(decode(b"one\r\n\nna\xefve"), unknown(3, 3, 0xef));
        // A truncated character is wrong at its beginning.
        assert_eq!(decode(b"\n\xe2\x82"), unknown(2, 1, 0xe2));
        assert_eq!(decode(&[0xff, 0xfe, b'a']), Err(EncodingError::Utf16 { position: 3 }));
        assert_eq!(decode(&[0xff, 0xfe, b'a', 0, 0x00, 0xd8]), Err(EncodingError::Utf16 { position: 5 }));
    }
}
