//! The requests of one connection that are waiting for their replies, with their deadlines.

use std::ops::Range;
use std::time::Instant;

use crate::call::deadline_queue::{DeadlineQueue, EntryId};

/// The identifier of an open call on one connection. It is not reused until 2³² other calls had the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(EntryId);

impl CallId {
    /// Returns the number as it travels in a frame's header.
    pub fn to_wire(self) -> u64 {
        self.0.to_bits()
    }

    /// Returns the identifier with the number in a received frame's header. There may be no such call.
    pub fn from_wire(id: u64) -> Self {
        Self(EntryId::from_bits(id))
    }
}

struct OpenCall<T> {
    call: T,
    /// Its index in the list of ended calls, if it has ended: it stays open until the caller collects the outcome.
    ended: Option<usize>,
    /// The range of its request in the stream.
    bytes: Range<u64>,
}

/// The range of a request that has no position in the stream yet.
const NOT_APPENDED: Range<u64> = u64::MAX..u64::MAX;

/// The open calls of a connection, with a limit on their number.
pub struct InFlight<T> {
    open: DeadlineQueue<OpenCall<T>>,
    limit: usize,
    opened: u64,
    /// Open calls that have ended.
    ended: Vec<EntryId>,
}

impl<T> InFlight<T> {
    /// Creates an empty table with room for `limit` calls.
    pub fn new(limit: usize) -> Self {
        Self { open: DeadlineQueue::default(), limit, opened: 0, ended: Vec::new() }
    }

    /// Returns the number of open calls.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Returns the number of calls that have been opened so far.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Returns true if no call is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns true if one more call would be refused.
    pub fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    /// Opens a call.
    ///
    /// # Errors
    /// Returns the call if the limit is reached.
    // Always inlined, so that the call is constructed in its slot and not copied.
    #[inline(always)]
    pub fn open(&mut self, call: T, deadline: Option<Instant>) -> Result<CallId, T> {
        if self.is_full() {
            return Err(call);
        }
        self.opened += 1;
        Ok(CallId(self.open.insert(OpenCall { call, ended: None, bytes: NOT_APPENDED }, deadline)))
    }

    /// Records the range of a request in the stream, so that [`InFlight::end_all`] can tell which requests were never sent.
    pub fn set_bytes(&mut self, id: CallId, bytes: Range<u64>) {
        if let Some(open) = self.open.get_mut(id.0) {
            open.bytes = bytes;
        }
    }

    /// Returns the range of an open call's request in the stream.
    pub fn bytes(&mut self, id: CallId) -> Option<Range<u64>> {
        Some(self.open.get_mut(id.0)?.bytes.clone())
    }

    /// Returns an open call; `None` if it is not open.
    pub fn get(&mut self, id: CallId) -> Option<&mut T> {
        self.open.get_mut(id.0).map(|open| &mut open.call)
    }

    /// Closes a call and returns the result of `end`. Returns `None` if the call is not open, or if `end` returns
    /// `None`, which leaves it open.
    #[inline]
    pub fn close_with<E>(&mut self, id: CallId, end: impl FnOnce(&mut T) -> Option<E>) -> Option<E> {
        let ended = end(&mut self.open.get_mut(id.0)?.call)?;
        self.remove(id.0);
        Some(ended)
    }

    /// Passes an open call that has not ended to `end`; if that returns a value, the call has ended. It stays open until it is
    /// closed.
    #[inline(always)]
    pub fn end_with<E>(&mut self, id: CallId, end: impl FnOnce(&mut T) -> Option<E>) -> Option<E> {
        let open = self.open.get_mut(id.0)?;
        let ended = end(&mut open.call)?;
        mark_ended(open, id.0, &mut self.ended);
        Some(ended)
    }

    /// Closes one of the ended calls, if there is one: its slot is needed for another call, and its outcome has to be
    /// stored elsewhere.
    pub fn close_ended(&mut self) -> Option<(CallId, T)> {
        let id = *self.ended.first()?;
        Some((CallId(id), self.remove(id)?))
    }

    /// Frees the slot of a call.
    #[inline]
    fn remove(&mut self, id: EntryId) -> Option<T> {
        let open = self.open.remove(id)?;
        if let Some(index) = open.ended {
            self.ended.swap_remove(index);
            if let Some(moved) = self.ended.get(index).and_then(|moved| self.open.get_mut(*moved)) {
                moved.ended = Some(index);
            }
        }
        Some(open.call)
    }

    /// Closes a call. Returns true if it was open.
    pub fn close(&mut self, id: CallId) -> bool {
        self.close_with(id, |_| Some(())).is_some()
    }

    /// Passes to `on_ended` the calls whose deadline is not after `now`, each once, with the ranges of their requests in the
    /// stream. They have ended, and stay open.
    pub fn expire(&mut self, now: Instant, mut on_ended: impl FnMut(CallId, &mut T, Range<u64>)) {
        self.open.expire(now, |id, open| {
            mark_ended(open, id, &mut self.ended);
            on_ended(CallId(id), &mut open.call, open.bytes.clone());
        });
    }

    /// Returns the time at which [`InFlight::expire`] should be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.open.poll_timeout()
    }

    /// Passes to `on_ended` all open calls of a stream that has ended. A request beyond the first `written` bytes was not sent
    /// and can be repeated safely. The calls have ended, and stay open.
    pub fn end_all(&mut self, written: u64, mut on_ended: impl FnMut(&mut T, SendState)) {
        self.open.expire_all(|id, open| {
            mark_ended(open, id, &mut self.ended);
            on_ended(
                &mut open.call,
                if open.bytes.end <= written { SendState::Unknown } else { SendState::NotSent },
            );
        });
    }
}

/// Adds a call to the list of ended calls, once.
#[inline(always)]
fn mark_ended<T>(open: &mut OpenCall<T>, id: EntryId, ended_ids: &mut Vec<EntryId>) {
    if open.ended.is_none() {
        open.ended = Some(ended_ids.len());
        ended_ids.push(id);
    }
}

/// The state of a request whose connection ended without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendState {
    /// It was not sent completely: it cannot have been handled.
    NotSent,
    /// It was sent: it may have been handled.
    Unknown,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_reply_finds_its_call_once() {
        let mut calls = InFlight::new(8);
        let [first, second] =
            ["first", "second"].map(|call| calls.open(call.to_owned(), None).expect("room"));
        calls.get(second).expect("open").push_str(" is open");
        let closed = calls.close_with(second, |call| Some(std::mem::take(call)));
        assert_eq!(closed.as_deref(), Some("second is open"));
        assert!(!calls.close(second), "a repeated reply finds nothing");
        let third = calls.open("third".to_owned(), None).expect("room");
        assert!(!calls.close(second), "nor does it find the call that has the slot now");
        assert_eq!(calls.close_with(third, |_| None::<()>), None, "it stays open");
        assert_eq!(calls.get(third).map(|call| call.as_str()), Some("third"));
        assert!(calls.close(first) && calls.close(third));
        assert!(calls.is_empty());
        assert!(!calls.close(CallId::from_wire(u64::MAX)), "a forged number is not found");
    }

    #[test]
    fn ended_calls_make_room_for_others_and_are_not_found_again() {
        let mut calls = InFlight::new(2);
        let [first, second] = ["first", "second"].map(|call| calls.open(call, None).expect("room"));
        assert_eq!(calls.close_ended(), None, "none is over");
        assert_eq!(calls.end_with(second, |_| None::<()>), None);
        assert_eq!(calls.end_with(second, |call| Some(*call)), Some("second"));
        assert_eq!((calls.close_ended(), calls.close_ended()), (Some((second, "second")), None));
        assert!(!calls.close(second) && calls.get(first).is_some());
        let third = calls.open("third", None).expect("room");
        assert!(calls.is_full() && third != second);
        calls.end_with(third, |_| Some(()));
        assert!(calls.close(third) && calls.close(first));
        assert_eq!(calls.close_ended(), None, "it was closed");
        assert!(calls.is_empty());
    }

    #[test]
    fn ended_calls_are_listed_in_any_order_of_ending_and_closing() {
        let mut calls = InFlight::new(64);
        let ids: Vec<_> = (0..64).map(|number| calls.open(number, None).expect("room")).collect();
        let mut ended_ids = std::collections::BTreeSet::new();
        for step in 0..64_usize {
            let ended = step * 37 % 64;
            assert_eq!(calls.end_with(ids[ended], |call| Some(*call)), Some(ended));
            ended_ids.insert(ended);
            let closed = step * 11 % 64;
            if step % 3 == 0 && ended_ids.remove(&closed) {
                assert!(calls.close(ids[closed]));
            }
            if step % 5 == 0
                && let Some((id, call)) = calls.close_ended()
            {
                assert!(ended_ids.remove(&call) && id == ids[call]);
            }
            assert_eq!(calls.ended.len(), ended_ids.len());
        }
        while let Some((_, call)) = calls.close_ended() {
            assert!(ended_ids.remove(&call));
        }
        assert!(ended_ids.is_empty() && calls.is_empty());
    }

    #[test]
    fn a_call_beyond_the_limit_is_returned() {
        let mut calls = InFlight::new(1);
        let id = calls.open("in", None).expect("room");
        assert_eq!(calls.open("out", None), Err("out"));
        calls.close(id);
        assert!(calls.open("in again", None).is_ok());
    }

    #[test]
    fn calls_expire_at_their_deadline_and_not_before() {
        let start = Instant::now();
        let index = |ms| start + Duration::from_millis(ms);
        let mut calls = InFlight::new(8);
        let late = calls.open("late", Some(index(50))).expect("room");
        let soon = calls.open("soon", Some(index(10))).expect("room");
        calls.open("never", None).expect("room");
        assert_eq!(calls.poll_timeout(), Some(index(10)));
        let expired = |calls: &mut InFlight<&'static str>, ms| {
            let mut expired = Vec::new();
            calls.expire(index(ms), |id, call, _| expired.push((id, *call)));
            expired
        };
        assert!(expired(&mut calls, 9).is_empty());
        assert_eq!(expired(&mut calls, 10), [(soon, "soon")]);
        assert_eq!(calls.poll_timeout(), Some(index(50)));
        assert!(calls.close(soon) && calls.close(late));
        assert!(expired(&mut calls, 50).is_empty());
        assert_eq!((calls.poll_timeout(), calls.len()), (None, 1));
    }

    #[test]
    fn a_lost_connection_distinguishes_sent_from_unsent_requests() {
        let mut calls = InFlight::new(8);
        let gone = calls.open("gone", None).expect("room");
        let half = calls.open("half", None).expect("room");
        calls.open("not even queued", None).expect("room");
        calls.set_bytes(gone, 0..100);
        calls.set_bytes(half, 100..200);
        let mut states = Vec::new();
        calls.end_all(150, |call, state| states.push((*call, state)));
        assert_eq!(
            states,
            [
                ("gone", SendState::Unknown),
                ("half", SendState::NotSent),
                ("not even queued", SendState::NotSent)
            ]
        );
        assert_eq!(calls.len(), 3, "until their callers have collected the outcomes");
    }
}
