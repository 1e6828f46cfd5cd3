//! The shape of a type, as serde sees it.

/// The shape of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Not seen so far.
    Unseen,
    /// Any value, of the type in the bytes: only in self-describing formats.
    Any,
    /// A value without parts.
    Leaf(Leaf),
    /// An optional value.
    Option(Box<Shape>),
    /// Any number of values of one shape.
    List(Box<Shape>),
    /// Any number of keys, each with a value.
    Map(Box<Shape>, Box<Shape>),
    /// A fixed number of values.
    Tuple(Vec<Shape>),
    /// A struct or an enum, by its index in [`Shapes::definitions`].
    Named(usize),
}

/// The kinds of values without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) enum Leaf {
    Unit,
    Bool,
    Char,
    Text,
    Bytes,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
}

/// A struct or an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Definition {
    /// Named fields in their order.
    Struct { name: &'static str, fields: Fields },
    /// One of several variants, by number.
    Enum { name: &'static str, variants: Vec<Variant> },
}

/// The fields of a struct or of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    /// The names that serde lists for them, which are more than the fields if fields have aliases.
    pub(super) names: &'static [&'static str],
    /// The shapes of the fields, in order.
    pub(super) shapes: Vec<Shape>,
    /// The names of fields that have another name as well; known only for human-readable formats.
    pub(super) aliases: Vec<&'static str>,
    /// The fields that are required; known only for human-readable formats.
    pub(super) required: Vec<&'static str>,
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variant {
    /// Its name on the wire.
    pub(super) name: &'static str,
    /// Its content; `None` until it has been read, and if it cannot be read.
    pub(super) content: Option<Content>,
}

/// The content of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// No content.
    Unit,
    /// One value.
    Newtype(Shape),
    /// Several values.
    Tuple(Vec<Shape>),
    /// Named fields.
    Struct(Fields),
}

/// Two readings of one type that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conflict;

impl Shape {
    /// Adds the shape from another reading of the same value.
    pub(super) fn unify(&mut self, other: Shape) -> Result<(), Conflict> {
        match (&mut *self, other) {
            (_, Shape::Unseen) => Ok(()),
            (Shape::Unseen, other) => {
                *self = other;
                Ok(())
            }
            (Shape::Option(old), Shape::Option(new)) | (Shape::List(old), Shape::List(new)) => {
                old.unify(*new)
            }
            (Shape::Map(old_key, old_value), Shape::Map(new_key, new_value)) => {
                old_key.unify(*new_key)?;
                old_value.unify(*new_value)
            }
            (Shape::Tuple(old), Shape::Tuple(new)) if old.len() == new.len() => unify_all(old, new),
            (old, new) if *old == new => Ok(()),
            _ => Err(Conflict),
        }
    }

    /// Returns true if no part is unseen.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Shape::Unseen => false,
            Shape::Any | Shape::Leaf(_) | Shape::Named(_) => true,
            Shape::Option(inner) | Shape::List(inner) => inner.is_whole(),
            Shape::Map(key, value) => key.is_whole() && value.is_whole(),
            Shape::Tuple(parts) => parts.iter().all(Shape::is_whole),
        }
    }
}

/// Unifies element by element; a reading that stopped early has seen fewer elements.
fn unify_all(old: &mut Vec<Shape>, new: Vec<Shape>) -> Result<(), Conflict> {
    for (index, shape) in new.into_iter().enumerate() {
        match old.get_mut(index) {
            Some(old) => old.unify(shape)?,
            None => old.push(shape),
        }
    }
    Ok(())
}

impl Fields {
    /// Creates fields of which only the `names` are known.
    pub(super) fn unseen(names: &'static [&'static str]) -> Self {
        Self { names, shapes: Vec::new(), aliases: Vec::new(), required: Vec::new() }
    }

    /// Adds the shapes from another reading of the same fields.
    pub(super) fn unify(&mut self, other: Vec<Shape>) -> Result<(), Conflict> {
        unify_all(&mut self.shapes, other)
    }
}

impl Content {
    /// Adds the content from another reading of the same variant.
    pub(super) fn unify(&mut self, other: Content) -> Result<(), Conflict> {
        match (self, other) {
            (Content::Unit, Content::Unit) => Ok(()),
            (Content::Newtype(old), Content::Newtype(new)) => old.unify(new),
            (Content::Tuple(old), Content::Tuple(new)) if old.len() == new.len() => unify_all(old, new),
            (Content::Struct(old), Content::Struct(new)) if old.names == new.names => old.unify(new.shapes),
            _ => Err(Conflict),
        }
    }

    /// Returns the number of values it holds side by side.
    pub(super) fn parts(&self) -> usize {
        self.shapes().len()
    }

    /// Returns true if no part is unseen.
    pub(super) fn is_whole(&self) -> bool {
        self.shapes().iter().all(Shape::is_whole)
    }

    fn shapes(&self) -> &[Shape] {
        match self {
            Content::Unit => &[],
            Content::Newtype(inner) => std::slice::from_ref(inner),
            Content::Tuple(shapes) => shapes,
            Content::Struct(fields) => &fields.shapes,
        }
    }
}

impl Leaf {
    /// Returns the name of this leaf in canonical text.
    pub(super) fn name(self) -> &'static str {
        match self {
            Leaf::Unit => "()",
            Leaf::Bool => "bool",
            Leaf::Char => "char",
            Leaf::Text => "text",
            Leaf::Bytes => "bytes",
            Leaf::U8 => "u8",
            Leaf::U16 => "u16",
            Leaf::U32 => "u32",
            Leaf::U64 => "u64",
            Leaf::U128 => "u128",
            Leaf::I8 => "i8",
            Leaf::I16 => "i16",
            Leaf::I32 => "i32",
            Leaf::I64 => "i64",
            Leaf::I128 => "i128",
            Leaf::F32 => "f32",
            Leaf::F64 => "f64",
        }
    }
}

/// The shape of a type with all definitions that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shapes {
    /// The type itself.
    pub(super) root: Shape,
    /// The structs and enums it consists of.
    pub(super) definitions: Vec<Definition>,
}
