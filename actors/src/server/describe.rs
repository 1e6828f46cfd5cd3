//! The description of a service of this node: built once, on a thread of its own, and cached.
//!
//! Building a schema runs the `Deserialize` of the types, which takes longer the larger they are. So all requests,
//! however many and however concurrent, wait for one thread that builds it, and then receive the same bytes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use meshzero_proto::wire::description::{Description, MessageDescription, TopicDescription};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::runtime::events;
use crate::server::service::Service;

/// The description of one service, as of the last request.
#[derive(Debug, Default)]
pub(crate) struct DescriptionCache {
    build: Mutex<Option<DescriptionWatch>>,
}

/// The result of a build, once it is complete: independent of the tasks that wait for it.
type DescriptionWatch = watch::Receiver<Option<CachedDescription>>;

#[derive(Debug, Clone)]
struct CachedDescription {
    hash: u64,
    description: Arc<Description>,
    bytes: Bytes,
}

impl DescriptionCache {
    fn lock(&self) -> MutexGuard<'_, Option<DescriptionWatch>> {
        self.build.lock()
    }
}

/// Returns the current description of `service`.
///
/// # Cancel safety
/// This function is cancel safe.
pub(crate) async fn describe(service: &Arc<Service>) -> Arc<Description> {
    up_to_date(service).await.description
}

/// Returns the current description of `service`, encoded.
pub(crate) async fn describe_encoded(service: &Arc<Service>) -> Bytes {
    up_to_date(service).await.bytes
}

/// Returns the encoded description if it has been built already.
pub(crate) fn cached_bytes(service: &Service) -> Option<Bytes> {
    let hash = content_hash(service);
    let build = service.description.lock();
    let cached = build.as_ref()?.borrow();
    cached.as_ref().filter(|cached| cached.hash == hash).map(|cached| cached.bytes.clone())
}

/// Returns the description as of this call or later.
async fn up_to_date(service: &Arc<Service>) -> CachedDescription {
    let cached = finished(service, current_build(service)).await;
    if cached.hash == content_hash(service) {
        return cached;
    }
    // The build was started before this call. The next one will not be.
    finished(service, current_build(service)).await
}

async fn finished(service: &Service, mut build: DescriptionWatch) -> CachedDescription {
    let description = build.wait_for(Option::is_some).await.ok().and_then(|built| built.clone());
    description.unwrap_or_else(|| CachedDescription::new(0, build_without_schemas(service)))
}

/// Returns the build that is in progress, or has resulted in the current description; starts one if there is none.
fn current_build(service: &Arc<Service>) -> DescriptionWatch {
    let hash = content_hash(service);
    let mut build = service.description.lock();
    if let Some(current) = build.as_ref().filter(|build| is_current(build, hash)) {
        return current.clone();
    }
    let (tx, rx) = watch::channel(None);
    let described = Arc::clone(service);
    let started = thread::Builder::new().name("meshzero-describe".into()).spawn(move || {
        let built = catch_unwind(AssertUnwindSafe(|| build_with_schemas(&described)));
        // If the types panic in an unforeseen way, the description is built without them, and they are not tried again.
        let description = built.unwrap_or_else(|_| {
            tracing::warn!(service = ?described.identity.name, "a description omits its types, because they panic");
            CachedDescription::new(hash, build_without_schemas(&described))
        });
        tx.send_replace(Some(description));
    });
    match started {
        Ok(_) => *build = Some(rx.clone()),
        Err(error) => {
            drop(build);
            let service = &service.identity.name;
            events::record(
                || tracing::warn!(%error, ?service, "cannot start the thread that builds a description"),
            );
        }
    }
    rx
}

fn is_current(build: &DescriptionWatch, hash: u64) -> bool {
    match &*build.borrow() {
        Some(built) => built.hash == hash,
        // Without a sender the build has failed.
        None => build.has_changed().is_ok(),
    }
}

impl CachedDescription {
    fn new(hash: u64, description: Description) -> Self {
        Self { hash, bytes: description.to_bytes().into(), description: Arc::new(description) }
    }
}

/// Returns a hash that changes when the description does: message types stay the same, and topics are only added.
fn content_hash(service: &Service) -> u64 {
    let mut hasher = DefaultHasher::new();
    service.publisher.each_topic(|item, retains| (item.map(std::ptr::from_ref), retains).hash(&mut hasher));
    hasher.finish()
}

fn build_with_schemas(service: &Service) -> CachedDescription {
    let hash = content_hash(service);
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
    CachedDescription::new(hash, description)
}

fn build_without_schemas(service: &Service) -> Description {
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
