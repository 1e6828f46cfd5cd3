//! Unread events of a watcher, merged so that a slow watcher costs bounded memory.

use std::collections::{BTreeMap, HashMap};

use super::DirectoryEvent;
use crate::id::InstanceId;

/// A queue of events for one reader: at most one per instance.
///
/// A reader that falls behind misses changes that cancelled each other out, never the final state. The queue holds at most one
/// event for each instance that the reader has seen or that is up, so the directory's own limit bounds it.
#[derive(Debug, Default)]
pub struct Pending {
    events: BTreeMap<u64, DirectoryEvent>,
    slots: HashMap<InstanceId, u64>,
    next: u64,
}

impl Pending {
    /// Adds an event, merged with the queued one of the same instance.
    pub fn push(&mut self, event: DirectoryEvent) {
        use DirectoryEvent::{Down, Moved, Up};
        let id = event.instance().id;
        let Some(&slot) = self.slots.get(&id) else {
            self.slots.insert(id, self.next);
            self.events.insert(self.next, event);
            self.next += 1;
            return;
        };
        let merged = match (self.events.remove(&slot), event) {
            // The reader does not know it yet.
            (Some(Up(_)), Down { .. }) => None,
            (Some(Up(_)), Up(instance) | Moved(instance)) => Some(Up(instance)),
            // The reader has seen it up, and it is up again.
            (Some(Down { .. } | Moved(_)), Up(instance)) => Some(Moved(instance)),
            (_, event) => Some(event),
        };
        match merged {
            Some(event) => {
                self.events.insert(slot, event);
            }
            None => {
                self.slots.remove(&id);
            }
        }
    }

    /// Removes and returns the oldest event.
    pub fn pop(&mut self) -> Option<DirectoryEvent> {
        let (_, event) = self.events.pop_first()?;
        self.slots.remove(&event.instance().id);
        Some(event)
    }

    /// Returns the number of queued events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns true if no event is queued.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}
