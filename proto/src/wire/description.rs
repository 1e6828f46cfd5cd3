//! The description of a service: its messages, their replies and its topics, with JSON schemas.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::codec;

/// The description of a service. It is plain data for serde, and its `Display` form is readable text.
///
/// ```
/// # use meshzero_proto::wire::description::{Description, MessageDescription, TopicDescription};
/// use serde_json::json;
///
/// let arm = Description {
///     service: "robot/arm".into(),
///     messages: vec![MessageDescription {
///         name: "Move".into(),
///         message: json!({"type": "number"}),
///         reply: json!({"type": "null"}),
///     }],
///     topics: vec![TopicDescription { topic: "pose".into(), item: json!(null), retained: true }],
/// };
/// assert_eq!(
///     arm.to_string(),
///     r#"robot/arm
///   message Move
///     takes   {"type":"number"}
///     replies {"type":"null"}
///   topic "pose" (retained)
/// "#
/// );
/// # assert_eq!(Description::from_bytes(&arm.to_bytes()), Ok(arm));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The service's name; empty for an endpoint without one.
    pub service: String,
    /// The message types that it handles.
    pub messages: Vec<MessageDescription>,
    /// The topics that it declared or has published on, in alphabetical order.
    pub topics: Vec<TopicDescription>,
}

/// One message type, as part of a [`Description`], which has an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageDescription {
    /// The name under which it is sent.
    pub name: String,
    /// JSON schema of the message.
    pub message: Json,
    /// JSON schema of the reply.
    pub reply: Json,
}

/// One topic, as part of a [`Description`], which has an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicDescription {
    /// The topic.
    pub topic: String,
    /// JSON schema of its items, of the last one if their types differ; `null` while none was declared or published.
    pub item: Json,
    /// Set if later subscribers receive the last item.
    pub retained: bool,
}

impl Description {
    /// Encodes it as JSON, which [`Description::from_bytes`] decodes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and schemas always encode")
    }

    /// Decodes the JSON bytes, with memory bounded by their length.
    ///
    /// # Errors
    /// The problem, as text.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        codec::decode_json(bytes)
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}",
            if self.service.is_empty() { "(an endpoint without a name)" } else { &self.service }
        )?;
        for message in &self.messages {
            writeln!(f, "  message {}", message.name)?;
            writeln!(f, "    takes   {}", message.message)?;
            writeln!(f, "    replies {}", message.reply)?;
        }
        for topic in &self.topics {
            let retained = if topic.retained { " (retained)" } else { "" };
            writeln!(f, "  topic {:?}{retained}", topic.topic)?;
            if !topic.item.is_null() {
                writeln!(f, "    items   {}", topic.item)?;
            }
        }
        Ok(())
    }
}
