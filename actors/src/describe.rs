//! What a service of this node says of itself when it is asked: put together once, away from the node's thread, and kept.
//!
//! Making a schema runs the `Deserialize` of the types, which takes as long as they are large. So whoever asks, however often and however
//! many at a time, waits for one thread that does this, and is then given the same bytes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use meshzero_proto::description::{Description, MessageDescription, TopicDescription};
use tokio::sync::{Mutex, oneshot};

use crate::service::Service;

/// The description of one service, as it was when somebody asked last.
#[derive(Debug, Default)]
pub(crate) struct Described {
    /// Held by whoever has it put together; all others wait.
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    mark: u64,
    description: Arc<Description>,
    bytes: Bytes,
}

/// The description of `service` as it is now.
///
/// # Cancel safety
/// This function is cancel safe.
pub async fn describe(service: &Arc<Service>) -> Arc<Description> {
    kept(service).await.description
}

/// The same as it travels.
pub(crate) async fn encoded(service: &Arc<Service>) -> Bytes {
    kept(service).await.bytes
}

/// The same if it has been put together already.
pub(crate) fn encoded_already(service: &Service) -> Option<Bytes> {
    let kept = service.described.kept.try_lock().ok()?;
    kept.as_ref().filter(|kept| kept.mark == mark(service)).map(|kept| kept.bytes.clone())
}

async fn kept(service: &Arc<Service>) -> Kept {
    let mut kept = service.described.kept.lock().await;
    if let Some(known) = kept.as_ref().filter(|known| known.mark == mark(service)) {
        return known.clone();
    }
    let (tell, told) = oneshot::channel();
    let described = Arc::clone(service);
    let started = thread::Builder::new().name("meshzero-describe".into()).spawn(move || {
        // Nobody waits any more when this fails.
        let _ = tell.send(put_together(&described));
    });
    let now = match (started, told.await) {
        (Ok(_), Ok(now)) => now,
        // Without a thread, or with types that panic in new ways, it says what it can without the types.
        (started, _) => {
            tracing::warn!(error = ?started.err(), service = ?service.identity.name, "no description could be made");
            let description = Arc::new(without_schemas(service));
            return Kept { mark: 0, bytes: description.to_bytes().into(), description };
        }
    };
    kept.insert(now).clone()
}

/// Changes when the description does: messages stay the same, and topics are only added.
fn mark(service: &Service) -> u64 {
    let mut hasher = DefaultHasher::new();
    service.publisher.each_topic(|item, retains| (item.map(std::ptr::from_ref), retains).hash(&mut hasher));
    hasher.finish()
}

fn put_together(service: &Service) -> Kept {
    let mark = mark(service);
    let messages = service.messages().iter().map(|info| {
        let (message, reply) = match &info.documented {
            Some(documented) => (documented.message.clone(), documented.reply.clone()),
            None => (info.message.schema().clone(), info.reply.schema().clone()),
        };
        MessageDescription { name: info.name.to_string(), message, reply }
    });
    let topics = service.publisher.topics().into_iter().map(|info| TopicDescription {
        topic: info.topic.to_string(),
        item: info.item.map(|item| item.schema().clone()).unwrap_or_default(),
        retained: info.retained,
    });
    let description = Arc::new(Description {
        service: service.identity.name.as_ref().map(ToString::to_string).unwrap_or_default(),
        messages: messages.collect(),
        topics: topics.collect(),
    });
    Kept { mark, bytes: description.to_bytes().into(), description }
}

fn without_schemas(service: &Service) -> Description {
    let messages = service.messages().iter().map(|info| MessageDescription {
        name: info.name.to_string(),
        message: Default::default(),
        reply: Default::default(),
    });
    let topics = service.publisher.topics().into_iter().map(|info| TopicDescription {
        topic: info.topic.to_string(),
        item: Default::default(),
        retained: info.retained,
    });
    Description {
        service: service.identity.name.as_ref().map(ToString::to_string).unwrap_or_default(),
        messages: messages.collect(),
        topics: topics.collect(),
    }
}
