//! Conversions between a value and JSON, as text and as `serde_json::Value`.

use std::fmt::{self, Write};

use super::{ConvertError, Value};

impl Value {
    /// Parses JSON, after a byte order mark if there is one.
    ///
    /// # Errors
    /// [`ConvertError`], with the position, if `text` is not JSON or has a whole number of more than 64 bits, which would lose digits as a
    /// [`Value::Float`].
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// assert_eq!(Value::from_json(r#"{"x": 1}"#)?, Value::map([("x", 1)]));
    /// assert!(Value::from_json("hello").is_err());
    /// assert!(Value::from_json("18446744073709551616").is_err());
    /// # Ok::<(), meshzero::value::ConvertError>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self, ConvertError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value = serde_json::from_str(text).map_err(|error| ConvertError(error.to_string()))?;
        match too_long_integer(text) {
            None => Ok(value),
            Some((integer, line, column)) => Err(ConvertError(format!(
                "the integer {integer} has more than 64 bits, at line {line} column {column}"
            ))),
        }
    }

    /// Parses JSON, or returns `text` itself if it is not JSON: for text that was typed at a prompt.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// assert_eq!(Value::from_text_or_json("[1, 2]"), Value::list([1, 2]));
    /// assert_eq!(Value::from_text_or_json("hello"), Value::from("hello"));
    /// ```
    pub fn from_text_or_json(text: &str) -> Self {
        Self::from_json(text).unwrap_or_else(|_| text.into())
    }

    /// Converts this value to JSON. Bytes become a list of numbers, keys that are not text become their JSON, and floats that JSON
    /// cannot express (not-a-number, infinity) become null.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// let value = Value::map([(Value::from(7), Value::from(b"\x01\xff"))]);
    /// assert_eq!(value.to_json().to_string(), r#"{"7":[1,255]}"#);
    /// ```
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::UInt(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::Bytes(bytes) => bytes.as_slice().into(),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|(key, value)| (key.to_json_key(KEYS_IN_KEYS), value.to_json())).collect()
            }
        }
    }

    /// The text of a key. Each level of keys within keys escapes the quotes of the one below it once more, which would double the text
    /// each time, so deep ones are left out.
    fn to_json_key(&self, levels: u8) -> String {
        match (self, levels.checked_sub(1)) {
            (Value::Text(text), _) => text.clone(),
            (other, Some(within)) => JsonText { value: other, levels: within }.to_string(),
            (_, None) => "…".to_owned(),
        }
    }
}

/// The first whole number in valid JSON that does not fit into 64 bits, with its line and column. serde_json makes floats of them.
fn too_long_integer(json: &str) -> Option<(&str, usize, usize)> {
    let (mut rest, mut is_text) = (json, false);
    while let Some(start) = rest.find(|c: char| c == '"' || (!is_text && (c == '-' || c.is_ascii_digit()))) {
        let at = json.len() - rest.len() + start;
        rest = &rest[start..];
        if rest.starts_with('"') {
            // Within a text, a quote stands behind an odd number of backslashes.
            let escapes = json[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
            is_text ^= !is_text || escapes % 2 == 0;
            rest = &rest[1..];
            continue;
        }
        let end = rest.find(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | 'E' | '0'..='9'));
        let (number, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        let is_whole = !number.contains(['.', 'e', 'E']);
        if is_whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
            let before = &json[..at];
            let line = before.rsplit('\n').next().unwrap_or(before);
            return Some((number, before.matches('\n').count() + 1, line.chars().count() + 1));
        }
    }
    None
}

/// The levels of keys within keys that are shown.
const KEYS_IN_KEYS: u8 = 2;

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Value::Int(value),
                (None, Some(value)) => Value::UInt(value),
                (None, None) => number.as_f64().map_or(Value::Null, Value::Float),
            },
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Array(items) => Value::list(items),
            serde_json::Value::Object(entries) => Value::map(entries),
        }
    }
}

/// Compact JSON, converted as by [`Value::to_json`], with the entries of maps in their own order.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        JsonText { value: self, levels: KEYS_IN_KEYS }.fmt(f)
    }
}

/// A value as JSON, with up to `levels` of keys within keys.
struct JsonText<'a> {
    value: &'a Value,
    levels: u8,
}

impl fmt::Display for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, levels } = *self;
        match value {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::UInt(value) => value.fmt(f),
            Value::Float(value) => serde_json::Value::from(*value).fmt(f),
            Value::Text(text) => write_text(f, text),
            Value::Bytes(bytes) => write_parts(f, '[', bytes, ']', |f, byte| byte.fmt(f)),
            Value::List(items) => {
                write_parts(f, '[', items, ']', |f, value| JsonText { value, levels }.fmt(f))
            }
            Value::Map(entries) => write_parts(f, '{', entries, '}', |f, (key, value)| {
                write_text(f, &key.to_json_key(levels))?;
                f.write_char(':')?;
                JsonText { value, levels }.fmt(f)
            }),
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

fn write_parts<T>(
    f: &mut fmt::Formatter<'_>,
    open: char,
    parts: &[T],
    close: char,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_char(open)?;
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            f.write_char(',')?;
        }
        write(f, part)?;
    }
    f.write_char(close)
}

#[cfg(test)]
mod tests {
    use super::super::tests::mixed;
    use super::*;

    #[test]
    fn keys_within_keys_do_not_double_at_every_level() {
        let nested = |levels| (0..levels).fold(Value::from(1), |key, _| Value::map([(key, Value::from(2))]));
        assert_eq!(nested(2).to_string(), r#"{"{\"1\":2}":2}"#);
        assert_eq!(nested(2).to_json().to_string(), r#"{"{\"1\":2}":2}"#);
        let deep = nested(60);
        assert!(deep.to_string().len() < 100 && deep.to_json().to_string().len() < 100, "{deep}");
        assert!(deep.to_string().contains('…'), "{deep}");
        assert_eq!(serde_json::to_string(&nested(1)).expect("it is JSON"), r#"{"1":2}"#);
    }

    #[test]
    fn whole_numbers_lose_no_digits() {
        for text in ["18446744073709551615", "-9223372036854775808", "[0, -0, 1e30, 1.5e300, 123456789.5]"] {
            assert!(Value::from_json(text).is_ok(), "{text}");
        }
        for text in [
            r#"{"18446744073709551616": "-9223372036854775809"}"#,
            r#"["\\\"123456789012345678901234567890", "\\\\", "123456789012345678901234567890"]"#,
        ] {
            assert_eq!(
                Value::from_json(text).expect(text).to_string(),
                text.replace(": ", ":").replace(", ", ",")
            );
        }
        for (text, place) in [
            ("18446744073709551616", "line 1 column 1"),
            ("-9223372036854775809", "line 1 column 1"),
            ("[1,\n {\"é\": 123456789012345678901234567890}]", "line 2 column 8"),
            (r#"["\\\\", 99999999999999999999]"#, "line 1 column 10"),
        ] {
            let error = Value::from_json(text).expect_err(text).to_string();
            assert!(error.contains("64 bits") && error.ends_with(place), "{error}");
            assert_eq!(Value::from_text_or_json(text), Value::from(text));
        }
        assert_eq!(Value::from_json("\u{feff}[1]"), Ok(Value::list([1])));
    }

    #[test]
    fn it_is_plain_json() {
        let text = r#"{"nothing":null,"yes":true,"count":-3,"large":18446744073709551615,"half":0.5,"text":"a \"quoted\" line\n","bytes":[0,255],"list":[1,2]}"#;
        assert_eq!(mixed().to_string(), text);
        assert_eq!(serde_json::to_string(&mixed()).expect("it is JSON"), text);
        let json: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
        assert_eq!(mixed().to_json(), json);
        assert_eq!(Value::from(json.clone()).to_json(), json);
        assert_eq!(Value::from_json(text).expect("it is JSON").to_string(), text);
    }
}
