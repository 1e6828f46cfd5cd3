//! The description of a service of this node: built once, on a thread of its own, and cached.
//!
//! Building a schema runs the `Deserialize` of the types, which takes longer the larger they are. So all requests,
//! however many and however concurrent, wait for one thread that builds it, and then receive the same bytes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use meshzero_proto::wire::description::{Description, MessageDescription, TopicDescription};
use tokio::sync::watch;

use crate::runtime::events;
use crate::server::service::Service;

/// The description of one service, as of the last request.
#[derive(Debug, Default)]
pub(crate) struct DescriptionCache {
    build: Mutex<Option<DescriptionWatch>>,
}

/// The description being built, or the result: independent of the tasks that wait for it.
type DescriptionWatch = watch::Receiver<Option<CachedDescription>>;

#[derive(Debug, Clone)]
struct CachedDescription {
    mark: u64,
    description: Arc<Description>,
    bytes: Bytes,
}

impl DescriptionCache {
    fn lock(&self) -> MutexGuard<'_, Option<DescriptionWatch>> {
        self.build.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the current description of `service`.
///
/// # Cancel safety
/// This function is cancel safe.
pub(crate) async fn describe(service: &Arc<Service>) -> Arc<Description> {
    cached(service).await.description
}

/// Returns the current description of `service`, encoded.
pub(crate) async fn describe_encoded(service: &Arc<Service>) -> Bytes {
    cached(service).await.bytes
}

/// Returns the encoded description if it has been built already.
pub(crate) fn cached_bytes(service: &Service) -> Option<Bytes> {
    let mark = mark(service);
    let work = service.description.lock();
    let kept = work.as_ref()?.borrow();
    kept.as_ref().filter(|kept| kept.mark == mark).map(|kept| kept.bytes.clone())
}

async fn cached(service: &Arc<Service>) -> CachedDescription {
    let kept = finished(service, build(service)).await;
    if kept.mark == mark(service) {
        return kept;
    }
    // It was begun before this request. The next one was not.
    finished(service, build(service)).await
}

async fn finished(service: &Service, mut work: DescriptionWatch) -> CachedDescription {
    let kept = work.wait_for(Option::is_some).await.ok().and_then(|kept| kept.clone());
    kept.unwrap_or_else(|| CachedDescription::new(0, without_schemas(service)))
}

/// Returns the build that is under way, or has resulted in the current description; starts one if there is none.
fn build(service: &Arc<Service>) -> DescriptionWatch {
    let mark = mark(service);
    let mut work = service.description.lock();
    if let Some(known) = work.as_ref().filter(|known| is_of_use(known, mark)) {
        return known.clone();
    }
    let (tx, rx) = watch::channel(None);
    let described = Arc::clone(service);
    let started = thread::Builder::new().name("meshzero-describe".into()).spawn(move || {
        let made = catch_unwind(AssertUnwindSafe(|| put_together(&described)));
        // A description whose types panic in an unforeseen way is built without the types, and they are not tried
        // again.
        let kept = made.unwrap_or_else(|_| {
            tracing::warn!(service = ?described.identity.name, "a description is without its types, which panic");
            CachedDescription::new(mark, without_schemas(&described))
        });
        tx.send_replace(Some(kept));
    });
    match started {
        Ok(_) => *work = Some(rx.clone()),
        Err(error) => {
            drop(work);
            let service = &service.identity.name;
            events::record(|| tracing::warn!(%error, ?service, "no thread to make a description"));
        }
    }
    rx
}

fn is_of_use(work: &DescriptionWatch, mark: u64) -> bool {
    match &*work.borrow() {
        Some(kept) => kept.mark == mark,
        // Without a sender the build has failed.
        None => work.has_changed().is_ok(),
    }
}

impl CachedDescription {
    fn new(mark: u64, description: Description) -> Self {
        Self { mark, bytes: description.to_bytes().into(), description: Arc::new(description) }
    }
}

/// Returns a hash that changes when the description does: message types stay the same, and topics are only added.
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
