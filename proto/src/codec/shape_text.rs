//! The canonical text of a shape, from which fingerprints are computed.

use std::fmt::{self, Write};

use super::shape::{Content, Definition, Fields, Shape, Shapes};

impl Shapes {
    /// Returns the shape as text: equal texts mean equal bytes. It has the names of fields and variants, and not those of
    /// types; `#2` is the third struct or enum from the left, and `?` is a shape that was never seen.
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
        if let Some(index) = self.seen.iter().position(|seen| *seen == id) {
            return write!(self.text, "#{index}");
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
        let has_no_aliases = fields.names.len() == fields.shapes.len();
        if !has_no_aliases {
            for name in fields.names {
                self.name(name)?;
                self.text.write_char('|')?;
            }
        }
        for (index, shape) in fields.shapes.iter().enumerate() {
            if has_no_aliases {
                self.name(fields.names[index])?;
            }
            self.text.write_char(':')?;
            self.shape(shape)?;
            self.text.write_char(',')?;
        }
        self.text.write_char('}')
    }

    /// Writes a name, quoted if it could be mistaken for punctuation.
    fn name(&mut self, name: &str) -> fmt::Result {
        if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            self.text.write_str(name)
        } else {
            write!(self.text, "{name:?}")
        }
    }
}
