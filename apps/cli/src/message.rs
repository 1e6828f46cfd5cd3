//! Messages on the command line and on standard input: JSON, or text.

use meshzero::Value;

use crate::encoding::without_mark;

/// The format of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageFormat {
    /// JSON if it parses, else text.
    JsonOrText,
    /// Text, even if it looks like JSON.
    Text,
}

impl MessageFormat {
    /// Returns the format for an option such as `--text`.
    pub(crate) fn chosen(text: bool) -> Self {
        if text { Self::Text } else { Self::JsonOrText }
    }
}

/// An error of a message that is not valid JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be read as JSON: {problem}; --text takes it as text")]
pub(crate) struct InvalidMessage {
    problem: String,
}

/// Parses a message. A byte order mark before JSON is skipped.
///
/// # Errors
/// [`InvalidMessage`]: it begins with a brace, a bracket or a quote and is not JSON, or has a number that would lose
/// digits.
pub(crate) fn parse(text: &str, message_format: MessageFormat) -> Result<Value, InvalidMessage> {
    if message_format == MessageFormat::Text {
        return Ok(Value::from(text));
    }
    let text = without_mark(text);
    match Value::from_json(text) {
        Ok(parse) => Ok(parse),
        Err(error) if is_meant_as_json(text.trim()) => Err(InvalidMessage { problem: error.to_string() }),
        Err(_) => Ok(Value::from(text)),
    }
}

/// Returns whether a text is most likely meant as JSON.
fn is_meant_as_json(text: &str) -> bool {
    text.starts_with(['{', '[', '"']) || is_number(text)
}

/// Returns whether a text is a number in JSON, however large. `007` and `+49` are not.
fn is_number(text: &str) -> bool {
    fn digits(text: &str) -> Option<&str> {
        let rest = text.trim_start_matches(|character: char| character.is_ascii_digit());
        (rest.len() < text.len()).then_some(rest)
    }

    fn read(text: &str) -> Option<&str> {
        let text = text.strip_prefix('-').unwrap_or(text);
        let mut rest = text.strip_prefix('0').or_else(|| digits(text))?;
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = digits(fraction)?;
        }
        if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
            rest = digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))?;
        }
        Some(rest)
    }

    read(text) == Some("")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EITHER: MessageFormat = MessageFormat::JsonOrText;

    #[test]
    fn what_is_json_is_that_and_anything_else_is_text() {
        assert_eq!(parse(" [1, 2.5]\n", EITHER), Ok(Value::list([Value::from(1), Value::from(2.5)])));
        for text in ["hello", "", "-", "{}{", "007", "+49 30 1234", "1.2.3", "-x", "nul", ".5", "1.", "1e"] {
            if text != "{}{" {
                assert_eq!(parse(text, EITHER), Ok(Value::from(text)), "{text}");
            }
            assert_eq!(parse(text, MessageFormat::Text), Ok(Value::from(text)), "{text}");
        }
        assert_eq!(parse("-9223372036854775808", EITHER), Ok(Value::from(i64::MIN)));
        assert_eq!(parse("18446744073709551615", EITHER), Ok(Value::from(u64::MAX)));
        assert_eq!(parse("1e300", EITHER), Ok(Value::from(1e300)));
    }

    #[test]
    fn broken_json_and_numbers_that_lose_digits_are_refused() {
        for text in [
            "{\"a\": 1",
            "{}{",
            "[1, 2",
            "\"open",
            "  [INFO] started",
            "\u{feff}{\"a\"",
            "18446744073709551616",
            "-9223372036854775809",
            "[{\"id\": 123456789012345678901234567890}]",
            "1e400",
        ] {
            let error = parse(text, EITHER).expect_err(text).to_string();
            assert!(error.contains("--text") && error.contains("column"), "{text}: {error}");
            assert_eq!(parse(text, MessageFormat::Text), Ok(Value::from(text)));
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(parse("\u{feff}[1]", EITHER), Ok(Value::list([1])));
        assert_eq!(parse("\u{feff}hello", EITHER), Ok(Value::from("hello")));
    }
}
