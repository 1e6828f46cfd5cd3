//! The publishers that wait for room, in the order in which they began to wait.
//!
//! Nobody overtakes who waits for the same subscribers. But a publisher is a future of the program, which may be polled no more: who
//! was woken and does not look holds up the others for a moment only.

use std::task::Waker;
use std::time::{Duration, Instant};

use crate::clock;

/// How long one who was woken has its turn without looking.
const GRACE: Duration = Duration::from_millis(50);

/// The publishers that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// In the order of their tickets.
    all: Vec<Waiter>,
    next: u64,
}

/// The place of one among those who wait. Lower ones come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    /// The identities of the shelves at which there is no room for it.
    shelves: Vec<u64>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Until it is woken.
    Asleep(Waker),
    /// It has not looked since then.
    Woken(Instant),
}

impl Waiters {
    /// Returns whether nobody waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Has `publisher` wait, at its place if it has waited before. Returns that, and the waker that it replaces, which is to be dropped
    /// once nothing is locked: with it a task may go, and with that another publisher. Those who may have waited for it at another shelf
    /// are added to `woken`.
    pub(crate) fn wait(
        &mut self,
        ticket: Option<Ticket>,
        shelves: Vec<u64>,
        publisher: &Waker,
        woken: &mut Vec<Waker>,
    ) -> (Ticket, Option<Waker>) {
        let mut stale = None;
        let ticket = ticket.unwrap_or_else(|| {
            self.next += 1;
            Ticket(self.next)
        });
        let waiter = Waiter { ticket, shelves, state: State::Asleep(publisher.clone()) };
        match self.all.binary_search_by_key(&ticket, |waiter| waiter.ticket) {
            Ok(at) => {
                let before = std::mem::replace(&mut self.all[at], waiter);
                let is_still_there = |shelf| self.all[at].shelves.contains(shelf);
                if !before.shelves.iter().all(is_still_there) {
                    woken.extend(self.wake(|other| other > ticket));
                }
                if let State::Asleep(waker) = before.state {
                    stale = Some(waker);
                }
            }
            Err(at) => self.all.insert(at, waiter),
        }
        (ticket, stale)
    }

    /// Until when one who wants room at a shelf lets those have theirs who began to wait before, `longest` from now at the most; `None`
    /// if it need not.
    pub(crate) fn turn_of_others(
        &self,
        ticket: Option<Ticket>,
        shelf: u64,
        now: Instant,
        longest: Duration,
    ) -> Option<Instant> {
        let before = self.all.iter().take_while(|other| ticket.is_none_or(|ticket| other.ticket < ticket));
        let until = before.filter(|other| other.shelves.contains(&shelf)).map(|other| match other.state {
            // What wakes it wakes everybody.
            State::Asleep(_) => clock::later(now, longest),
            State::Woken(at) => at + GRACE,
        });
        until.max().filter(|until| *until > now)
    }

    /// Somebody waits no more, and those behind may have their turn. Returns whom to wake, and what to drop once nothing is locked.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> (Vec<Waker>, impl Sized + use<>) {
        let place = self.all.binary_search_by_key(&ticket, |waiter| waiter.ticket);
        let gone = place.ok().map(|at| self.all.remove(at));
        (self.wake(|other| other > ticket), gone)
    }

    /// There may be room. Returns whom to wake, in order.
    pub(crate) fn wake_all(&mut self) -> Vec<Waker> {
        self.wake(|_| true)
    }

    fn wake(&mut self, whom: impl Fn(Ticket) -> bool) -> Vec<Waker> {
        if self.all.is_empty() {
            return Vec::new();
        }
        let now = clock::now();
        let mut woken = Vec::new();
        for waiter in self.all.iter_mut().filter(|waiter| whom(waiter.ticket)) {
            if let State::Asleep(_) = waiter.state
                && let State::Asleep(waker) = std::mem::replace(&mut waiter.state, State::Woken(now))
            {
                woken.push(waker);
            }
        }
        woken
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const LONGEST: Duration = Duration::from_secs(5);

    fn wait(waiters: &mut Waiters, ticket: Option<Ticket>, shelves: &[u64]) -> (Ticket, usize) {
        let mut woken = Vec::new();
        let (ticket, _) = waiters.wait(ticket, shelves.to_vec(), Waker::noop(), &mut woken);
        (ticket, woken.len())
    }

    #[test]
    fn who_came_before_has_its_turn_at_the_shelves_for_which_it_waits() {
        let (mut waiters, now) = (Waiters::default(), clock::now());
        let (first, _) = wait(&mut waiters, None, &[1, 2]);
        let (second, _) = wait(&mut waiters, None, &[2]);
        let has_turn =
            |waiters: &Waiters, ticket, shelf| waiters.turn_of_others(ticket, shelf, now, LONGEST).is_none();
        assert!(has_turn(&waiters, Some(first), 1) && has_turn(&waiters, Some(first), 2));
        assert!(has_turn(&waiters, Some(second), 3) && !has_turn(&waiters, Some(second), 2));
        assert!(has_turn(&waiters, None, 3) && !has_turn(&waiters, None, 1));
        assert_eq!(wait(&mut waiters, Some(first), &[2]), (first, 1), "there is room at the other one now");
        assert!(has_turn(&waiters, None, 1) && !has_turn(&waiters, Some(second), 2));
        assert_eq!(wait(&mut waiters, Some(second), &[2]), (second, 0));
        assert_eq!(waiters.leave(first).0.len(), 1);
        assert!(has_turn(&waiters, Some(second), 2));
        assert!(waiters.leave(second).0.is_empty() && waiters.is_empty());
    }

    #[test]
    fn who_is_woken_and_does_not_look_holds_up_others_for_a_moment_only() {
        let mut waiters = Waiters::default();
        let (first, _) = wait(&mut waiters, None, &[1]);
        assert_eq!(waiters.wake_all().len(), 1);
        let now = clock::now();
        let until = waiters.turn_of_others(None, 1, now, LONGEST).expect("it was woken just now");
        assert!(until <= now + GRACE);
        assert_eq!(waiters.turn_of_others(None, 1, until, LONGEST), None);
        wait(&mut waiters, Some(first), &[1]);
        assert_eq!(waiters.turn_of_others(None, 1, until, LONGEST), Some(until + LONGEST), "it has looked");
    }

    #[test]
    fn nobody_is_woken_by_their_own_look() {
        let (mut waiters, count) = (Waiters::default(), Arc::<Count>::default());
        let [here, there] = [(); 2].map(|()| Waker::from(Arc::clone(&count)));
        let mut woken = Vec::new();
        let (ticket, _) = waiters.wait(None, vec![1], &here, &mut woken);
        let (same, stale) = waiters.wait(Some(ticket), vec![1], &there, &mut woken);
        assert!(same == ticket && stale.is_some() && woken.is_empty());
        let (woken, _gone) = waiters.leave(ticket);
        assert!(woken.is_empty() && count.0.load(Ordering::Relaxed) == 0);
    }
}
