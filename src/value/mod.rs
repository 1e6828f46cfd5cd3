//! Values without a Rust type, as the command line, Python and NetworkZero's verbs send them.

mod convert;
mod from;
mod json;
mod wire;

use std::ops::Index;

use actix::{Message, MessageResponse};

pub use self::convert::ConvertError;
pub use meshzero_proto::codec::Packed;

/// A value of any type that can be sent: null, a bool, a number, text, bytes, a list or a map.
///
/// A value is a message as well, and its reply is a value: an actor with a `Handler<Value>` can answer programs that do not share its
/// types. On the wire a value is plain MessagePack, so a value that has the fields of a typed message is that message.
/// [`of`](Value::of) and [`to`](Value::to) convert from and to any type that serde supports.
///
/// ```
/// use meshzero::value::Value;
///
/// let value = Value::map([("x", Value::from(1)), ("name", "arm".into())]);
/// assert_eq!(value["name"].as_str(), Some("arm"));
/// assert_eq!(value.to_string(), r#"{"x":1,"name":"arm"}"#);
/// ```
///
/// Read the content with `as_…`, which return `None` for another kind, and with `[…]`, which returns null for a missing key or index:
///
/// ```
/// # use meshzero::value::Value;
/// let robot = Value::from_json(r#"{"name": "arm", "at": [1, 2.5], "busy": false, "load": null}"#)?;
/// assert_eq!(robot["name"].as_str(), Some("arm"));
/// assert_eq!(robot["at"][0].as_i64(), Some(1));
/// assert_eq!(robot["at"][1].as_f64(), Some(2.5));
/// assert_eq!(robot["at"].as_list().map(<[Value]>::len), Some(2));
/// assert_eq!(robot["busy"].as_bool(), Some(false));
/// assert_eq!(robot["name"].as_u64(), None);
/// assert!(robot["no such key"]["at all"].is_null());
/// # Ok::<(), meshzero::value::ConvertError>(())
/// ```
///
/// An actor that takes values:
///
/// ```
/// use actix::{Actor, Context, Handler};
/// use meshzero::value::Value;
///
/// struct Echo;
///
/// impl Actor for Echo {
///     type Context = Context<Self>;
/// }
///
/// impl Handler<Value> for Echo {
///     type Result = Value;
///
///     fn handle(&mut self, message: Value, _: &mut Context<Self>) -> Value {
///         message
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Default, Message, MessageResponse)]
#[rtype(result = "Value")]
pub enum Value {
    /// Nothing; `nil` in MessagePack.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is too large for [`Int`](Value::Int); smaller ones never arrive as this.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes. In JSON, which has none, they are a list of numbers, which a field of bytes accepts as well.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Keys with their values, in the order of arrival. Keys are mostly text, but may be any value.
    Map(Vec<(Value, Value)>),
}

static NULL: Value = Value::Null;

impl Value {
    /// A list of `items`, each converted to a value.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// assert_eq!(Value::list([1, 2]).to_string(), "[1,2]");
    /// ```
    pub fn list<V: Into<Value>>(items: impl IntoIterator<Item = V>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// A map of `entries`, each converted, in their order. The values have one type; where they are of several kinds, convert each to a
    /// `Value`.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// let value = Value::map([("name", Value::from("arm")), ("speed", 0.5.into())]);
    /// assert_eq!(value["speed"].as_f64(), Some(0.5));
    /// ```
    pub fn map<K: Into<Value>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// Returns true for [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The bool, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The whole number, if it is one that fits. A [`Float`](Value::Float) is not one, whatever its value.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::UInt(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The whole number, if it is one that fits and is not negative. A [`Float`](Value::Float) is not one, whatever its value.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Int(value) => u64::try_from(*value).ok(),
            Value::UInt(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, whole or not; beyond 2⁵³ the nearest that fits.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::UInt(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes, or those of the text. Returns `None` for a list of numbers, which bytes become in JSON:
    /// [`to`](Value::to) reads that as well.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// assert_eq!(Value::from(b"\x00\xff").as_bytes(), Some(&b"\x00\xff"[..]));
    /// assert_eq!(Value::from("hi").as_bytes(), Some(&b"hi"[..]));
    /// assert_eq!(Value::list([0, 255]).as_bytes(), None);
    /// assert_eq!(Value::list([0, 255]).to::<Vec<u8>>()?, [0, 255]);
    /// # Ok::<(), meshzero::value::ConvertError>(())
    /// ```
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Text(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if it is a map.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// let value = Value::map([("x", 1), ("y", 2)]);
    /// for (key, value) in value.as_map().into_iter().flatten() {
    ///     println!("{key} is {value}");
    /// }
    /// ```
    pub fn as_map(&self) -> Option<&[(Value, Value)]> {
        match self {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry of the map with the text `key`. `value["key"]` is the same with null for a missing entry.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// let value = Value::map([("x", Value::Null)]);
    /// assert_eq!(value.get("x"), Some(&Value::Null));
    /// assert_eq!(value.get("y"), None);
    /// ```
    pub fn get(&self, key: &str) -> Option<&Value> {
        let entries = self.as_map()?;
        entries.iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }
}

impl Index<&str> for Value {
    type Output = Value;

    /// The entry of the map with `key`; null if there is none, or if this is not a map.
    fn index(&self, key: &str) -> &Value {
        self.get(key).unwrap_or(&NULL)
    }
}

impl Index<usize> for Value {
    type Output = Value;

    /// The item at `place` of the list; null if there is none, or if this is not a list.
    fn index(&self, place: usize) -> &Value {
        self.as_list().and_then(|items| items.get(place)).unwrap_or(&NULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    pub(super) fn mixed() -> Value {
        Value::map([
            ("nothing", Value::Null),
            ("yes", true.into()),
            ("count", (-3).into()),
            ("large", u64::MAX.into()),
            ("half", 0.5.into()),
            ("text", "a \"quoted\" line\n".into()),
            ("bytes", b"\x00\xff".into()),
            ("list", Value::list([1, 2])),
        ])
    }

    #[test]
    fn what_is_not_there_is_null() {
        assert!(mixed()["no such key"]["at all"][3].is_null());
        assert_eq!(mixed().get("no such key"), None);
    }
}
