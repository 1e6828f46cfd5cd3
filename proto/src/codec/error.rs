//! Errors of encoding and decoding.

use std::fmt;

/// The reason why a value was not encoded. The buffer is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The value takes more bytes than were allowed. Send less at once, or raise the limit at both ends.
    #[error("the encoded value is longer than {max} bytes")]
    TooLarge {
        /// The number of bytes allowed.
        max: usize,
    },
    /// The value's own `Serialize` failed, or the value has no faithful form in this encoding.
    #[error("the value cannot be encoded: {problem}")]
    Refused {
        /// The problem.
        problem: String,
    },
}

/// The reason why bytes were not decoded: the sender is faulty, or uses another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The path of the invalid field, such as `items[0].pos[1]`; empty for the whole value. In bincode, which has no names,
    /// fields and variants are numbers: `[1][0]`.
    pub path: String,
    /// The problem with it.
    pub problem: String,
}

impl DecodeError {
    /// Creates an error of the value as a whole.
    pub(super) fn whole(problem: impl Into<String>) -> Self {
        Self { path: String::new(), problem: short(problem.into()) }
    }

    /// Creates an error at `path`, which names the root with a dot.
    pub(super) fn at(path: &serde_path_to_error::Path, problem: String) -> Self {
        let path = path.to_string();
        Self { path: if path == "." { String::new() } else { short(path) }, problem: short(problem) }
    }
}

/// The longest path or problem, in bytes: both may repeat text that the sender chose.
const MAX_TEXT: usize = 400;

/// Shortens a long text by its middle: the beginning and the end name the kind that was found and the one expected.
fn short(text: String) -> String {
    if text.len() <= MAX_TEXT {
        return text;
    }
    let boundary = |limit: usize| (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (head, tail) = (boundary(MAX_TEXT / 2), boundary(text.len() - MAX_TEXT / 2));
    format!("{} … {}", &text[..head], &text[tail..])
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for DecodeError {}
