//! Names chosen by users: of a mesh, a service, a topic, a message type. They are checked once, then trusted.
//!
//! Short names are stored inline, because every item of news carries two, and a counted reference would cost more than the item.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// The longest name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 128;

/// The mesh that programs join by default.
pub const DEFAULT_MESH: &str = "meshzero";

/// The reason why a text is not a valid name.
///
/// ```
/// # use meshzero_proto::name::{InvalidName, ServiceName};
/// assert_eq!(ServiceName::new(""), Err(InvalidName::Empty { kind: "service" }));
/// let long = "x".repeat(129);
/// assert_eq!(ServiceName::new(&long), Err(InvalidName::TooLong { kind: "service", bytes: 129 }));
/// let two_lines = ServiceName::new("robot\narm").expect_err("a newline is a control character");
/// assert_eq!(
///     two_lines.to_string(),
///     r#"the service name "robot\narm" has the control character '\n'; use printable text"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The text has no character.
    #[error("a {kind} name must have at least one character")]
    Empty {
        /// The kind of name.
        kind: &'static str,
    },
    /// The text is longer than [`MAX_NAME_BYTES`].
    #[error("this {kind} name has {bytes} bytes; at most {MAX_NAME_BYTES} fit")]
    TooLong {
        /// The kind of name.
        kind: &'static str,
        /// Its length in bytes of UTF-8.
        bytes: usize,
    },
    /// The text has a control character such as a newline or an escape.
    #[error("the {kind} name {name:?} has the control character {character:?}; use printable text")]
    Control {
        /// The kind of name.
        kind: &'static str,
        /// The text.
        name: String,
        /// Its first control character.
        character: char,
    },
}

fn check(kind: &'static str, min_bytes: usize, text: &str) -> Result<(), InvalidName> {
    if text.len() < min_bytes {
        return Err(InvalidName::Empty { kind });
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(InvalidName::TooLong { kind, bytes: text.len() });
    }
    match text.chars().find(|c| c.is_control()) {
        Some(character) => Err(InvalidName::Control { kind, name: text.to_owned(), character }),
        None => Ok(()),
    }
}

/// Returns the bytes at the beginning and at the end of a text as words: up to 16 bytes have no others.
#[inline(always)]
pub fn end_words(text: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
        _ => (text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $min_bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks `text`.
            ///
            /// # Errors
            /// [`InvalidName`] with the reason.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                let text = text.as_ref();
                check($kind, $min_bytes, text)?;
                Ok(Self(text.into()))
            }

            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns true if this is its text, without a call if that is short.
            #[inline(always)]
            pub fn is(&self, text: &[u8]) -> bool {
                let own = self.0.as_bytes();
                own.len() == text.len()
                    && end_words(own) == end_words(text)
                    && (own.len() <= 2 * size_of::<u64>() || own == text)
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;
            fn try_from(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_str().to_owned()
            }
        }
    };
}

name! {
    /// The name of a mesh: nodes of the same mesh discover each other, nodes of different meshes never do.
    ///
    /// Any Unicode text of 1 to [`MAX_NAME_BYTES`] bytes without control characters. Cheap to clone.
    ///
    /// ```
    /// # use meshzero_proto::name::{InvalidName, MeshName};
    /// let mesh = MeshName::new("room-7")?;
    /// assert_eq!(mesh.as_str(), "room-7");
    /// assert_eq!(MeshName::default().as_str(), "meshzero");
    /// # Ok::<(), InvalidName>(())
    /// ```
    MeshName, "mesh", 1
}
name! {
    /// The name of a service, such as `robot/arm`. `/` separates a group from its members.
    ///
    /// Any Unicode text of 1 to [`MAX_NAME_BYTES`] bytes without control characters. Cheap to clone.
    ///
    /// ```
    /// # use meshzero_proto::name::{InvalidName, ServiceName};
    /// let arm = ServiceName::new("robot/arm")?;
    /// // It dereferences to a str.
    /// assert!(arm.starts_with("robot/"));
    /// assert_eq!(arm.to_string(), "robot/arm");
    /// // Parsing, converting, and serde check it.
    /// assert_eq!("robot/arm".parse(), Ok(arm));
    /// assert!(ServiceName::try_from("\u{1b}[2J").is_err());
    /// # Ok::<(), InvalidName>(())
    /// ```
    ServiceName, "service", 1
}
name! {
    /// The wire name of a message type: its Rust name without the module, unless the service chose another.
    ///
    /// Any Unicode text of 1 to [`MAX_NAME_BYTES`] bytes without control characters. Cheap to clone.
    ///
    /// ```
    /// # use meshzero_proto::name::{InvalidName, TypeName};
    /// let name = TypeName::new("Move")?;
    /// assert_eq!(name.as_str(), "Move");
    /// # Ok::<(), InvalidName>(())
    /// ```
    TypeName, "message type", 1
}
name! {
    /// The topic of a news item, such as `pose/left`. Subscriptions select a prefix of it.
    ///
    /// Any Unicode text of at most [`MAX_NAME_BYTES`] bytes without control characters; unlike other names it may be
    /// empty. Cheap to clone.
    ///
    /// ```
    /// # use meshzero_proto::name::{InvalidName, Topic};
    /// let topic = Topic::new("pose/left")?;
    /// // A subscription to "pose/" compares the prefix.
    /// assert!(topic.starts_with("pose/"));
    /// assert_eq!(topic.as_str(), "pose/left");
    /// assert!(Topic::new("").is_ok());
    /// # Ok::<(), InvalidName>(())
    /// ```
    Topic, "topic", 0
}

impl Default for MeshName {
    fn default() -> Self {
        Self(DEFAULT_MESH.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_printable_unicode_is_a_name() {
        for text in ["a", "robot/arm", "Küche 2", "温度", &"x".repeat(MAX_NAME_BYTES)] {
            assert_eq!(ServiceName::new(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn an_invalid_name_gives_the_reason() {
        assert_eq!(ServiceName::new(""), Err(InvalidName::Empty { kind: "service" }));
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        assert_eq!(ServiceName::new(&long), Err(InvalidName::TooLong { kind: "service", bytes: 129 }));
        let control = MeshName::new("a\u{1b}[2J").expect_err("an escape is refused");
        assert!(control.to_string().contains("'\\u{1b}'"), "{control}");
    }

    #[test]
    fn a_name_from_the_network_is_checked() {
        let bytes = rmp_serde::to_vec("line\nbreak").expect("text encodes");
        assert!(rmp_serde::from_slice::<ServiceName>(&bytes).is_err());
        assert!(rmp_serde::from_slice::<Topic>(&bytes).is_err());
    }

    #[test]
    fn a_topic_may_be_empty() {
        assert_eq!(Topic::new("").as_deref(), Ok(""));
        assert_eq!("".parse::<Topic>(), Topic::try_from(""));
    }
}
