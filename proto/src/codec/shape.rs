//! What a type looks like to bincode, and the canonical text of that.

use std::fmt::{self, Write};

/// What one value consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Not looked at so far.
    Unseen,
    /// Whatever the bytes say: only in formats that describe themselves.
    Any,
    /// A value without parts.
    Leaf(Leaf),
    /// A value or none.
    Option(Box<Shape>),
    /// Any number of values of one shape.
    List(Box<Shape>),
    /// Any number of keys, each with a value.
    Map(Box<Shape>, Box<Shape>),
    /// A fixed number of values.
    Tuple(Vec<Shape>),
    /// A struct or an enum, by its place in [`Shapes::definitions`].
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
    /// The names that serde lists for them: more than there are fields where fields have aliases.
    pub(super) names: &'static [&'static str],
    /// What they hold, in order.
    pub(super) shapes: Vec<Shape>,
    /// Names that mean the same field as another; told apart only in readable formats.
    pub(super) aliases: Vec<&'static str>,
    /// Fields that may not be left out; known only of readable formats.
    pub(super) required: Vec<&'static str>,
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variant {
    /// Its name on the wire.
    pub(super) name: &'static str,
    /// What it holds; none while it was not looked at, and for ever if it cannot be read.
    pub(super) content: Option<Content>,
}

/// What a variant holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing.
    Unit,
    /// One value.
    Newtype(Shape),
    /// Several values.
    Tuple(Vec<Shape>),
    /// Named fields.
    Struct(Fields),
}

/// Two readings of one type that do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conflict;

impl Shape {
    /// Adds what another reading of the same place has seen.
    pub(super) fn unify(&mut self, seen: Shape) -> Result<(), Conflict> {
        match (&mut *self, seen) {
            (_, Shape::Unseen) => Ok(()),
            (Shape::Unseen, seen) => {
                *self = seen;
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

    /// Whether nothing was left unseen.
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

/// Unifies place by place; a reading that stopped early has seen fewer places.
fn unify_all(old: &mut Vec<Shape>, new: Vec<Shape>) -> Result<(), Conflict> {
    for (place, shape) in new.into_iter().enumerate() {
        match old.get_mut(place) {
            Some(old) => old.unify(shape)?,
            None => old.push(shape),
        }
    }
    Ok(())
}

impl Fields {
    /// Fields of which nothing is known but `names`.
    pub(super) fn unseen(names: &'static [&'static str]) -> Self {
        Self { names, shapes: Vec::new(), aliases: Vec::new(), required: Vec::new() }
    }

    /// Adds what another reading of the same fields has seen.
    pub(super) fn unify(&mut self, seen: Vec<Shape>) -> Result<(), Conflict> {
        unify_all(&mut self.shapes, seen)
    }
}

impl Content {
    /// Adds what another reading of the same variant has seen.
    pub(super) fn unify(&mut self, seen: Content) -> Result<(), Conflict> {
        match (self, seen) {
            (Content::Unit, Content::Unit) => Ok(()),
            (Content::Newtype(old), Content::Newtype(new)) => old.unify(new),
            (Content::Tuple(old), Content::Tuple(new)) if old.len() == new.len() => unify_all(old, new),
            (Content::Struct(old), Content::Struct(new)) if old.names == new.names => old.unify(new.shapes),
            _ => Err(Conflict),
        }
    }

    /// How many values it holds side by side.
    pub(super) fn parts(&self) -> usize {
        self.shapes().len()
    }

    /// Whether nothing was left unseen.
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
    /// The name of this leaf in canonical text.
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

/// The shape of a type with all that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shapes {
    /// The type itself.
    pub(super) root: Shape,
    /// The structs and enums it consists of.
    pub(super) definitions: Vec<Definition>,
}

impl Shapes {
    /// The shape as text: equal texts mean equal bytes. Names of types are left out, those of fields and variants
    /// are not; `#2` is the third struct or enum from the left, and `?` is what was never seen.
    pub(super) fn text(&self) -> String {
        let mut writer = TextWriter { shapes: self, seen: Vec::new(), text: String::new() };
        // Writing to a String cannot fail.
        let _ = writer.shape(&self.root);
        writer.text
    }
}

struct TextWriter<'a> {
    shapes: &'a Shapes,
    seen: Vec<usize>,
    text: String,
}

impl TextWriter<'_> {
    fn shape(&mut self, shape: &Shape) -> fmt::Result {
        match shape {
            Shape::Unseen => self.text.write_char('?'),
            Shape::Any => self.text.write_str("any"),
            Shape::Leaf(leaf) => self.text.write_str(leaf.name()),
            Shape::Option(inner) => {
                self.text.write_str("option<")?;
                self.shape(inner)?;
                self.text.write_char('>')
            }
            Shape::List(inner) => {
                self.text.write_str("list<")?;
                self.shape(inner)?;
                self.text.write_char('>')
            }
            Shape::Map(key, value) => {
                self.text.write_str("map<")?;
                self.shape(key)?;
                self.text.write_char(',')?;
                self.shape(value)?;
                self.text.write_char('>')
            }
            Shape::Tuple(parts) => self.tuple(parts),
            Shape::Named(definition) => self.definition(*definition),
        }
    }

    fn tuple(&mut self, parts: &[Shape]) -> fmt::Result {
        match parts {
            [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|part| part == first) => {
                self.text.write_char('[')?;
                self.shape(first)?;
                write!(self.text, ";{}]", parts.len())
            }
            _ => {
                self.text.write_char('(')?;
                for part in parts {
                    self.shape(part)?;
                    self.text.write_char(',')?;
                }
                self.text.write_char(')')
            }
        }
    }

    fn definition(&mut self, id: usize) -> fmt::Result {
        if let Some(place) = self.seen.iter().position(|seen| *seen == id) {
            return write!(self.text, "#{place}");
        }
        self.seen.push(id);
        let shapes = self.shapes;
        match &shapes.definitions[id] {
            Definition::Struct { fields, .. } => self.fields(fields),
            Definition::Enum { variants, .. } => {
                self.text.write_str("enum{")?;
                for variant in variants {
                    self.name(variant.name)?;
                    match &variant.content {
                        None => self.text.write_char('!')?,
                        Some(Content::Unit) => {}
                        Some(Content::Newtype(inner)) => {
                            self.text.write_char('(')?;
                            self.shape(inner)?;
                            self.text.write_char(')')?;
                        }
                        Some(Content::Tuple(parts)) => self.tuple(parts)?,
                        Some(Content::Struct(fields)) => self.fields(fields)?,
                    }
                    self.text.write_char(',')?;
                }
                self.text.write_char('}')
            }
        }
    }

    fn fields(&mut self, fields: &Fields) -> fmt::Result {
        self.text.write_char('{')?;
        // With aliases, names and fields cannot be matched from outside: all names first, then all fields.
        let matched = fields.names.len() == fields.shapes.len();
        if !matched {
            for name in fields.names {
                self.name(name)?;
                self.text.write_char('|')?;
            }
        }
        for (place, shape) in fields.shapes.iter().enumerate() {
            if matched {
                self.name(fields.names[place])?;
            }
            self.text.write_char(':')?;
            self.shape(shape)?;
            self.text.write_char(',')?;
        }
        self.text.write_char('}')
    }

    /// Quotes a name that could be taken for punctuation.
    fn name(&mut self, name: &str) -> fmt::Result {
        if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            self.text.write_str(name)
        } else {
            write!(self.text, "{name:?}")
        }
    }
}
