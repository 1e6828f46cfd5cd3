//! The publisher's side of one subscription: what comes next for its subscriber.

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

    /// Waits for what comes next, as whole frames; `None` when the publisher has closed.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&self) -> Option<Vec<Bytes>> {
        let mut until = None;
        poll_fn(|task| self.poll_next(task, &mut until)).await
    }

    fn poll_next(&self, task: &mut Context<'_>, until: &mut WaitTimer) -> Poll<Option<Vec<Bytes>>> {
        loop {
            let mut woken = Vec::new();
            let mut state = self.publisher.lock();
            let is_over = state.closed;
            if is_over {
                state.readers.release_all(self.id);
            }
            let reading = state.readers.read(self.id, task.waker(), &mut woken);
            drop(state);
            waking::wake_all(woken);
            match reading {
                ReadOutcome::Frames(frames) => return Poll::Ready(Some(frames)),
                ReadOutcome::Over => return Poll::Ready(None),
                ReadOutcome::Nothing(None) if is_over => return Poll::Ready(None),
                ReadOutcome::Nothing(None) => return Poll::Pending,
                ReadOutcome::Nothing(Some(due)) => {
                    if until.as_ref().is_none_or(|(set, _)| *set != due) {
                        *until = Some((due, self.publisher.alarms.sleep_until(Some(due))));
                    }
                    if !until.as_mut().is_some_and(|(_, alarm)| Pin::new(alarm).poll(task).is_ready()) {
                        return Poll::Pending;
                    }
                    *until = None;
                }
            }
        }
    }

    /// From now on `progress` says how far the subscriber's connection has got, in any unit: while that changes, the
    /// subscriber is waited for, though it takes nothing of what is kept for it.
    pub(crate) fn watch(&self, progress: impl Fn() -> u64 + Send + 'static) {
        self.publisher.lock().readers.watch(self.id, Box::new(progress));
    }
}

impl Drop for SubscriberStream {
    fn drop(&mut self) {
        let woken = self.publisher.lock().readers.remove(self.id);
        waking::wake_all(woken);
        self.publisher.tell_demand();
    }
}
