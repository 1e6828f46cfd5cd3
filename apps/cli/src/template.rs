//! Templates of replies and commands, with `{}` for the message.

use meshzero::Value;

use crate::message::{self, InvalidMessage, MessageFormat};

/// The placeholder of the message.
const PLACEHOLDER: &str = "{}";

/// A reply with placeholders for the message.
///
/// A JSON template keeps its structure, whatever the message is: `{"got": {}}` replies a map with the message under
/// `got`. Any other template is text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template(Value);

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// [`InvalidMessage`]. A template that begins with the placeholder, such as `{} is late`, is text all the same.
    pub(crate) fn new(text: &str, message_format: MessageFormat) -> Result<Self, InvalidMessage> {
        match message::parse(text, message_format) {
            Err(_) if text.trim_start().starts_with(PLACEHOLDER) => Ok(Self(Value::from(text))),
            read => read.map(Self),
        }
    }

    pub(crate) fn fill(&self, message: &Value) -> Value {
        fill(&self.0, message)
    }
}

fn fill(template: &Value, message: &Value) -> Value {
    match template {
        Value::Text(text) => Value::Text(fill_text(text, &as_text(message))),
        Value::List(items) => Value::List(items.iter().map(|item| fill(item, message)).collect()),
        Value::Map(entries) if entries.is_empty() => message.clone(),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), fill(value, message))).collect())
        }
        other => other.clone(),
    }
}

/// Replaces the placeholders in a text.
pub(crate) fn fill_text(text: &str, message: &str) -> String {
    text.replace(PLACEHOLDER, message)
}

/// Converts a message for a program: text as it is, anything else as JSON.
pub(crate) fn as_text(message: &Value) -> String {
    message.as_str().map_or_else(|| message.to_string(), str::to_owned)
}

/// Splits a command into words as a shell would, with quotes and backslashes and nothing else of a shell: the message
/// is filled into the words afterwards, so it can never become another word, or a command.
///
/// A backslash escapes the characters that are special in a shell, and is kept before any other, as in `C:\dir`.
pub(crate) fn split_words(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = command.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (end, Some(open)) if end == open => quote = None,
            ('\\', None | Some('"')) if characters.peek().is_some_and(|next| is_escaped(*next, quote)) => {
                word.get_or_insert_default().extend(characters.next());
            }
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (space, None) if space.is_whitespace() => words.extend(word.take()),
            (character, _) => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err(format!("the command {command:?} has an unclosed quote"));
    }
    words.extend(word);
    if words.is_empty() { Err("the command is empty".to_owned()) } else { Ok(words) }
}

/// Returns whether a backslash escapes `character`, outside of quotes or between double ones.
fn is_escaped(character: char, quote: Option<char>) -> bool {
    match character {
        '\\' | '"' | '$' | '`' => true,
        '\'' | ' ' => quote.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(text: &str) -> Template {
        Template::new(text, MessageFormat::JsonOrText).expect(text)
    }

    #[test]
    fn text_is_filled() {
        assert_eq!(new("{} is {}").fill(&"a".into()), Value::from("a is a"));
        assert!(Template::new("{\"got\": {}", MessageFormat::JsonOrText).is_err());
        assert_eq!(
            Template::new("[{}", MessageFormat::Text).expect("text").fill(&1.into()),
            Value::from("[1")
        );
        assert_eq!(new("hello {}, {}!").fill(&"you".into()), Value::from("hello you, you!"));
        assert_eq!(new("got {}").fill(&Value::list([1, 2])), Value::from("got [1,2]"));
        assert_eq!(new("42").fill(&"you".into()), Value::from(42));
    }

    #[test]
    fn json_keeps_its_shape_whatever_the_message_says() {
        let template = new(r#"{"got": {}, "said": "<{}>", "n": [1, {}]}"#);
        let message = Value::from(r#"", "admin": true, "x": ""#);
        let reply = template.fill(&message);
        assert_eq!(reply["got"], message);
        assert_eq!(reply["n"][1], message);
        assert_eq!(reply.as_map().map(<[_]>::len), Some(3));
        assert_eq!(new("{}").fill(&Value::list([1, 2])), Value::list([1, 2]));
    }

    #[test]
    fn commands_are_split_into_words() {
        let split = |text| split_words(text).expect("words");
        assert_eq!(split("cat -n"), ["cat", "-n"]);
        assert_eq!(split(r#"sh -c 'echo "$1"' sh {}"#), ["sh", "-c", "echo \"$1\"", "sh", "{}"]);
        assert_eq!(split(r#"echo "" a\ b C:\dir"#), ["echo", "", "a b", "C:\\dir"]);
        assert_eq!(split(r#"echo "it's \"so\"""#), ["echo", "it's \"so\""]);
        // As in a shell's double quotes, where an inner shell is to see the dollar.
        assert_eq!(
            split(r#"sh -c "echo \$HOME \`id\` \\ \n \' \ ""#),
            ["sh", "-c", r"echo $HOME `id` \ \n \' \ "]
        );
        assert_eq!(split(r"echo \$HOME it\'s '\$'"), ["echo", "$HOME", "it's", r"\$"]);
        assert!(split_words("echo 'open").is_err());
        assert!(split_words("  ").is_err());
    }
}
