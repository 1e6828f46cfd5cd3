//! NetworkZero's text functions.

use super::error::ZeroError;

/// Splits a typed line into its first word and the rest, as a shell does: quotes hold words together, and a backslash
/// takes the next character as it is.
///
/// # Errors
/// [`ZeroError::CommandLine`] if there is no word, or a quote is not closed.
///
/// ```
/// use meshzero::zero::action_and_params;
///
/// let (action, params) = action_and_params("GO 'far away' 3")?;
/// assert_eq!(action, "GO");
/// assert_eq!(params, ["far away", "3"]);
/// # Ok::<(), meshzero::zero::ZeroError>(())
/// ```
pub fn action_and_params(line: &str) -> Result<(String, Vec<String>), ZeroError> {
    let wrong = |problem| ZeroError::CommandLine { line: line.to_owned(), problem };
    let mut words = split(line).map_err(wrong)?.into_iter();
    let action = words.next().ok_or_else(|| wrong("it has no word"))?;
    Ok((action, words.collect()))
}

fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    // `Some("")` is a word that has begun, such as an empty pair of quotes.
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '\'' | '"' => quoted(character, &mut rest, word.get_or_insert_default())?,
            '\\' => {
                let escaped = rest.next().ok_or("nothing follows the last backslash")?;
                word.get_or_insert_default().push(escaped);
            }
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Takes the text before the closing quote. Within double quotes a backslash escapes a quote or a backslash.
fn quoted(quote: char, rest: &mut impl Iterator<Item = char>, word: &mut String) -> Result<(), &'static str> {
    const OPEN: &str = "a quote is not closed";
    loop {
        match rest.next().ok_or(OPEN)? {
            end if end == quote => return Ok(()),
            '\\' if quote == '"' => match rest.next().ok_or(OPEN)? {
                guarded @ ('"' | '\\') => word.push(guarded),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes bytes as text (base64, RFC 4648), for formats that hold only text. Messages and news can contain bytes as they are: see
/// [`Value::Bytes`](crate::Value::Bytes).
///
/// ```
/// use meshzero::zero::{bytes_to_string, string_to_bytes};
///
/// assert_eq!(bytes_to_string(b"\x00\xff!"), "AP8h");
/// assert_eq!(string_to_bytes("AP8h")?, b"\x00\xff!");
/// # Ok::<(), meshzero::zero::ZeroError>(())
/// ```
pub fn bytes_to_string(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, place| bits << 8 | u32::from(*chunk.get(place).unwrap_or(&0)));
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { letter.into() } else { '=' });
        }
    }
    text
}

/// Decodes the text that [`bytes_to_string`] returns. Ignores spaces and line breaks.
///
/// # Errors
/// [`ZeroError::Base64`], with the position, if the text is not base64.
pub fn string_to_bytes(text: &str) -> Result<Vec<u8>, ZeroError> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0u32;
    let mut letters = 0usize;
    let mut padding = 0usize;
    for (position, letter) in text.bytes().enumerate().filter(|(_, letter)| !letter.is_ascii_whitespace()) {
        let wrong = Err(ZeroError::Base64 { position });
        if letter == b'=' {
            padding += 1;
            continue;
        }
        let Some(six) = ALPHABET.iter().position(|known| *known == letter) else { return wrong };
        if padding > 0 {
            return wrong;
        }
        bits = bits << 6 | six as u32;
        letters += 1;
        if letters.is_multiple_of(4) {
            bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
        }
    }
    let whole = match (letters % 4, padding) {
        (0, 0) => 0,
        (2, 2) => 1,
        (3, 1) => 2,
        _ => return Err(ZeroError::Base64 { position: text.len() }),
    };
    let last = bits << (6 * (4 - letters % 4) % 24);
    bytes.extend_from_slice(&last.to_be_bytes()[1..1 + whole]);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_a_shell_does() {
        for (line, words) in [
            ("go", vec!["go"]),
            ("  go  far\taway ", vec!["go", "far", "away"]),
            ("say 'it is \"fine\"' \"it's \\\"fine\\\"\"", vec!["say", "it is \"fine\"", "it's \"fine\""]),
            ("put a\\ b '' c", vec!["put", "a b", "", "c"]),
            ("join'ed 'words\"!\"", vec!["joined words!"]),
            ("größe '温 度'", vec!["größe", "温 度"]),
        ] {
            let (action, params) = action_and_params(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(
                (action.as_str(), params),
                (words[0], words[1..].iter().map(|w| w.to_string()).collect())
            );
        }
        for line in ["", "   ", "go 'far", "go \"far", "go \\"] {
            assert!(action_and_params(line).is_err(), "{line}");
        }
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(bytes_to_string(bytes.as_bytes()), text);
            assert_eq!(string_to_bytes(text).expect(text), bytes.as_bytes());
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(string_to_bytes(&bytes_to_string(&all)).expect("it is base64"), all);
        assert_eq!(string_to_bytes("Zm9v\r\nYg==\n").expect("lines are fine"), b"foob");
    }

    #[test]
    fn what_is_no_base64_says_where() {
        for (text, at) in
            [("Zm9!", 3), ("Z", 1), ("Zg=", 3), ("Zg===", 5), ("Zg==Zg==", 4), ("=", 1), ("ü", 0)]
        {
            match string_to_bytes(text) {
                Err(ZeroError::Base64 { position }) => assert_eq!(position, at, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
