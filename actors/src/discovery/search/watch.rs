//! Watchers of the directory, each with a bounded queue of events that it reads at its own pace.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use actix::prelude::*;
use meshzero_proto::discovery::directory::{DirectoryEvent, Filter, Instance, Pending};
use meshzero_proto::name::ServiceName;
use parking_lot::{Mutex, MutexGuard};

use crate::runtime::waking;

/// Watches the services that `filter` selects: the watcher first receives all that are known.
///
/// A watch of anything but a single name makes the node monitor the others: it stays connected to every other node, so that it
/// notices within two seconds when one dies. A program that follows a single name has a link to it for that.
#[derive(Debug, Message)]
#[rtype(result = "Watcher")]
pub struct Watch {
    /// The services to watch.
    pub filter: Filter,
    /// The changes of addresses that are reported.
    pub addresses: AddressChanges,
}

/// The changes of addresses that a watcher receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressChanges {
    /// Only moves: some addresses are no longer the instance's own.
    Moves,
    /// Also each additional address, reported as a move, for watchers that connect to the instance.
    All,
}

/// The receiving end of a watch.
///
/// Pending events are merged, at most one per instance: a slow reader misses changes that cancelled each other out, and
/// nothing else. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<SharedQueue>,
}

#[derive(Debug, Default)]
struct SharedQueue(Mutex<WatchQueue>);

#[derive(Debug, Default)]
struct WatchQueue {
    pending: Pending,
    waker: Option<Waker>,
    /// Set if the node left; nothing follows the pending events.
    ended: bool,
    /// Set if the watcher was dropped.
    dropped: bool,
}

impl Watcher {
    /// Returns the next event; `None` after the node left.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn recv(&mut self) -> Option<DirectoryEvent> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the next event, for hand-written futures and streams.
    pub fn poll_recv(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<DirectoryEvent>> {
        let mut queue = self.shared.queue();
        match queue.pending.pop() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.ended => Poll::Ready(None),
            None => {
                let previous = queue.waker.replace(cx.waker().clone());
                drop(queue);
                // Not under the lock: dropping a waker may drop its task, and with it the watch.
                drop(previous);
                Poll::Pending
            }
        }
    }

    /// Returns the next event if one is pending.
    #[cfg(test)]
    pub(crate) fn try_recv(&mut self) -> Option<DirectoryEvent> {
        self.shared.queue().pending.pop()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.queue().dropped = true;
    }
}

impl SharedQueue {
    /// Locks the queue, which is still valid after a panic.
    fn queue(&self) -> MutexGuard<'_, WatchQueue> {
        self.0.lock()
    }
}

/// The sending ends of all watches.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Vec<WatchEntry>);

#[derive(Debug)]
struct WatchEntry {
    filter: Filter,
    addresses: AddressChanges,
    shared: Arc<SharedQueue>,
}

impl Drop for WatchEntry {
    /// Ends the watch: the node has left, or its thread has ended.
    fn drop(&mut self) {
        let waker = {
            let mut queue = self.shared.queue();
            queue.ended = true;
            queue.waker.take()
        };
        waking::wake_all(waker);
    }
}

impl Watchers {
    /// Begins a watch, to which the instances in `known` are reported at once.
    pub(crate) fn watch(&mut self, Watch { filter, addresses }: Watch, known: Vec<Instance>) -> Watcher {
        let shared = Arc::new(SharedQueue::default());
        for instance in known {
            shared.queue().pending.push(DirectoryEvent::Up(instance));
        }
        self.prune();
        self.0.push(WatchEntry { filter, addresses, shared: shared.clone() });
        Watcher { shared }
    }

    /// Reports an event to all watchers of the service.
    pub(crate) fn push(&mut self, event: DirectoryEvent) {
        self.push_to(|_| true, &event);
    }

    /// Reports additional addresses of an instance to the watchers that want all.
    pub(crate) fn push_growth(&mut self, instance: Instance) {
        self.push_to(|addresses| addresses == AddressChanges::All, &DirectoryEvent::Moved(instance));
    }

    fn push_to(&self, wanted: impl Fn(AddressChanges) -> bool, event: &DirectoryEvent) {
        for WatchEntry { filter, addresses, shared } in &self.0 {
            if wanted(*addresses) && filter.includes(&event.instance().service) {
                let waker = {
                    let mut queue = shared.queue();
                    queue.pending.push(event.clone());
                    queue.waker.take()
                };
                waking::wake_all(waker);
            }
        }
    }

    /// Returns the filters of all watchers.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.0.iter().map(|watch| &watch.filter)
    }

    /// Returns whether the filter of a watcher that is still read includes a name.
    pub(crate) fn want(&self, name: &ServiceName) -> bool {
        self.0.iter().any(|watch| watch.filter.includes(name) && !watch.shared.queue().dropped)
    }

    /// Removes watchers that are no longer read.
    pub(crate) fn prune(&mut self) {
        self.0.retain(|watch| !watch.shared.queue().dropped);
    }
}
