//! JSON schemas in a short form for people: `{joint: "base" | "elbow", degrees: number}`.

use meshzero::Value;
use serde_json::Value as Json;

/// The depth at which a schema is cut off.
const DEPTH: usize = 6;

/// The keywords that neither allow nor forbid anything.
const SAYS_NOTHING: [&str; 5] = ["$schema", "$defs", "title", "description", "format"];

/// Formats a schema like a type, on one line. Unknown schemas are shown as JSON, and a missing one as `?`.
pub(crate) fn short(schema: &Json) -> String {
    Short { root: schema }.of(schema, DEPTH)
}

/// Returns the message for a schema without content: a unit, or a struct without fields.
pub(crate) fn nothing(schema: &Json) -> Option<Value> {
    let schema = match schema.get("$ref").and_then(Json::as_str) {
        Some(path) => schema.pointer(path.strip_prefix('#')?)?,
        None => schema,
    };
    let is_empty = |field: &str| match schema.get(field) {
        None => true,
        Some(Json::Object(entries)) => entries.is_empty(),
        Some(Json::Array(items)) => items.is_empty(),
        Some(_) => false,
    };
    match schema.get("type")?.as_str()? {
        "null" => Some(Value::Null),
        "object" if is_empty("properties") && is_empty("required") && !takes_more(schema) => {
            Some(Value::Map(Vec::new()))
        }
        _ => None,
    }
}

/// Returns whether a schema allows anything.
pub(crate) fn takes_anything(schema: &Json) -> bool {
    match schema {
        Json::Bool(allows) => *allows,
        Json::Object(fields) => fields.keys().all(|key| SAYS_NOTHING.contains(&key.as_str())),
        _ => false,
    }
}

/// Returns whether an object may have fields beyond those in its schema, as a map has.
fn takes_more(schema: &Json) -> bool {
    schema.get("additionalProperties").is_some_and(|more| *more != Json::Bool(false))
}

struct Short<'a> {
    root: &'a Json,
}

impl Short<'_> {
    fn of(&self, schema: &Json, depth: usize) -> String {
        if schema.is_null() {
            return "?".to_owned();
        }
        if depth == 0 {
            return "…".to_owned();
        }
        self.choice(schema, depth)
            .or_else(|| self.reference(schema, depth))
            .or_else(|| self.typed(schema, depth))
            .unwrap_or_else(|| match takes_anything(schema) {
                true => "anything".to_owned(),
                false => schema.to_string(),
            })
    }

    fn choice(&self, schema: &Json, depth: usize) -> Option<String> {
        if let Some(constant) = schema.get("const") {
            return Some(constant.to_string());
        }
        if let Some(values) = schema.get("enum").and_then(Json::as_array) {
            return Some(values.iter().map(Json::to_string).collect::<Vec<_>>().join(" | "));
        }
        let choices = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
        Some(choices.iter().map(|choice| self.of(choice, depth - 1)).collect::<Vec<_>>().join(" | "))
    }

    fn reference(&self, schema: &Json, depth: usize) -> Option<String> {
        let path = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        Some(self.of(self.root.pointer(path)?, depth - 1))
    }

    fn typed(&self, schema: &Json, depth: usize) -> Option<String> {
        match schema.get("type")? {
            Json::Array(types) => {
                let types = types.iter().map(|kind| kind.as_str().unwrap_or("?"));
                Some(types.collect::<Vec<_>>().join(" | "))
            }
            Json::String(kind) if kind == "object" => Some(self.object(schema, depth)),
            Json::String(kind) if kind == "array" => Some(self.array(schema, depth)),
            Json::String(kind) if kind == "string" => Some("text".to_owned()),
            Json::String(kind) => Some(kind.clone()),
            _ => None,
        }
    }

    fn object(&self, schema: &Json, depth: usize) -> String {
        let required = schema.get("required").and_then(Json::as_array);
        // Required fields keep the order of the type, which properties do not have.
        let required: Vec<&str> = required.into_iter().flatten().filter_map(Json::as_str).collect();
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
            return match schema.get("additionalProperties") {
                Some(values) if values.is_object() => format!("{{…: {}}}", self.of(values, depth - 1)),
                _ => "{…}".to_owned(),
            };
        };
        let optional = properties.keys().map(String::as_str).filter(|name| !required.contains(name));
        let fields = required.iter().copied().chain(optional).map(|name| {
            let mark = if required.contains(&name) { "" } else { "?" };
            let field = properties.get(name).unwrap_or(&Json::Null);
            format!("{name}{mark}: {}", self.of(field, depth - 1))
        });
        format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
    }

    fn array(&self, schema: &Json, depth: usize) -> String {
        if let Some(items) = schema.get("prefixItems").and_then(Json::as_array) {
            let items = items.iter().map(|item| self.of(item, depth - 1));
            return format!("[{}]", items.collect::<Vec<_>>().join(", "));
        }
        match schema.get("items") {
            Some(item) => format!("[{}, …]", self.of(item, depth - 1)),
            None => "[…]".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_read_like_types() {
        let schema = json!({
            "type": "object",
            "properties": {
                "degrees": { "type": "number" },
                "joint": { "$ref": "#/$defs/Joint" },
                "via": { "type": "array", "items": { "type": ["string", "null"] } },
            },
            "required": ["joint", "degrees"],
            "$defs": { "Joint": { "enum": ["base", "elbow"] } },
        });
        assert_eq!(short(&schema), r#"{joint: "base" | "elbow", degrees: number, via?: [string | null, …]}"#);
        assert_eq!(short(&json!({ "type": "array", "prefixItems": [{ "type": "integer" }] })), "[integer]");
        assert_eq!(short(&json!({ "oneOf": [{ "const": "on" }, { "type": "string" }] })), "\"on\" | text");
    }

    #[test]
    fn a_message_with_nothing_in_it_needs_not_be_written() {
        assert_eq!(nothing(&json!({ "type": "null" })), Some(Value::Null));
        let unit = json!({ "$ref": "#/$defs/Get", "$defs": { "Get": { "type": "null" } } });
        assert_eq!(nothing(&unit), Some(Value::Null));
        assert_eq!(nothing(&json!({ "type": "object", "properties": {} })), Some(Value::Map(Vec::new())));
        for schema in [
            json!({ "type": "object", "properties": { "x": { "type": "integer" } } }),
            json!({ "type": "object", "additionalProperties": { "type": "integer" } }),
            json!({ "type": ["null", "integer"] }),
            json!({ "type": "integer" }),
            Json::Null,
        ] {
            assert_eq!(nothing(&schema), None, "{schema}");
        }
    }

    #[test]
    fn strange_schemas_end() {
        assert_eq!(short(&Json::Null), "?");
        assert_eq!(short(&json!({ "title": "Value" })), "anything");
        assert_eq!(short(&json!({ "strange": 1 })), r#"{"strange":1}"#);
        assert_eq!(short(&json!({ "$ref": "#" })), "…");
    }
}
