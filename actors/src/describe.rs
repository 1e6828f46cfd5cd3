//! What a service of this node says of itself when it is asked.

use meshzero_proto::description::{Description, MessageDescription, TopicDescription};

use crate::service::Service;

/// The description of `service` as it is now.
pub fn describe(service: &Service) -> Description {
    let messages = service.messages().iter().map(|info| {
        let (message, reply) = match &info.documented {
            Some(documented) => (documented.message.clone(), documented.reply.clone()),
            None => (info.message.schema(), info.reply.schema()),
        };
        MessageDescription { name: info.name.to_string(), message, reply }
    });
    let topics = service.publisher.topics().into_iter().map(|info| TopicDescription {
        topic: info.topic.to_string(),
        item: info.item.map(|item| item.schema()).unwrap_or_default(),
        retained: info.retained,
    });
    Description {
        service: service.identity.name.as_ref().map(ToString::to_string).unwrap_or_default(),
        messages: messages.collect(),
        topics: topics.collect(),
    }
}
