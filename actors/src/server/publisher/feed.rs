//! The publisher's side of one subscription: the stream of items for its subscriber.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::{PublisherShared, WaitTimer};
use crate::runtime::waking;
use crate::server::publisher::subscribers::ReadOutcome;

/// The publisher's side of one subscription. Dropping it ends the subscription.
pub struct SubscriberStream {
    publisher: Arc<PublisherShared>,
    id: u64,
}

impl SubscriberStream {
    pub(super) fn new(publisher: Arc<PublisherShared>, id: u64) -> Self {
        Self { publisher, id }
    }

    /// Waits for the next items, as whole frames; `None` when the publisher has closed.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn next(&self) -> Option<Vec<Bytes>> {
        let mut timer = None;
        poll_fn(|task| self.poll_next(task, &mut timer)).await
    }

    fn poll_next(&self, task: &mut Context<'_>, timer: &mut WaitTimer) -> Poll<Option<Vec<Bytes>>> {
        loop {
            let mut woken = Vec::new();
            let mut state = self.publisher.lock();
            let is_closed = state.closed;
            if is_closed {
                state.subscribers.release_all(self.id);
            }
            let outcome = state.subscribers.read(self.id, task.waker(), &mut woken);
            drop(state);
            waking::wake_all(woken);
            match outcome {
                ReadOutcome::Frames(frames) => return Poll::Ready(Some(frames)),
                ReadOutcome::Over => return Poll::Ready(None),
                ReadOutcome::Nothing(None) if is_closed => return Poll::Ready(None),
                ReadOutcome::Nothing(None) => return Poll::Pending,
                ReadOutcome::Nothing(Some(due)) => {
                    if timer.as_ref().is_none_or(|(at, _)| *at != due) {
                        *timer = Some((due, self.publisher.timers.sleep_until(Some(due))));
                    }
                    if !timer.as_mut().is_some_and(|(_, sleep)| Pin::new(sleep).poll(task).is_ready()) {
                        return Poll::Pending;
                    }
                    *timer = None;
                }
            }
        }
    }

    /// Sets `progress`, which returns the progress of the subscriber's connection, in any unit: while it changes, the
    /// subscriber is waited for, even if it takes nothing from its backlog.
    pub(crate) fn watch(&self, progress: impl Fn() -> u64 + Send + 'static) {
        self.publisher.lock().subscribers.watch(self.id, Box::new(progress));
    }
}

impl Drop for SubscriberStream {
    fn drop(&mut self) {
        let woken = self.publisher.lock().subscribers.remove(self.id);
        waking::wake_all(woken);
        self.publisher.notify_demand();
    }
}
