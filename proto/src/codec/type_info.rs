//! Facts about a message type, determined once per type and process.

use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use super::WireType;
use super::fingerprint::Fingerprint;
use super::json::Json;
use super::packed::{self, Packed};
use super::reflect::{TypeReflection, trace, trace_readable};
use super::schema::schema;
use super::shape::{Shape, Shapes};

/// Facts about a message type.
#[derive(Debug)]
pub struct TypeInfo {
    id: TypeId,
    name: String,
    shape_text: String,
    fingerprint: Result<Fingerprint, String>,
    readable: fn() -> Shapes,
    schema: OnceLock<serde_json::Value>,
    is_exact: AtomicBool,
}

/// Returns the facts about `T`. They are determined by the first call, for which its `Deserialize` and `Serialize` run a few
/// times for each variant in it: microseconds for a struct, milliseconds for a protocol of eighty variants. Later calls look them
/// up.
///
/// The result is constant for the life of the process: keep it where it is needed often.
pub fn type_info<T: WireType>() -> &'static TypeInfo {
    known_or_determined(TypeId::of::<T>(), type_name::<T>(), trace_readable::<T>, trace::<T>)
}

/// As [`type_info`], but compiled once for all types.
fn known_or_determined(
    id: TypeId,
    full_name: &str,
    readable: fn() -> Shapes,
    trace: fn() -> TypeReflection,
) -> &'static TypeInfo {
    static KNOWN: RwLock<Option<HashMap<TypeId, &'static TypeInfo>>> = RwLock::new(None);

    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(info) = known.as_ref().and_then(|known| known.get(&id)) {
        return info;
    }
    drop(known);
    // Not under the lock: the type's own code runs here.
    let info = TypeInfo::determine(id, full_name, readable, trace);
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.get_or_insert_default().entry(id).or_insert_with(|| Box::leak(Box::new(info)))
}

impl TypeInfo {
    fn determine(
        id: TypeId,
        full_name: &str,
        readable: fn() -> Shapes,
        trace: fn() -> TypeReflection,
    ) -> Self {
        // A packed value is a value to the other end.
        let is_packed = id == TypeId::of::<Packed>();
        let name = if is_packed { packed::WIRE_NAME.to_owned() } else { short_name(full_name) };
        let is_exact = AtomicBool::new(is_packed || id == TypeId::of::<Json>());
        match catch_unwind(AssertUnwindSafe(trace)) {
            Ok(TypeReflection { shapes, proven }) => {
                let shape_text = shapes.text();
                let fingerprint = proven.map(|()| Fingerprint::of(&shape_text));
                Self { id, name, shape_text, fingerprint, readable, schema: OnceLock::new(), is_exact }
            }
            Err(_) => {
                let reason = "its Deserialize or Serialize panics".to_owned();
                let (shape_text, fingerprint) = ("?".to_owned(), Err(reason));
                Self { id, name, shape_text, fingerprint, readable, schema: OnceLock::new(), is_exact }
            }
        }
    }

    /// Declares that the type reads back from MessagePack any value it writes, because it accepts each part only for what it is.
    /// Its values are then not searched, before they are sent, for parts that other types might read as another value.
    pub fn declare_exact(&self) {
        self.is_exact.store(true, Ordering::Relaxed);
    }

    /// Returns true if the type reads back from MessagePack any value it writes.
    pub(super) fn is_exact(&self) -> bool {
        self.is_exact.load(Ordering::Relaxed)
    }

    /// Returns true if these are the facts about `T`.
    pub fn is<T: 'static>(&self) -> bool {
        self.id == TypeId::of::<T>()
    }

    /// Returns the type's own name, without the modules of it and its parameters: `Wrapper<Foo>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the fingerprint of a type that is safe for bincode. A type without one is always encoded as MessagePack.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint.as_ref().ok().copied()
    }

    /// Returns the reason why there is no fingerprint.
    pub fn unproven_reason(&self) -> Option<&str> {
        self.fingerprint.as_ref().err().map(String::as_str)
    }

    /// Returns the shape from which the fingerprint is computed: the values that bincode reads, with names of fields and
    /// variants.
    pub fn shape_text(&self) -> &str {
        &self.shape_text
    }

    /// Returns the JSON Schema (draft 2020-12) of the type as JSON or MessagePack with names. It is made at the first call, for
    /// which the type's `Deserialize` runs as often as it has variants and required fields: milliseconds for a protocol of eighty
    /// variants. Other callers block meanwhile.
    ///
    /// Optional fields are not `required`. Parts that cannot be seen from outside are left open as `{}`, such as the inside of
    /// untagged and internally tagged enums.
    pub fn schema(&self) -> &serde_json::Value {
        self.schema.get_or_init(|| {
            let nothing = Shapes { root: Shape::Unseen, definitions: Vec::new() };
            let shapes = catch_unwind(self.readable).unwrap_or(nothing);
            schema(&self.name, &shapes)
        })
    }
}

/// Leaves out the paths of a type's name and of its parameters.
fn short_name(full: &str) -> String {
    let mut name = String::with_capacity(full.len());
    let mut start = 0;
    let mut rest = full.chars().peekable();
    while let Some(c) = rest.next() {
        if c == ':' && rest.peek() == Some(&':') {
            rest.next();
            name.truncate(start);
        } else {
            name.push(c);
            if !(c.is_alphanumeric() || matches!(c, '_' | '{' | '}' | '#')) {
                start = name.len();
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_loses_its_path_and_those_of_its_parameters() {
        for (full, short) in [
            ("u8", "u8"),
            ("alloc::string::String", "String"),
            ("a::b::Wrapper<c::Foo>", "Wrapper<Foo>"),
            ("a::Two<c::Foo, alloc::vec::Vec<d::Bar>>", "Two<Foo, Vec<Bar>>"),
            ("(a::B, [c::D; 3])", "(B, [D; 3])"),
            ("a::main::{{closure}}::Local", "Local"),
        ] {
            assert_eq!(short_name(full), short);
        }
    }
}
