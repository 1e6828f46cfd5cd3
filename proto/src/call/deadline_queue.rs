//! A collection of values with deadlines, each found by its identifier until it is removed.

use std::time::Instant;

/// The identifier of an entry of one queue. It is not reused until 2³² other entries had the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryId(u64);

impl EntryId {
    fn new(index: usize, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | index as u64)
    }

    fn index(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Returns the identifier as a number.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the identifier with this number. There may be no such entry.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

struct Slot<T> {
    generation: u32,
    entry: Option<Entry<T>>,
}

struct Entry<T> {
    value: T,
    deadline: Option<Instant>,
}

/// An unordered collection of values, some with a deadline. It has no limit.
pub struct DeadlineQueue<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
    /// A lower bound on all deadlines. It may be too early after an entry was removed, which costs one needless scan of the
    /// slots, and avoids a heap that every removal would have to search.
    earliest: Option<Instant>,
}

impl<T> Default for DeadlineQueue<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), earliest: None }
    }
}

impl<T> DeadlineQueue<T> {
    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Returns true if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a value. Without a deadline it never expires.
    // Always inlined, so that the value is constructed in its slot and not copied.
    #[inline(always)]
    pub fn insert(&mut self, value: T, deadline: Option<Instant>) -> EntryId {
        let entry = Some(Entry { value, deadline });
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index].entry = entry;
                index
            }
            None => {
                self.slots.push(Slot { generation: 0, entry });
                self.slots.len() - 1
            }
        };
        self.earliest = match (self.earliest, deadline) {
            (Some(earliest), Some(deadline)) => Some(earliest.min(deadline)),
            (earliest, deadline) => earliest.or(deadline),
        };
        EntryId::new(index, self.slots[index].generation)
    }

    /// Returns a value; `None` if it was removed.
    #[inline(always)]
    pub fn get_mut(&mut self, id: EntryId) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())?;
        slot.entry.as_mut().map(|entry| &mut entry.value)
    }

    /// Removes a value and returns it; `None` if it was removed before.
    #[inline]
    pub fn remove(&mut self, id: EntryId) -> Option<T> {
        let slot = self.slots.get_mut(id.index()).filter(|slot| slot.generation == id.generation())?;
        let entry = slot.entry.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index());
        Some(entry.value)
    }

    /// Returns all values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| slot.entry.as_mut().map(|entry| &mut entry.value))
    }

    /// Passes to `on_expired` the values whose deadline is not after `now`, each once. They stay, without a deadline.
    pub fn expire(&mut self, now: Instant, mut on_expired: impl FnMut(EntryId, &mut T)) {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        self.earliest = None;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(entry) = &mut slot.entry else { continue };
            let Some(deadline) = entry.deadline else { continue };
            if deadline > now {
                self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
            } else {
                entry.deadline = None;
                on_expired(EntryId::new(index, slot.generation), &mut entry.value);
            }
        }
    }

    /// Passes all values to `on_expired`. They stay, without deadlines.
    pub fn expire_all(&mut self, mut on_expired: impl FnMut(EntryId, &mut T)) {
        self.earliest = None;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(entry) = &mut slot.entry else { continue };
            entry.deadline = None;
            on_expired(EntryId::new(index, slot.generation), &mut entry.value);
        }
    }

    /// Returns the time at which [`DeadlineQueue::expire`] should be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.earliest
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_identifier_finds_its_entry_and_no_later_one_in_its_slot() {
        let mut queue = DeadlineQueue::default();
        let [first, second] = ["first", "second"].map(|value| queue.insert(value, None));
        assert_eq!((queue.remove(first), queue.remove(first)), (Some("first"), None));
        let third = queue.insert("third", None);
        assert_eq!(queue.get_mut(first), None);
        assert_eq!(queue.get_mut(third).copied(), Some("third"));
        assert_eq!(queue.get_mut(EntryId::from_bits(u64::MAX)), None, "a forged number is not found");
        assert_eq!(queue.iter_mut().map(|value| *value).collect::<Vec<_>>(), ["third", "second"]);
        assert_eq!(EntryId::from_bits(third.to_bits()), third);
        assert!(queue.remove(second).is_some() && queue.remove(third).is_some() && queue.is_empty());
    }

    #[test]
    fn entries_expire_once_and_stay_until_they_are_removed() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut queue = DeadlineQueue::default();
        let [late, soon, never] = [Some(50), Some(10), None].map(|ms| queue.insert(ms, ms.map(at)));
        let expired = |queue: &mut DeadlineQueue<_>, ms| {
            let mut expired = Vec::new();
            queue.expire(at(ms), |id, _| expired.push(id));
            expired
        };
        assert_eq!((queue.poll_timeout(), expired(&mut queue, 9)), (Some(at(10)), vec![]));
        assert_eq!((expired(&mut queue, 10), expired(&mut queue, 10)), (vec![soon], vec![]));
        assert_eq!((queue.poll_timeout(), queue.len()), (Some(at(50)), 3));
        let mut all = Vec::new();
        queue.expire_all(|id, _| all.push(id));
        assert_eq!(all, [late, soon, never]);
        assert_eq!((queue.poll_timeout(), expired(&mut queue, 100)), (None, vec![]));
    }
}
