//! Messages without a Rust type: what the command line, Python and beginners send.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::ops::Index;

use actix::{Message, MessageResponse};
use meshzero_proto::codec::{self, DecodeLimits, Encoding};
use meshzero_proto::limits::Limits;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Anything that can be sent: null, a bool, a number, text, bytes, a list or a map.
///
/// A value is a message as well, and its reply is a value: an actor with a `Handler<Value>` can answer programs that do
/// not share its types. On the wire a value is plain MessagePack, so a value that has the fields of a typed message is
/// that message. With [`of`](Value::of) and [`to`](Value::to) it becomes any type that serde knows, and back.
///
/// ```
/// use meshzero::value::Value;
///
/// let value = Value::map([("x", Value::from(1)), ("name", "arm".into())]);
/// assert_eq!(value["name"].as_str(), Some("arm"));
/// assert_eq!(value.to_string(), r#"{"x":1,"name":"arm"}"#);
/// ```
///
/// What is inside is looked at with `as_…`, which say `None` of another kind, and with `[…]`, which gives null for what is
/// not there:
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
    /// A whole number that is too large for [`Int`](Value::Int); smaller ones never come as this.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes. In JSON, which has none, they are a list of numbers: a field of bytes takes that as well.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Keys with their values, in the order they came in. Keys are mostly text, but may be any value.
    Map(Vec<(Value, Value)>),
}

/// Why a value could not be converted: it names the field at fault, and what was expected there.
///
/// ```
/// use meshzero::value::Value;
///
/// let error = Value::from("fast").to::<f32>().expect_err("a text is no number");
/// assert_eq!(error.to_string(), r#"invalid type: string "fast", expected f32"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConvertError(String);

static NULL: Value = Value::Null;

impl Value {
    /// A list of whatever `items` become.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// assert_eq!(Value::list([1, 2]).to_string(), "[1,2]");
    /// ```
    pub fn list<V: Into<Value>>(items: impl IntoIterator<Item = V>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// A map of whatever `entries` become, in their order. The values have one type: where they are of several kinds, make
    /// each a `Value`.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// let value = Value::map([("name", Value::from("arm")), ("speed", 0.5.into())]);
    /// assert_eq!(value["speed"].as_f64(), Some(0.5));
    /// ```
    pub fn map<K: Into<Value>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// The value that `item` is on the wire: structs become maps with the names of their fields.
    ///
    /// # Errors
    /// [`ConvertError`] if the type's own `Serialize` fails, or nests deeper than a message may by default.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// #[derive(serde::Serialize)]
    /// struct Move { x: f32, fast: bool }
    ///
    /// let value = Value::of(&Move { x: 0.5, fast: true })?;
    /// assert_eq!(value.to_string(), r#"{"x":0.5,"fast":true}"#);
    /// # Ok::<(), meshzero::value::ConvertError>(())
    /// ```
    pub fn of<T: Serialize + ?Sized>(item: &T) -> Result<Self, ConvertError> {
        convert(item)
    }

    /// What this value is as a `T`, by the rules of a message that arrives for a handler of `T`.
    ///
    /// # Errors
    /// [`ConvertError`] names the field that does not fit.
    ///
    /// ```
    /// # use meshzero::value::Value;
    /// #[derive(serde::Deserialize)]
    /// struct Move { to: Vec<f32> }
    ///
    /// let value = Value::from_json(r#"{"to": [1, 2.5]}"#)?;
    /// assert_eq!(value.to::<Move>()?.to, [1.0, 2.5]);
    ///
    /// let error = Value::from_json(r#"{"to": [1, "far"]}"#)?.to::<Move>().err().expect("far is no number");
    /// assert_eq!(error.to_string(), r#"to[1]: invalid type: string "far", expected f32"#);
    /// # Ok::<(), meshzero::value::ConvertError>(())
    /// ```
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, ConvertError> {
        convert(self)
    }

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

    /// Whether this is [`Value::Null`].
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

    /// The whole number, if it is one that fits. A [`Float`](Value::Float) is none, whatever its value.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::UInt(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The whole number, if it is one that fits and is not negative. A [`Float`](Value::Float) is none, whatever its value.
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

    /// The bytes, or those of the text. A list of numbers, which bytes become in JSON, is none:
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

    /// What the map has under the text `key`. `value["key"]` is the same with null for what is not there.
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

/// Goes by way of the wire's own MessagePack, so that a conversion here and one at the other end agree.
fn convert<T: Serialize + ?Sized, U: DeserializeOwned>(item: &T) -> Result<U, ConvertError> {
    let limits = DecodeLimits {
        bytes: usize::MAX,
        nesting: Limits::default().nesting,
        values: usize::MAX,
        values_per_byte: 0,
    };
    let mut bytes = Vec::new();
    codec::encode(item, Encoding::MessagePack, usize::MAX, &mut bytes)
        .map_err(|error| ConvertError(error.to_string()))?;
    codec::decode(&bytes, Encoding::MessagePack, &limits).map_err(|error| ConvertError(error.to_string()))
}

impl Index<&str> for Value {
    type Output = Value;

    /// What the map has under `key`; null if it is not there, or if this is no map.
    fn index(&self, key: &str) -> &Value {
        self.get(key).unwrap_or(&NULL)
    }
}

impl Index<usize> for Value {
    type Output = Value;

    /// The item at `place` of the list; null if there is none, or if this is no list.
    fn index(&self, place: usize) -> &Value {
        self.as_list().and_then(|items| items.get(place)).unwrap_or(&NULL)
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

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::UInt(value) => serializer.serialize_u64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Longest list whose claimed length is believed before its items have come.
const MOST_BELIEVED: usize = 1_024;

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        Value::deserialize(inner)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        Value::deserialize(inner)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(bytes.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::with_capacity(list.size_hint().unwrap_or(0).min(MOST_BELIEVED));
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(0).min(MOST_BELIEVED));
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

macro_rules! from_numbers {
    ($($type:ty => $variant:ident)*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::$variant(value.into())
            }
        }
    )*};
}
from_numbers! { i8 => Int i16 => Int i32 => Int i64 => Int u8 => Int u16 => Int u32 => Int f32 => Float f64 => Float }

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Value::UInt(value), Value::Int)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        // No platform has a usize of more than 64 bits.
        (value as u64).into()
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<()> for Value {
    fn from((): ()) -> Self {
        Value::Null
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Value::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Value::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Bytes(bytes)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Value::List(items)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

impl<K: Into<Value>, V: Into<Value>> From<BTreeMap<K, V>> for Value {
    fn from(map: BTreeMap<K, V>) -> Self {
        Value::map(map)
    }
}

impl<K: Into<Value>, V: Into<Value>> From<HashMap<K, V>> for Value {
    fn from(map: HashMap<K, V>) -> Self {
        Value::map(map)
    }
}

impl<V: Into<Value>> FromIterator<V> for Value {
    fn from_iter<I: IntoIterator<Item = V>>(items: I) -> Self {
        Value::list(items)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Value {
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

    fn wire(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        codec::encode(value, Encoding::MessagePack, usize::MAX, &mut bytes).expect("a value encodes");
        bytes
    }

    #[test]
    fn every_kind_survives_the_wire() {
        let limits = DecodeLimits::untyped(&Limits::default());
        let back: Value = codec::decode(&wire(&mixed()), Encoding::MessagePack, &limits).expect("it decodes");
        assert_eq!(back, mixed());
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

    #[test]
    fn it_travels_as_message_pack_for_ever() {
        assert_eq!(codec::type_info::<Value>().fingerprint(), None);
    }

    #[test]
    fn it_becomes_a_type_and_back() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        enum Order {
            Stop,
            Move { to: [f32; 2], by: HashMap<u32, String> },
        }
        let order = Order::Move { to: [1.0, 2.0], by: HashMap::from([(7, "arm".to_owned())]) };
        let value = Value::of(&order).expect("it is a value");
        assert_eq!(value["Move"]["to"][1].as_f64(), Some(2.0));
        assert_eq!(value.to::<Order>(), Ok(order));
        let json = r#"{"Move":{"to":[1,2],"by":{"7":"arm"}}}"#;
        let typed = Value::from_json(json).and_then(|value| value.to::<Order>());
        assert!(matches!(typed, Ok(Order::Move { by, .. }) if by[&7] == "arm"));
        assert_eq!(Value::from("Stop").to::<Order>(), Ok(Order::Stop));
    }

    #[test]
    fn what_is_not_there_is_null() {
        assert!(mixed()["no such key"]["at all"][3].is_null());
        assert_eq!(mixed().get("no such key"), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let limits = DecodeLimits::untyped(&Limits::default());
        for bytes in [
            vec![0x91; 100_000],
            // A list that claims 4,294,967,295 items.
            vec![0xdd, 255, 255, 255, 255],
            // A million nulls, which really come.
            [vec![0xdd, 0, 15, 66, 64], vec![0xc0; 1_000_000]].concat(),
        ] {
            assert!(codec::decode::<Value>(&bytes, Encoding::MessagePack, &limits).is_err());
        }
    }
}
