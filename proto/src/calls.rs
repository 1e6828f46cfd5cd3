//! The requests of one connection that wait for their replies, with their deadlines.

use std::ops::Range;
use std::time::Instant;

/// Names an open call on one connection. A number is not used again before 2³² other calls had the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(u64);

impl CallId {
    fn new(index: usize, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | index as u64)
    }

    fn index(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// As it travels in a frame's header.
    pub fn to_wire(self) -> u64 {
        self.0
    }

    /// As it came in a frame's header. It may name no open call.
    pub fn from_wire(id: u64) -> Self {
        Self(id)
    }
}

struct Place<T> {
    generation: u32,
    open: Option<Open<T>>,
}

struct Open<T> {
    call: T,
    /// Its place among those that are over, if it has ended and is open only because nobody has taken note of that.
    over: Option<usize>,
    deadline: Option<Instant>,
    /// The bytes of the stream that are its request.
    bytes: Range<u64>,
}

/// A request that has no place in the stream yet.
const UNPLACED: Range<u64> = u64::MAX..u64::MAX;

/// The open calls, at most a given number of them.
pub struct Calls<T> {
    places: Vec<Place<T>>,
    free: Vec<usize>,
    limit: usize,
    opened: u64,
    /// The places of the open calls that are over.
    over: Vec<usize>,
    /// No open call has an earlier deadline. It may be too early after a call was closed, which costs one
    /// needless look through the places, and saves a queue that every reply would have to search.
    earliest: Option<Instant>,
}

impl<T> Calls<T> {
    /// No calls, and room for `limit` of them.
    pub fn new(limit: usize) -> Self {
        Self { places: Vec::new(), free: Vec::new(), limit, opened: 0, over: Vec::new(), earliest: None }
    }

    /// How many calls are open.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// How many have been opened so far.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Whether no call is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one more call would be refused.
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// Opens a call.
    ///
    /// # Errors
    /// Gives the call back when as many as the limit are open.
    // Always: a call is made in its place, and not moved there.
    #[inline(always)]
    pub fn open(&mut self, call: T, deadline: Option<Instant>) -> Result<CallId, T> {
        if self.is_full() {
            return Err(call);
        }
        self.opened += 1;
        let open = Some(Open { call, over: None, deadline, bytes: UNPLACED });
        let index = match self.free.pop() {
            Some(index) => {
                self.places[index].open = open;
                index
            }
            None => {
                self.places.push(Place { generation: 0, open });
                self.places.len() - 1
            }
        };
        self.earliest = match (self.earliest, deadline) {
            (Some(earliest), Some(deadline)) => Some(earliest.min(deadline)),
            (earliest, deadline) => earliest.or(deadline),
        };
        Ok(CallId::new(index, self.places[index].generation))
    }

    /// Notes which bytes of the stream are the request, so that [`Calls::end`] can tell what never left.
    pub fn placed(&mut self, id: CallId, bytes: Range<u64>) {
        if let Some(open) = self.find(id).and_then(|place| place.open.as_mut()) {
            open.bytes = bytes;
        }
    }

    /// Which bytes of the stream are the request of an open call.
    pub fn bytes(&mut self, id: CallId) -> Option<Range<u64>> {
        Some(self.find(id)?.open.as_ref()?.bytes.clone())
    }

    /// An open call; `None` if it is not open (any more).
    pub fn get(&mut self, id: CallId) -> Option<&mut T> {
        self.find(id)?.open.as_mut().map(|open| &mut open.call)
    }

    /// All open calls.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().filter_map(|place| place.open.as_mut().map(|open| &mut open.call))
    }

    /// Closes a call and gives what `end` takes from it; `None` if it is not open (any more), or `end` gives nothing, and then
    /// it stays open.
    #[inline]
    pub fn close_with<E>(&mut self, id: CallId, end: impl FnOnce(&mut T) -> Option<E>) -> Option<E> {
        let ended = end(&mut self.find(id)?.open.as_mut()?.call)?;
        self.vacate(id.index());
        Some(ended)
    }

    /// Shows `end` an open call that is not over; if that gives something, the call is over. It stays open until it is closed.
    #[inline(always)]
    pub fn end_with<E>(&mut self, id: CallId, end: impl FnOnce(&mut T) -> Option<E>) -> Option<E> {
        let place = self.places.get_mut(id.index()).filter(|place| place.generation == id.generation())?;
        let open = place.open.as_mut()?;
        let ended = end(&mut open.call)?;
        note_over(open, id.index(), &mut self.over);
        Some(ended)
    }

    /// Closes one of the calls that are over, if there is one: its place is for another, and what it ended in is to be kept
    /// elsewhere.
    pub fn close_over(&mut self) -> Option<(CallId, T)> {
        let index = *self.over.first()?;
        let id = CallId::new(index, self.places[index].generation);
        Some((id, self.vacate(index)?))
    }

    /// Makes a place free.
    #[inline]
    fn vacate(&mut self, index: usize) -> Option<T> {
        let place = &mut self.places[index];
        let open = place.open.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(index);
        if let Some(at) = open.over {
            self.over.swap_remove(at);
            if let Some(moved) = self.over.get(at).and_then(|moved| self.places[*moved].open.as_mut()) {
                moved.over = Some(at);
            }
        }
        Some(open.call)
    }

    /// Closes a call, and says whether it was open.
    pub fn close(&mut self, id: CallId) -> bool {
        self.close_with(id, |_| Some(())).is_some()
    }

    /// Shows `each` the calls whose deadline is not after `now`, each once, with which bytes of the stream are their requests.
    /// They are over, and stay open.
    pub fn expire(&mut self, now: Instant, mut each: impl FnMut(CallId, &mut T, Range<u64>)) {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        self.earliest = None;
        for (index, place) in self.places.iter_mut().enumerate() {
            let Some(open) = &mut place.open else { continue };
            let Some(deadline) = open.deadline else { continue };
            if deadline > now {
                self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
            } else {
                open.deadline = None;
                note_over(open, index, &mut self.over);
                each(CallId::new(index, place.generation), &mut open.call, open.bytes.clone());
            }
        }
    }

    /// When [`Calls::expire`] should be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.earliest
    }

    /// Shows `each` all open calls of a stream that has ended, each with whether its request was among the first `written`
    /// bytes: what was not can be repeated safely. They are over, and stay open.
    pub fn end(&mut self, written: u64, mut each: impl FnMut(&mut T, Fate)) {
        self.earliest = None;
        for (index, place) in self.places.iter_mut().enumerate() {
            let Some(open) = &mut place.open else { continue };
            open.deadline = None;
            note_over(open, index, &mut self.over);
            each(&mut open.call, if open.bytes.end <= written { Fate::Unknown } else { Fate::NotSent });
        }
    }

    fn find(&mut self, id: CallId) -> Option<&mut Place<T>> {
        self.places.get_mut(id.index()).filter(|place| place.generation == id.generation())
    }
}

/// Adds a call to those that are over, once.
#[inline(always)]
fn note_over<T>(open: &mut Open<T>, index: usize, over: &mut Vec<usize>) {
    if open.over.is_none() {
        open.over = Some(over.len());
        over.push(index);
    }
}

/// What became of a request whose connection ended without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never left whole: it cannot have been handled.
    NotSent,
    /// It left: it may have been handled.
    Unknown,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_reply_finds_its_call_once() {
        let mut calls = Calls::new(8);
        let [first, second] =
            ["first", "second"].map(|call| calls.open(call.to_owned(), None).expect("room"));
        calls.get(second).expect("open").push_str(" is open");
        let closed = calls.close_with(second, |call| Some(std::mem::take(call)));
        assert_eq!(closed.as_deref(), Some("second is open"));
        assert!(!calls.close(second), "a repeated reply finds nothing");
        let third = calls.open("third".to_owned(), None).expect("room");
        assert!(!calls.close(second), "nor does it find the call that has the place now");
        assert_eq!(calls.close_with(third, |_| None::<()>), None, "it stays open");
        assert_eq!(calls.get(third).map(|call| call.as_str()), Some("third"));
        assert!(calls.close(first) && calls.close(third));
        assert!(calls.is_empty());
        assert!(!calls.close(CallId::from_wire(u64::MAX)), "an invented number is no index");
    }

    #[test]
    fn calls_that_are_over_make_room_for_others_and_are_not_found_again() {
        let mut calls = Calls::new(2);
        let [first, second] = ["first", "second"].map(|call| calls.open(call, None).expect("room"));
        assert_eq!(calls.close_over(), None, "none is over");
        assert_eq!(calls.end_with(second, |_| None::<()>), None);
        assert_eq!(calls.end_with(second, |call| Some(*call)), Some("second"));
        assert_eq!((calls.close_over(), calls.close_over()), (Some((second, "second")), None));
        assert!(!calls.close(second) && calls.get(first).is_some());
        let third = calls.open("third", None).expect("room");
        assert!(calls.is_full() && third != second);
        calls.end_with(third, |_| Some(()));
        assert!(calls.close(third) && calls.close(first));
        assert_eq!(calls.close_over(), None, "it was closed");
        assert!(calls.is_empty());
    }

    #[test]
    fn calls_that_are_over_are_found_in_whichever_order_they_end_and_are_closed() {
        let mut calls = Calls::new(64);
        let ids: Vec<_> = (0..64).map(|number| calls.open(number, None).expect("room")).collect();
        let mut over = std::collections::BTreeSet::new();
        for step in 0..64_usize {
            let ended = step * 37 % 64;
            assert_eq!(calls.end_with(ids[ended], |call| Some(*call)), Some(ended));
            over.insert(ended);
            let closed = step * 11 % 64;
            if step % 3 == 0 && over.remove(&closed) {
                assert!(calls.close(ids[closed]));
            }
            if step % 5 == 0
                && let Some((id, call)) = calls.close_over()
            {
                assert!(over.remove(&call) && id == ids[call]);
            }
            assert_eq!(calls.over.len(), over.len());
        }
        while let Some((_, call)) = calls.close_over() {
            assert!(over.remove(&call));
        }
        assert!(over.is_empty() && calls.is_empty());
    }

    #[test]
    fn the_limit_gives_the_call_back() {
        let mut calls = Calls::new(1);
        let id = calls.open("in", None).expect("room");
        assert_eq!(calls.open("out", None), Err("out"));
        calls.close(id);
        assert!(calls.open("in again", None).is_ok());
    }

    #[test]
    fn calls_expire_at_their_deadline_and_not_before() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut calls = Calls::new(8);
        let late = calls.open("late", Some(at(50))).expect("room");
        let soon = calls.open("soon", Some(at(10))).expect("room");
        calls.open("never", None).expect("room");
        assert_eq!(calls.poll_timeout(), Some(at(10)));
        let expired = |calls: &mut Calls<&'static str>, ms| {
            let mut expired = Vec::new();
            calls.expire(at(ms), |id, call, _| expired.push((id, *call)));
            expired
        };
        assert!(expired(&mut calls, 9).is_empty());
        assert_eq!(expired(&mut calls, 10), [(soon, "soon")]);
        assert_eq!(calls.poll_timeout(), Some(at(50)));
        assert!(calls.close(soon) && calls.close(late));
        assert!(expired(&mut calls, 50).is_empty());
        assert_eq!((calls.poll_timeout(), calls.len()), (None, 1));
    }

    #[test]
    fn a_lost_connection_tells_what_left_from_what_did_not() {
        let mut calls = Calls::new(8);
        let gone = calls.open("gone", None).expect("room");
        let half = calls.open("half", None).expect("room");
        calls.open("not even placed", None).expect("room");
        calls.placed(gone, 0..100);
        calls.placed(half, 100..200);
        let mut fates = Vec::new();
        calls.end(150, |call, fate| fates.push((*call, fate)));
        assert_eq!(
            fates,
            [("gone", Fate::Unknown), ("half", Fate::NotSent), ("not even placed", Fate::NotSent)]
        );
        assert_eq!(calls.len(), 3, "until their callers have heard of it");
    }
}
