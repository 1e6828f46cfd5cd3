//! The description of a service of this node, for whoever asks: put together once, away from the node's thread, and kept.
//!
//! Making a schema runs the `Deserialize` of the types, which takes as long as they are large. So whoever asks, however often and however
//! many at a time, waits for one thread that does this, and is then given the same bytes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use meshzero_proto::wire::description::{Description, MessageDescription, TopicDescription};
use tokio::sync::watch;

use crate::runtime::events;
use crate::server::service::Service;

/// The description of one service, as it was when somebody asked last.
#[derive(Debug, Default)]
pub(crate) struct DescriptionCache {
    work: Mutex<Option<DescriptionWatch>>,
}

/// A description that is put together, or has been: independent of those who wait for it.
type DescriptionWatch = watch::Receiver<Option<CachedDescription>>;

#[derive(Debug, Clone)]
struct CachedDescription {
    mark: u64,
    description: Arc<Description>,
    bytes: Bytes,
}

impl DescriptionCache {
    fn lock(&self) -> MutexGuard<'_, Option<DescriptionWatch>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The description of `service` as it is now.
///
/// # Cancel safety
/// This function is cancel safe.
pub(crate) async fn describe(service: &Arc<Service>) -> Arc<Description> {
    kept(service).await.description
}

/// The same as it travels.
pub(crate) async fn encoded(service: &Arc<Service>) -> Bytes {
    kept(service).await.bytes
}

/// The same if it has been put together already.
pub(crate) fn encoded_already(service: &Service) -> Option<Bytes> {
    let mark = mark(service);
    let work = service.described.lock();
    let kept = work.as_ref()?.borrow();
    kept.as_ref().filter(|kept| kept.mark == mark).map(|kept| kept.bytes.clone())
}

async fn kept(service: &Arc<Service>) -> CachedDescription {
    let kept = finished(service, work(service)).await;
    if kept.mark == mark(service) {
        return kept;
    }
    // It was begun before this was asked for. The next one is not.
    finished(service, work(service)).await
}

async fn finished(service: &Service, mut work: DescriptionWatch) -> CachedDescription {
    let kept = work.wait_for(Option::is_some).await.ok().and_then(|kept| kept.clone());
    kept.unwrap_or_else(|| CachedDescription::new(0, without_schemas(service)))
}

/// The work that is under way, or has made what is the description now; begun if there is none.
fn work(service: &Arc<Service>) -> DescriptionWatch {
    let mark = mark(service);
    let mut work = service.described.lock();
    if let Some(known) = work.as_ref().filter(|known| is_of_use(known, mark)) {
        return known.clone();
    }
    let (tell, told) = watch::channel(None);
    let described = Arc::clone(service);
    let started = thread::Builder::new().name("meshzero-describe".into()).spawn(move || {
        let made = catch_unwind(AssertUnwindSafe(|| put_together(&described)));
        // With types that panic in new ways it says what it can without the types, and does not try them again.
        let kept = made.unwrap_or_else(|_| {
            tracing::warn!(service = ?described.identity.name, "a description is without its types, which panic");
            CachedDescription::new(mark, without_schemas(&described))
        });
        tell.send_replace(Some(kept));
    });
    match started {
        Ok(_) => *work = Some(told.clone()),
        Err(error) => {
            drop(work);
            let service = &service.identity.name;
            events::record(|| tracing::warn!(%error, ?service, "no thread to make a description"));
        }
    }
    told
}

fn is_of_use(work: &DescriptionWatch, mark: u64) -> bool {
    match &*work.borrow() {
        Some(kept) => kept.mark == mark,
        // Without a sender it has come to nothing.
        None => work.has_changed().is_ok(),
    }
}

impl CachedDescription {
    fn new(mark: u64, description: Description) -> Self {
        Self { mark, bytes: description.to_bytes().into(), description: Arc::new(description) }
    }
}

/// Changes when the description does: messages stay the same, and topics are only added.
fn mark(service: &Service) -> u64 {
    let mut hasher = DefaultHasher::new();
    service.publisher.each_topic(|item, retains| (item.map(std::ptr::from_ref), retains).hash(&mut hasher));
    hasher.finish()
}

fn put_together(service: &Service) -> CachedDescription {
    let mark = mark(service);
    let messages = service.types.iter().map(|info| {
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
    let description = Description {
        service: service.identity.name.as_ref().map(ToString::to_string).unwrap_or_default(),
        messages: messages.collect(),
        topics: topics.collect(),
    };
    CachedDescription::new(mark, description)
}

fn without_schemas(service: &Service) -> Description {
    let messages = service.types.iter().map(|info| MessageDescription {
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
