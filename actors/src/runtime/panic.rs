//! The message of a panic that was caught.

use std::any::Any;

/// The message of a panic that ended an actor, or its factory.
#[derive(Debug)]
pub(crate) struct PanicMessage(pub(crate) String);

/// The longest message that is stored, in characters: it may repeat bytes that a peer sent.
const MAX_TEXT: usize = 512;

impl PanicMessage {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => text,
            (None, Some(text)) => text.as_str(),
            (None, None) => "(not text)",
        };
        Self(text.chars().take(MAX_TEXT).collect())
    }
}
