//! A queue that takes items back, each to its place in the order of arrival.

use std::collections::VecDeque;

/// A queue of items in the order of arrival. Its user bounds it.
pub(super) struct Queue<T> {
    waiting: VecDeque<Sequenced<T>>,
    /// The number of items that have arrived so far.
    count: u64,
}

/// An item that was taken, with its place in the order.
pub(super) struct Sequenced<T> {
    number: u64,
    pub(super) item: T,
}

impl<T> Queue<T> {
    /// Adds an item.
    pub(super) fn push(&mut self, item: T) {
        let item = self.take_at_once(item);
        self.waiting.push_back(item);
    }

    /// Takes an item at once, without queueing it. No earlier item may be queued.
    pub(super) fn take_at_once(&mut self, item: T) -> Sequenced<T> {
        let number = self.count;
        self.count += 1;
        Sequenced { number, item }
    }

    /// Takes the first item.
    pub(super) fn take(&mut self) -> Option<Sequenced<T>> {
        self.waiting.pop_front()
    }

    /// Takes an item that arrived before `other`, if one was given back.
    pub(super) fn take_before(&mut self, other: &Sequenced<T>) -> Option<Sequenced<T>> {
        let is_earlier = self.waiting.front()?.number < other.number;
        if is_earlier { self.waiting.pop_front() } else { None }
    }

    /// Takes back an item that was taken. It comes before all that came after it.
    pub(super) fn give_back(&mut self, back: Sequenced<T>) {
        let place = self.waiting.partition_point(|other| other.number < back.number);
        self.waiting.insert(place, back);
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), count: 0 }
    }
}

impl<T> IntoIterator for Queue<T> {
    type Item = T;
    type IntoIter =
        std::iter::Map<std::collections::vec_deque::IntoIter<Sequenced<T>>, fn(Sequenced<T>) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.waiting.into_iter().map(|numbered| numbered.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_has_its_place_again() {
        let mut queue = Queue::default();
        let first = queue.take_at_once('a');
        ('b'..='e').for_each(|item| queue.push(item));
        let mut take = || queue.take().expect("it waits");
        let (second, third, fourth) = (take(), take(), take());
        assert_eq!(fourth.item, 'd');
        for back in [fourth, second, third, first] {
            queue.give_back(back);
        }
        queue.push('f');
        assert!(queue.into_iter().eq('a'..='f'));
    }

    #[test]
    fn what_has_come_back_is_taken_before_what_came_after_it() {
        let mut queue = Queue::default();
        ('a'..='d').for_each(|item| queue.push(item));
        let mut take = || queue.take().expect("it waits");
        let (first, second, third) = (take(), take(), take());
        queue.give_back(second);
        assert!(queue.take_before(&first).is_none());
        assert!(queue.take_before(&third).is_some_and(|second| second.item == 'b'));
        queue.give_back(first);
        assert!(queue.take_before(&third).is_some_and(|first| first.item == 'a'));
        assert!(queue.take_before(&third).is_none(), "what came later waits");
    }
}
