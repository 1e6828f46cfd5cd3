//! Text as other programs write it: with a byte order mark, in UTF-16, with the line ends of Windows.

use std::string::FromUtf16Error;

/// What stands before UTF-8 that some editors write, and PowerShell.
const MARK: &str = "\u{feff}";

/// The reason why bytes are not text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoText {
    /// There is no mark of UTF-16, and it is not UTF-8.
    #[error("it is not UTF-8")]
    Unknown,
    /// It has the mark of UTF-16, and is not that.
    #[error("it begins as UTF-16 and is not valid UTF-16")]
    Utf16,
}

/// The text in these bytes: UTF-8, or UTF-16 where a byte order mark says so, as in what PowerShell writes into a file. The
/// mark is no part of it, and each line ends as on Unix, whichever system wrote it.
///
/// # Errors
/// [`NoText`].
pub(crate) fn read(bytes: &[u8]) -> Result<String, NoText> {
    let text = match encoding(bytes) {
        Encoding::Utf8 => String::from_utf8(bytes.to_vec()).map_err(|_| NoText::Unknown)?,
        Encoding::Utf16(unit) => {
            let (units, rest) = bytes.as_chunks();
            if !rest.is_empty() {
                return Err(NoText::Utf16);
            }
            let units: Vec<u16> = units.iter().copied().map(unit).collect();
            String::from_utf16(&units).map_err(|FromUtf16Error { .. }| NoText::Utf16)?
        }
    };
    let text = without_mark(&text);
    Ok(if text.contains('\r') { text.replace("\r\n", "\n") } else { text.to_owned() })
}

/// The text behind the byte order mark, if there is one.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// Returns whether a text that begins with these bytes may have a mark of UTF-16.
pub(crate) fn may_have_utf16_mark(start: &[u8]) -> bool {
    matches!(start, [] | [0xff | 0xfe]) || matches!(encoding(start), Encoding::Utf16(_))
}

/// Returns whether a text that begins with these bytes is UTF-16: it has the mark, and a half that is zero, as every space and line
/// end of UTF-16 has one. The mark alone may stand in bytes of any kind.
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
        let windows = text.replace('\n', "\r\n");
        let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("{MARK}{windows}").encode_utf16().flat_map(order).collect()
        };
        for bytes in [
            text.as_bytes().to_vec(),
            windows.as_bytes().to_vec(),
            format!("{MARK}{text}").into_bytes(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
        ] {
            assert_eq!(read(&bytes), Ok(text.to_owned()), "{bytes:?}");
        }
    }

    #[test]
    fn only_the_mark_and_the_ends_of_lines_are_left_out() {
        assert_eq!(read(b"a\rb\r\r\nc"), Ok("a\rb\r\nc".to_owned()));
        assert_eq!(read("a\u{feff}b".as_bytes()), Ok("a\u{feff}b".to_owned()));
        assert_eq!(read("\u{feff}\u{feff}".as_bytes()), Ok("\u{feff}".to_owned()));
        assert_eq!(read(b""), Ok(String::new()));
    }

    #[test]
    fn what_is_no_text_is_an_error() {
        assert_eq!(read(&[b'a', 0xff]), Err(NoText::Unknown));
        assert_eq!(read(&[0xff, 0xfe, b'a']), Err(NoText::Utf16));
        assert_eq!(read(&[0xff, 0xfe, 0x00, 0xd8]), Err(NoText::Utf16));
    }
}
