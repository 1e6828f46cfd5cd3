//! Escaping of text from the network, so that it has no effect on a terminal.

use std::fmt::{self, Write};

use meshzero::Value;

/// Returns whether a character controls a terminal, or is invisible.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// Text without control characters, except for newlines and tabs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a>(&'a str);

/// Text on one line without control characters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a>(&'a str);

pub(crate) fn text(text: &str) -> Text<'_> {
    Text(text)
}

pub(crate) fn line(text: &str) -> Line<'_> {
    Line(text)
}

/// Formats a message for people, on one line: text as it is, anything else as JSON.
pub(crate) fn message(value: &Value) -> String {
    match value.as_str() {
        Some(text) => line(text).to_string(),
        None => line(&value.to_string()).to_string(),
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\n' | '\t' => f.write_char(character),
            character => write_escaped(f, character),
        })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| write_escaped(f, character))
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        character if acts(character) => write!(f, "\\u{{{:x}}}", u32::from(character)),
        character => f.write_char(character),
    }
}

/// Escapes control characters in JSON, which stand only inside of its strings. The meaning stays the same.
pub(crate) fn json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if acts(character) {
            // All of them are below U+10000, where one escape is one character.
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown() {
        assert_eq!(line("a\u{1b}[2J\u{7f}\u{9b}b").to_string(), "a\\u{1b}[2J\\u{7f}\\u{9b}b");
        assert_eq!(line("right\u{202e}left").to_string(), "right\\u{202e}left");
        assert_eq!(line("two\r\nlines\t").to_string(), "two\\r\\nlines\\t");
        assert_eq!(text("two\r\nlines\t\u{7}").to_string(), "two\\r\nlines\t\\u{7}");
        assert_eq!(line("Küche, 温度, 🤖").to_string(), "Küche, 温度, 🤖");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let said = "a\u{9b}b\u{7f}\u{202e}\n\u{1b}";
        let written = json(&serde_json::to_string(said).expect("text is JSON"));
        assert!(!written.chars().any(acts), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).expect("still JSON"), said);
    }

    #[test]
    fn messages_are_text_or_json() {
        assert_eq!(message(&Value::from("hi\n")), "hi\\n");
        assert_eq!(message(&Value::list([1, 2])), "[1,2]");
        assert_eq!(message(&Value::list(["\u{9b}"])), "[\"\\u{9b}\"]");
    }
}
