//! The reason why an endpoint does not answer a request, as sent and as shown to users.

use serde::{Deserialize, Serialize};

use crate::codec::control;

/// The maximum number of names in a received refusal, because its sender chooses its length and it is shown to users.
const MAX_NAMES: usize = 256;
/// The maximum size of each text in a received refusal.
const MAX_TEXT_BYTES: usize = 1_024;

/// The reason why a request was refused. The endpoint is alive and reports it; the handler did not give a reply.
///
/// ```
/// # use meshzero_proto::wire::refusal::Refusal;
/// let refusal = Refusal::NoHandler { message: "Jump".into(), handles: vec!["Move".into(), "Stop".into()] };
/// assert_eq!(refusal.to_string(), r#"it does not handle "Jump"; it handles Move, Stop"#);
/// assert_eq!(Refusal::from_bytes(&refusal.to_bytes()), refusal);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The service does not handle messages of this type.
    #[error("it does not handle {message:?}; it handles {}", list_or_nothing(.handles))]
    NoHandler {
        /// The name of the message type.
        message: String,
        /// The names of the types that it handles.
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
    /// The reply is longer than the caller accepts.
    #[error("its reply is longer than the {limit} bytes that are allowed")]
    ReplyTooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// The service's queue of unfinished messages is full.
    #[error("it is busy")]
    Busy,
    /// The service is closing.
    #[error("it is closing")]
    Draining,
    /// The deadline passed before the message was handled; it was dropped without being handled, and may be sent again.
    #[error("the deadline passed before it was handled")]
    Expired,
    /// The handler panicked, or its actor stopped before it replied. It may have run in part.
    #[error("the handler panicked or its actor stopped before it replied")]
    Panicked,
    /// The service accepted the message and then continued without a reply. It may have acted on it.
    #[error("it took the message and never replied")]
    Unanswered,
    /// The request was forwarded to another program, and the connection to it was lost before the reply. It may have acted on the
    /// message.
    #[error("the connection to the program behind it was lost before the reply; it may have been handled")]
    Lost,
    /// The reply cannot be encoded.
    #[error("its reply cannot be encoded: {problem}")]
    BadReply {
        /// The encoder's message.
        problem: String,
    },
    /// The handler failed, with a reason. It may have run in part.
    #[error("its handler failed: {problem}")]
    Failed {
        /// The handler's message.
        problem: String,
    },
    /// The service does not allow this caller.
    #[error("it is not allowed")]
    NotAllowed,
}

fn list_or_nothing(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

fn truncate_text(text: &mut String) {
    let end =
        (0..=MAX_TEXT_BYTES.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
    text.truncate(end);
    text.shrink_to_fit();
}

impl Refusal {
    /// Returns true if the message was certainly not handled, so that it may be sent again.
    pub fn is_unhandled(&self) -> bool {
        match self {
            Self::NoHandler { .. }
            | Self::Undecodable { .. }
            | Self::Busy
            | Self::Draining
            | Self::Expired => true,
            Self::ReplyTooLarge { .. }
            | Self::Panicked
            | Self::Unanswered
            | Self::Lost
            | Self::BadReply { .. }
            | Self::Failed { .. } => false,
            Self::NotAllowed => true,
        }
    }

    /// Encodes it as MessagePack.
    pub fn to_bytes(&self) -> Vec<u8> {
        control::to_bytes(self)
    }

    /// Decodes received bytes; a refusal of a later version becomes text. Long lists and texts are truncated.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let received = control::from_bytes(bytes).unwrap_or_else(|error| Self::BadReply {
            problem: format!("a refusal of another version ({error})"),
        });
        received.truncated()
    }

    /// Truncates its lists and texts to their limits.
    fn truncated(mut self) -> Self {
        match &mut self {
            Self::NoHandler { message, handles } => {
                handles.truncate(MAX_NAMES);
                handles.shrink_to_fit();
                handles.iter_mut().chain([message]).for_each(truncate_text);
            }
            Self::Undecodable { message, problem } => [message, problem].into_iter().for_each(truncate_text),
            Self::BadReply { problem } | Self::Failed { problem } => truncate_text(problem),
            Self::ReplyTooLarge { .. }
            | Self::Busy
            | Self::Draining
            | Self::Expired
            | Self::Panicked
            | Self::Unanswered
            | Self::Lost
            | Self::NotAllowed => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_decoded_as_encoded_and_displayed_as_text() {
        let refusal =
            Refusal::NoHandler { message: "Jump".into(), handles: vec!["Move".into(), "Stop".into()] };
        assert_eq!(Refusal::from_bytes(&refusal.to_bytes()), refusal);
        assert_eq!(refusal.to_string(), "it does not handle \"Jump\"; it handles Move, Stop");
    }

    #[test]
    fn undecodable_bytes_are_a_refusal() {
        assert!(matches!(Refusal::from_bytes(b"\xc1"), Refusal::BadReply { .. }));
    }

    #[test]
    fn long_lists_and_texts_are_truncated() {
        let long =
            Refusal::NoHandler { message: "ß".repeat(10_000), handles: vec!["é".repeat(1_000); 400] };
        let Refusal::NoHandler { message, handles } = Refusal::from_bytes(&long.to_bytes()) else {
            panic!("it is decoded as another refusal")
        };
        assert_eq!((message.len(), handles.len(), handles[0].len()), (1_024, MAX_NAMES, 1_024));
        let text = Refusal::BadReply { problem: "x".repeat(1 << 20) };
        assert!(Refusal::from_bytes(&text.to_bytes()).to_string().len() < 2_000);
    }
}
