//! JSON Schema of a type, for programs and users without it.
//!
//! It describes the JSON (or the MessagePack with names) that serde reads for the type. Parts that a trace cannot see, such as
//! the inside of untagged and internally tagged enums, are left open.

use serde_json::{Map, Value, json};

use super::shape::{Content, Definition, Fields, Leaf, Shape, Shapes, Variant};

/// Returns the schema of `shapes`, in draft 2020-12.
pub(super) fn schema(title: &str, shapes: &Shapes) -> Value {
    let names = definition_names(&shapes.definitions);
    let writer = SchemaWriter { shapes, names: &names };
    let mut root = match shapes.root {
        Shape::Named(id) => writer.definition(&shapes.definitions[id]),
        ref other => writer.shape(other),
    };
    let definitions: Map<String, Value> = shapes
        .definitions
        .iter()
        .zip(&names)
        .enumerate()
        .filter(|(id, _)| shapes.root != Shape::Named(*id))
        .map(|(_, (definition, name))| (name.clone(), writer.definition(definition)))
        .collect();
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = title.into();
    if !definitions.is_empty() {
        root["$defs"] = definitions.into();
    }
    root
}

/// Returns a unique name for each definition.
fn definition_names(definitions: &[Definition]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let (Definition::Struct { name, .. } | Definition::Enum { name, .. }) = definition;
        let mut unique = (*name).to_owned();
        let mut count = 1;
        while names.contains(&unique) {
            count += 1;
            unique = format!("{name}{count}");
        }
        names.push(unique);
    }
    names
}

struct SchemaWriter<'a> {
    shapes: &'a Shapes,
    names: &'a [String],
}

impl SchemaWriter<'_> {
    fn shape(&self, shape: &Shape) -> Value {
        match shape {
            Shape::Unseen | Shape::Any => json!({}),
            Shape::Leaf(leaf) => leaf_schema(*leaf),
            Shape::Option(inner) => match self.shape(inner) {
                // An open schema already includes null.
                open if open == json!({}) => open,
                inner => json!({ "anyOf": [inner, { "type": "null" }] }),
            },
            Shape::List(inner) => json!({ "type": "array", "items": self.shape(inner) }),
            Shape::Map(key, value) => self.map(key, value),
            Shape::Tuple(parts) => self.tuple(parts),
            Shape::Named(id) if self.shapes.root == Shape::Named(*id) => json!({ "$ref": "#" }),
            Shape::Named(id) => json!({ "$ref": format!("#/$defs/{}", pointer(&self.names[*id])) }),
        }
    }

    fn map(&self, key: &Shape, value: &Shape) -> Value {
        let mut schema = json!({ "type": "object", "additionalProperties": self.shape(value) });
        match key {
            Shape::Leaf(Leaf::U8 | Leaf::U16 | Leaf::U32 | Leaf::U64) => {
                schema["propertyNames"] = json!({ "pattern": "^[0-9]+$" });
            }
            Shape::Leaf(Leaf::I8 | Leaf::I16 | Leaf::I32 | Leaf::I64) => {
                schema["propertyNames"] = json!({ "pattern": "^-?[0-9]+$" });
            }
            Shape::Named(_) => schema["propertyNames"] = self.shape(key),
            _ => {}
        }
        schema
    }

    fn tuple(&self, parts: &[Shape]) -> Value {
        let count = parts.len();
        match parts {
            [first, rest @ ..] if rest.iter().all(|part| part == first) => {
                json!({ "type": "array", "items": self.shape(first), "minItems": count, "maxItems": count })
            }
            _ => {
                let parts: Vec<Value> = parts.iter().map(|part| self.shape(part)).collect();
                json!({ "type": "array", "prefixItems": parts, "items": false, "minItems": count })
            }
        }
    }

    fn definition(&self, definition: &Definition) -> Value {
        match definition {
            Definition::Struct { fields, .. } => self.fields(fields),
            Definition::Enum { variants, .. } => self.variants(variants),
        }
    }

    fn fields(&self, fields: &Fields) -> Value {
        let properties: Map<String, Value> = fields
            .names
            .iter()
            .zip(&fields.shapes)
            .filter(|(name, _)| !fields.aliases.contains(name))
            .map(|(name, shape)| ((*name).to_owned(), self.shape(shape)))
            .collect();
        let mut schema = json!({ "type": "object", "properties": properties });
        if !fields.required.is_empty() {
            schema["required"] = json!(fields.required);
        }
        schema
    }

    /// Returns the schema of an enum as serde writes it: the name of the variant, or an object with the name and the content of
    /// the variant.
    fn variants(&self, variants: &[Variant]) -> Value {
        if variants.iter().all(|variant| variant.content == Some(Content::Unit)) {
            let names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
            return json!({ "enum": names });
        }
        let choices: Vec<Value> = variants.iter().map(|variant| self.variant(variant)).collect();
        json!({ "oneOf": choices })
    }

    fn variant(&self, variant: &Variant) -> Value {
        let content = match &variant.content {
            Some(Content::Unit) => return json!({ "const": variant.name }),
            None => json!({}),
            Some(Content::Newtype(inner)) => self.shape(inner),
            Some(Content::Tuple(parts)) => self.tuple(parts),
            Some(Content::Struct(fields)) => self.fields(fields),
        };
        json!({
            "type": "object",
            "properties": { variant.name: content },
            "required": [variant.name],
            "additionalProperties": false,
        })
    }
}

fn leaf_schema(leaf: Leaf) -> Value {
    match leaf {
        Leaf::Unit => json!({ "type": "null" }),
        Leaf::Bool => json!({ "type": "boolean" }),
        Leaf::Char => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
        Leaf::Text => json!({ "type": "string" }),
        Leaf::Bytes => json!({ "type": "array", "items": leaf_schema(Leaf::U8) }),
        Leaf::U8 => json!({ "type": "integer", "minimum": 0, "maximum": u8::MAX }),
        Leaf::U16 => json!({ "type": "integer", "minimum": 0, "maximum": u16::MAX }),
        Leaf::U32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        Leaf::U64 => json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
        Leaf::U128 => json!({ "type": "integer", "minimum": 0 }),
        Leaf::I8 => json!({ "type": "integer", "minimum": i8::MIN, "maximum": i8::MAX }),
        Leaf::I16 => json!({ "type": "integer", "minimum": i16::MIN, "maximum": i16::MAX }),
        Leaf::I32 => json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }),
        Leaf::I64 => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        Leaf::I128 => json!({ "type": "integer" }),
        Leaf::F32 | Leaf::F64 => json!({ "type": "number" }),
    }
}

/// Escapes a name for a JSON pointer within a reference.
fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1").replace('%', "%25")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::IpAddr;

    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use crate::codec::type_info;

    #[derive(Serialize, Deserialize)]
    #[allow(dead_code)]
    struct Move {
        to: [f32; 3],
        speed: Option<u8>,
        #[serde(default)]
        gentle: bool,
        by: IpAddr,
        tools: HashMap<u32, Tool>,
        #[serde(alias = "next", alias = "and_then")]
        then: Option<Box<Move>>,
        extra: serde_json::Value,
    }

    #[derive(Serialize, Deserialize)]
    #[allow(dead_code)]
    enum Tool {
        None,
        Grip(f64),
        Weld {
            #[serde(default)]
            heat: i16,
            mode: Mode,
        },
    }

    #[derive(Serialize, Deserialize)]
    #[allow(dead_code)]
    enum Mode {
        Mig,
        Tig,
    }

    #[test]
    fn a_message_is_described_as_its_json() {
        let expected = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Move",
            "type": "object",
            "properties": {
                "to": { "type": "array", "items": { "type": "number" }, "minItems": 3, "maxItems": 3 },
                "speed": { "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 255 }, { "type": "null" }] },
                "gentle": { "type": "boolean" },
                "by": { "type": "string" },
                "tools": {
                    "type": "object",
                    "additionalProperties": { "$ref": "#/$defs/Tool" },
                    "propertyNames": { "pattern": "^[0-9]+$" },
                },
                "then": { "anyOf": [{ "$ref": "#" }, { "type": "null" }] },
                "extra": {},
            },
            "required": ["to", "by", "tools", "extra"],
            "$defs": {
                "Tool": {
                    "oneOf": [
                        { "const": "None" },
                        {
                            "type": "object",
                            "properties": { "Grip": { "type": "number" } },
                            "required": ["Grip"],
                            "additionalProperties": false,
                        },
                        {
                            "type": "object",
                            "properties": {
                                "Weld": {
                                    "type": "object",
                                    "properties": {
                                        "heat": { "type": "integer", "minimum": -32768, "maximum": 32767 },
                                        "mode": { "$ref": "#/$defs/Mode" },
                                    },
                                    "required": ["mode"],
                                },
                            },
                            "required": ["Weld"],
                            "additionalProperties": false,
                        },
                    ],
                },
                "Mode": { "enum": ["Mig", "Tig"] },
            },
        });
        assert_eq!(*type_info::<Move>().schema(), expected);
    }

    #[test]
    fn invisible_parts_are_left_open() {
        #[derive(Serialize, Deserialize)]
        #[serde(tag = "kind")]
        #[allow(dead_code)]
        enum Tagged {
            A { x: u8 },
        }
        #[derive(Serialize, Deserialize)]
        #[allow(dead_code)]
        struct Outer {
            before: u8,
            tagged: Tagged,
            after: String,
        }
        let schema = type_info::<Outer>().schema();
        assert_eq!(schema["properties"]["before"]["type"], "integer");
        assert_eq!(schema["properties"]["tagged"], json!({}));
        assert_eq!(schema["properties"]["after"], json!({}));
        assert_eq!(schema.get("required"), None);
    }

    #[test]
    fn simple_types_have_simple_schemas() {
        let without_title = |schema: &Value| {
            let mut schema = schema.clone();
            let fields = schema.as_object_mut().expect("a schema is an object");
            fields.remove("$schema");
            fields.remove("title");
            schema
        };
        assert_eq!(without_title(type_info::<()>().schema()), json!({ "type": "null" }));
        assert_eq!(without_title(type_info::<bool>().schema()), json!({ "type": "boolean" }));
        assert_eq!(
            without_title(type_info::<(u8, String)>().schema()),
            json!({
                "type": "array",
                "prefixItems": [{ "type": "integer", "minimum": 0, "maximum": 255 }, { "type": "string" }],
                "items": false,
                "minItems": 2,
            })
        );
    }
}
