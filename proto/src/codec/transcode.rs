//! Transcoding of a value without a type from one format into another, element by element, without storing it in between.

use std::cell::Cell;
use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq, Serializer};

/// A value that is read from `D` when it is serialised, which is possible once.
pub(super) struct Transcoded<D> {
    source: Cell<Option<D>>,
    keys: KeyMode,
}

/// The conversion of map keys.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyMode {
    /// None.
    Any,
    /// To text: keys that are not text become their JSON, and so do keys within such keys, up to this many levels deep. Each
    /// level escapes the quotes of the one below it once more, which without a limit would double the text each time.
    Text(u8),
}

/// The maximum number of levels in a message. Python's tuples of numbers are keys; the second level has not been needed yet.
pub(super) const MAX_KEY_LEVELS: u8 = 2;

impl<D> Transcoded<D> {
    pub(super) fn new(source: D, keys: KeyMode) -> Self {
        Self { source: Cell::new(Some(source)), keys }
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Transcoded<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let source = self.source.take().ok_or_else(|| S::Error::custom("it has been read before"))?;
        let writing = TranscodeVisitor { serializer, keys: self.keys };
        // An error of the serialiser passes through that of the source and comes out as its text.
        source.deserialize_any(writing).map_err(S::Error::custom)
    }
}

/// A visitor that serialises each value that it visits.
struct TranscodeVisitor<S> {
    serializer: S,
    keys: KeyMode,
}

macro_rules! forward_visits {
    ($($visit:ident($type:ty) => $serialize:ident)*) => {$(
        fn $visit<E: serde::de::Error>(self, value: $type) -> Result<S::Ok, E> {
            self.serializer.$serialize(value).map_err(E::custom)
        }
    )*};
}

impl<'de, S: Serializer> Visitor<'de> for TranscodeVisitor<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    forward_visits! {
        visit_bool(bool) => serialize_bool
        visit_i64(i64) => serialize_i64
        visit_u64(u64) => serialize_u64
        visit_f64(f64) => serialize_f64
        visit_str(&str) => serialize_str
        visit_bytes(&[u8]) => serialize_bytes
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.serializer.serialize_unit().map_err(E::custom)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<S::Ok, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<S::Ok, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<S::Ok, A::Error> {
        let mut serializer = self.serializer.serialize_seq(list.size_hint()).map_err(A::Error::custom)?;
        while list.next_element_seed(ElementSeed { list: &mut serializer, keys: self.keys })?.is_some() {}
        serializer.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<S::Ok, A::Error> {
        let mut serializer = self.serializer.serialize_map(map.size_hint()).map_err(A::Error::custom)?;
        while map.next_key_seed(KeySeed { map: &mut serializer, keys: self.keys })?.is_some() {
            map.next_value_seed(EntrySeed { map: &mut serializer, keys: self.keys })?;
        }
        serializer.end().map_err(A::Error::custom)
    }
}

struct ElementSeed<'a, S> {
    list: &'a mut S,
    keys: KeyMode,
}

impl<'de, S: SerializeSeq> DeserializeSeed<'de> for ElementSeed<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        self.list.serialize_element(&Transcoded::new(source, self.keys)).map_err(D::Error::custom)
    }
}

struct KeySeed<'a, S> {
    map: &'a mut S,
    keys: KeyMode,
}

impl<'de, S: SerializeMap> DeserializeSeed<'de> for KeySeed<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        let result = match self.keys {
            KeyMode::Any => self.map.serialize_key(&Transcoded::new(source, self.keys)),
            KeyMode::Text(levels) => {
                let Some(nested) = levels.checked_sub(1) else {
                    return Err(D::Error::custom("keys within keys within keys have no form in JSON"));
                };
                let key = Transcoded::new(source, KeyMode::Text(nested));
                let key = serde_json::to_value(&key).map_err(D::Error::custom)?;
                match key.as_str() {
                    Some(text) => self.map.serialize_key(text),
                    None => self.map.serialize_key(&key.to_string()),
                }
            }
        };
        result.map_err(D::Error::custom)
    }
}

struct EntrySeed<'a, S> {
    map: &'a mut S,
    keys: KeyMode,
}

impl<'de, S: SerializeMap> DeserializeSeed<'de> for EntrySeed<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        self.map.serialize_value(&Transcoded::new(source, self.keys)).map_err(D::Error::custom)
    }
}
