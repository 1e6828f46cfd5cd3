//! A value on the wire: `Serialize` and `Deserialize`.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::Value;

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

/// The most items that are allocated for a claimed length before they have arrived.
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

#[cfg(test)]
mod tests {
    use meshzero_proto::codec::{self, DecodeLimits, Encoding};
    use meshzero_proto::limits::Limits;

    use super::super::tests::mixed;
    use super::*;

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
    fn it_travels_as_message_pack_for_ever() {
        assert_eq!(codec::type_info::<Value>().fingerprint(), None);
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
