//! The only link of a route, cached by each thread that sends: reading the members that all threads share takes two atomic
//! read-modify-write operations, and some 50 of the 550 instructions of a small message.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::route::Member;

/// The number of entries of a thread. Routes whose numbers differ by a multiple of it share one. A link that has ended stays in
/// memory, without its queue, until its entry is replaced or the thread ends.
const ENTRIES: usize = 128;

/// The number of misses of a thread for each link that is inserted: an insertion costs more than a few misses, so routes that
/// share an entry must not replace each other with every message.
const MISSES_PER_INSERTION: u32 = 32;

thread_local! {
    static MISSES: Cell<u32> = const { Cell::new(0) };
    static ENTRIES_OF_THREAD: [Cell<Option<Box<Entry>>>; ENTRIES] = const { [const { Cell::new(None) }; ENTRIES] };
}

struct Entry {
    version: RouteVersion,
    link: Member,
}

/// The number of a route, and that of the latest change of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteVersion {
    route: u64,
    change: u64,
}

/// The counter of the changes of a route's members.
#[derive(Debug)]
pub(crate) struct RouteChanges {
    route: u64,
    changes: AtomicU64,
}

impl Default for RouteChanges {
    fn default() -> Self {
        static NEXT_ROUTE: AtomicU64 = AtomicU64::new(0);
        Self { route: NEXT_ROUTE.fetch_add(1, Ordering::Relaxed), changes: AtomicU64::new(0) }
    }
}

impl RouteChanges {
    /// Returns the current version, to be read before the members: after a later change they are out of date.
    #[inline(always)]
    pub(crate) fn version(&self) -> RouteVersion {
        RouteVersion { route: self.route, change: self.changes.load(Ordering::Acquire) }
    }

    /// Counts a change of the members, once it can be seen.
    pub(crate) fn record(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }
}

/// A link taken from the cache of this thread; dropping it puts it back. Meanwhile, messages that the thread sends while it
/// encodes this one do without.
pub(crate) struct CachedLink(Option<Box<Entry>>);

impl CachedLink {
    /// Takes the link of that version, if it is cached.
    #[inline(always)]
    pub(crate) fn take(version: RouteVersion) -> Self {
        // A thread that ends has no cache.
        let taken = Self(ENTRIES_OF_THREAD.try_with(|entries| entries[index(version)].take()).ok().flatten());
        if taken.0.as_ref().is_some_and(|entry| entry.version == version) { taken } else { Self(None) }
    }

    /// Inserts the only link of that version, which is not cached; now and then only.
    pub(crate) fn insert(version: RouteVersion, link: &Member) {
        let misses = MISSES.get() + 1;
        MISSES.set(misses % MISSES_PER_INSERTION);
        if misses == MISSES_PER_INSERTION {
            drop(Self(Some(Box::new(Entry { version, link: link.clone() }))));
        }
    }

    /// Returns the link, if there is one.
    #[inline(always)]
    pub(crate) fn link(&self) -> Option<&Member> {
        self.0.as_ref().map(|entry| &entry.link)
    }
}

impl Drop for CachedLink {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(entry) = self.0.take() {
            let index = index(entry.version);
            let _ = ENTRIES_OF_THREAD.try_with(|entries| entries[index].set(Some(entry)));
        }
    }
}

#[inline(always)]
fn index(version: RouteVersion) -> usize {
    version.route as usize % ENTRIES
}
