//! A value as JSON text and as `serde_json` has it, there and back.

use std::fmt::{self, Write};

use super::{ConvertError, Value};

impl Value {
    /// Reads JSON.
    ///
    /// # Errors
    /// [`ConvertError`] says where `text` is no JSON.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// assert_eq!(Value::from_json(r#"{"x": 1}"#)?, Value::map([("x", 1)]));
    /// assert!(Value::from_json("hello").is_err());
    /// # Ok::<(), meshzero::value::ConvertError>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self, ConvertError> {
        serde_json::from_str(text).map_err(|error| ConvertError(error.to_string()))
    }

    /// The JSON that `text` is, or else `text` itself: what somebody typed at a prompt.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// assert_eq!(Value::from_text_or_json("[1, 2]"), Value::list([1, 2]));
    /// assert_eq!(Value::from_text_or_json("hello"), Value::from("hello"));
    /// ```
    pub fn from_text_or_json(text: &str) -> Self {
        Self::from_json(text).unwrap_or_else(|_| text.into())
    }

    /// This value as JSON. Bytes become a list of numbers, keys that are no text become their JSON, and what JSON has
    /// no number for (not-a-number, infinity) becomes null.
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
                entries.iter().map(|(key, value)| (key.to_json_key(), value.to_json())).collect()
            }
        }
    }

    fn to_json_key(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

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

/// Compact JSON, as [`Value::to_json`] says, with the entries of maps in their own order.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => value.fmt(f),
            Value::Int(value) => value.fmt(f),
            Value::UInt(value) => value.fmt(f),
            Value::Float(value) => serde_json::Value::from(*value).fmt(f),
            Value::Text(text) => write_text(f, text),
            Value::Bytes(bytes) => write_parts(f, '[', bytes, ']', |f, byte| byte.fmt(f)),
            Value::List(items) => write_parts(f, '[', items, ']', |f, item| item.fmt(f)),
            Value::Map(entries) => write_parts(f, '{', entries, '}', |f, (key, value)| {
                write_text(f, &key.to_json_key())?;
                f.write_char(':')?;
                value.fmt(f)
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
