//! Why an endpoint does not answer a request, as it travels and as people read it.

use serde::{Deserialize, Serialize};

/// Why a request was refused. The endpoint is alive and says so; the handler did not give a reply.
///
/// ```
/// # use meshzero_proto::refusal::Refusal;
/// let refusal = Refusal::NoHandler { message: "Jump".into(), handles: vec!["Move".into(), "Stop".into()] };
/// assert_eq!(refusal.to_string(), r#"it does not handle "Jump"; it handles Move, Stop"#);
/// assert_eq!(Refusal::from_bytes(&refusal.to_bytes()), refusal);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The service does not handle messages of this type.
    #[error("it does not handle {message:?}; it handles {}", listed(.handles))]
    NoHandler {
        /// The name of the message type.
        message: String,
        /// The names of the types that it does handle.
        handles: Vec<String>,
    },
    /// The message does not decode as the type that the service knows by this name.
    #[error("it cannot decode this {message}: {problem}")]
    Undecodable {
        /// The name of the message type.
        message: String,
        /// The path of the field, what was found and what was expected.
        problem: String,
    },
    /// The reply is longer than the caller takes.
    #[error("its reply is longer than the {limit} bytes that are allowed")]
    ReplyTooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// As many messages as the service takes are unfinished.
    #[error("it is busy")]
    Busy,
    /// The service is closing.
    #[error("it is closing")]
    Draining,
    /// The deadline passed before the message was handled; it was dropped unrun and is safe to repeat.
    #[error("the deadline passed before it was handled")]
    Expired,
    /// The handler panicked, or its actor stopped before it replied. It may have run in part.
    #[error("the handler panicked or its actor stopped before it replied")]
    Panicked,
    /// The service took the message and then went on without a reply. It may have acted on it.
    #[error("it took the message and never replied")]
    Unanswered,
    /// The reply cannot be encoded.
    #[error("its reply cannot be encoded: {problem}")]
    BadReply {
        /// What the encoder said.
        problem: String,
    },
    /// The service does not allow this caller.
    #[error("it is not allowed")]
    NotAllowed,
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

impl Refusal {
    /// Whether it says that the message was not handled, so that it may be sent again.
    pub fn is_unhandled(&self) -> bool {
        match self {
            Self::NoHandler { .. }
            | Self::Undecodable { .. }
            | Self::Busy
            | Self::Draining
            | Self::Expired => true,
            Self::ReplyTooLarge { .. } | Self::Panicked | Self::Unanswered | Self::BadReply { .. } => false,
            Self::NotAllowed => true,
        }
    }

    /// The MessagePack bytes that travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("texts and numbers always encode")
    }

    /// Reads what travelled; what a later version says is kept as text.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        rmp_serde::from_slice(bytes).unwrap_or_else(|error| Self::BadReply {
            problem: format!("a refusal of another version ({error})"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_travels_and_reads_well() {
        let refusal =
            Refusal::NoHandler { message: "Jump".into(), handles: vec!["Move".into(), "Stop".into()] };
        assert_eq!(Refusal::from_bytes(&refusal.to_bytes()), refusal);
        assert_eq!(refusal.to_string(), "it does not handle \"Jump\"; it handles Move, Stop");
    }

    #[test]
    fn garbage_is_still_a_refusal() {
        assert!(matches!(Refusal::from_bytes(b"\xc1"), Refusal::BadReply { .. }));
    }
}
