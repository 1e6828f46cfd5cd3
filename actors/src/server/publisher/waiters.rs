//! The publishers that wait for room, in the order in which they began to wait.
//!
//! Publishers that wait for the same subscribers proceed in order. But a publisher is a future of the program, which
//! may never be polled again: one that was woken and does not check holds up the others for a moment only.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::runtime::clock;

/// The time for which a publisher that was woken keeps its turn without checking.
const GRACE: Duration = Duration::from_millis(50);

/// The publishers that wait for room.
#[derive(Debug, Default)]
pub(crate) struct WaitingPublishers {
    waiters: BTreeMap<WaitTicket, Waiter>,
    next_ticket: u64,
}

/// The place of a publisher among those that wait. Lower ones come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaitTicket(u64);

#[derive(Debug)]
struct Waiter {
    /// The ids of the groups that it has to wait for.
    groups: Vec<u64>,
    state: WaiterState,
}

#[derive(Debug)]
enum WaiterState {
    /// Waits to be woken.
    Asleep(Waker),
    /// Woken at this instant, and has not checked since.
    Woken(Instant),
}

impl WaitingPublishers {
    /// Returns whether no publisher waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Registers `publisher` to be woken, at its place if it has waited before. Returns its ticket, and the waker that
    /// it replaces, which is to be dropped once nothing is locked: dropping it may drop a task, and with that another
    /// publisher. Publishers that may have waited for it at another group are added to `woken`.
    pub(crate) fn wait(
        &mut self,
        ticket: Option<WaitTicket>,
        groups: Vec<u64>,
        publisher: &Waker,
        now: Instant,
        woken: &mut Vec<Waker>,
    ) -> (WaitTicket, Option<Waker>) {
        let ticket = ticket.unwrap_or_else(|| {
            self.next_ticket += 1;
            WaitTicket(self.next_ticket)
        });
        let waiter = Waiter { groups, state: WaiterState::Asleep(publisher.clone()) };
        let Some(mut before) = self.waiters.insert(ticket, waiter) else { return (ticket, None) };
        before.groups.retain(|group| !self.waiters[&ticket].groups.contains(group));
        for group in before.groups {
            self.wake_next(ticket, group, now, woken);
        }
        match before.state {
            WaiterState::Asleep(stale) => (ticket, Some(stale)),
            WaiterState::Woken(_) => (ticket, None),
        }
    }

    /// Returns the instant until which a publisher that wants room in a group has to let another one go first that
    /// began to wait before, at most `longest` from now; `None` if it need not wait.
    pub(crate) fn earlier_turn_until(
        &self,
        ticket: Option<WaitTicket>,
        group: u64,
        now: Instant,
        longest: Duration,
    ) -> Option<Instant> {
        let (_, first) =
            self.first_at(group, now).filter(|(first, _)| ticket.is_none_or(|own| *first < own))?;
        let until = match first.state {
            WaiterState::Asleep(_) => clock::later(now, longest),
            WaiterState::Woken(at) => at + GRACE,
        };
        Some(until).filter(|until| *until > now)
    }

    /// Wakes the publishers before this one if a group has room: nobody may have notified them.
    pub(crate) fn wake_before(
        &mut self,
        ticket: Option<WaitTicket>,
        group: u64,
        now: Instant,
        woken: &mut Vec<Waker>,
    ) {
        let is_earlier = |other| ticket.is_none_or(|own| other < own);
        if self.is_first_asleep(group, now, is_earlier) {
            self.wake(now, woken, |other, waiter| is_earlier(other) && waiter.groups.contains(&group));
        }
    }

    /// Removes a publisher, so that those behind it may have their turn. Adds tasks to wake to `woken`; returns a value
    /// to drop once nothing is locked.
    pub(crate) fn leave(
        &mut self,
        ticket: WaitTicket,
        now: Instant,
        woken: &mut Vec<Waker>,
    ) -> impl Sized + use<> {
        let removed = self.waiters.remove(&ticket);
        // A publisher that is asleep has found no room, and there is none for those behind it either.
        if let Some(Waiter { groups, state: WaiterState::Woken(_) }) = &removed {
            for group in groups {
                self.wake_next(ticket, *group, now, woken);
            }
        }
        removed
    }

    /// Returns all tasks to wake, in order, because there may be room.
    pub(crate) fn wake_all(&mut self, now: Instant) -> Vec<Waker> {
        let mut woken = Vec::new();
        self.wake(now, &mut woken, |_, _| true);
        woken
    }

    /// Wakes the publishers behind one that no longer waits for a group, if the first of them is asleep.
    fn wake_next(&mut self, ticket: WaitTicket, group: u64, now: Instant, woken: &mut Vec<Waker>) {
        // A publisher that was woken will check, and those behind know until when it is waited for.
        if self.is_first_asleep(group, now, |first| first > ticket) {
            self.wake(now, woken, |_, waiter| waiter.groups.contains(&group));
        }
    }

    /// The first publisher waiting for a group that still has its turn.
    fn first_at(&self, group: u64, now: Instant) -> Option<(WaitTicket, &Waiter)> {
        let mut waiting = self.waiters.iter().filter(|(_, waiter)| waiter.groups.contains(&group));
        let first = waiting.find(|(_, waiter)| match waiter.state {
            WaiterState::Asleep(_) => true,
            WaiterState::Woken(at) => at + GRACE > now,
        });
        first.map(|(ticket, waiter)| (*ticket, waiter))
    }

    /// Returns whether that publisher is `wanted`, and asleep.
    fn is_first_asleep(&self, group: u64, now: Instant, wanted: impl Fn(WaitTicket) -> bool) -> bool {
        let first = self.first_at(group, now);
        first.is_some_and(|(first, waiter)| wanted(first) && matches!(waiter.state, WaiterState::Asleep(_)))
    }

    fn wake(&mut self, now: Instant, woken: &mut Vec<Waker>, select: impl Fn(WaitTicket, &Waiter) -> bool) {
        for (ticket, waiter) in &mut self.waiters {
            if matches!(waiter.state, WaiterState::Asleep(_))
                && select(*ticket, waiter)
                && let WaiterState::Asleep(waker) =
                    std::mem::replace(&mut waiter.state, WaiterState::Woken(now))
            {
                woken.push(waker);
            }
        }
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

    fn wait(
        waiters: &mut WaitingPublishers,
        ticket: Option<WaitTicket>,
        groups: &[u64],
        now: Instant,
    ) -> (WaitTicket, usize) {
        let mut woken = Vec::new();
        let (ticket, _) = waiters.wait(ticket, groups.to_vec(), Waker::noop(), now, &mut woken);
        (ticket, woken.len())
    }

    fn leave(waiters: &mut WaitingPublishers, ticket: WaitTicket, now: Instant) -> usize {
        let mut woken = Vec::new();
        drop(waiters.leave(ticket, now, &mut woken));
        woken.len()
    }

    fn has_turn(waiters: &WaitingPublishers, ticket: WaitTicket, group: u64, now: Instant) -> bool {
        waiters.earlier_turn_until(Some(ticket), group, now, LONGEST).is_none()
    }

    #[test]
    fn earlier_publishers_go_first_in_the_groups_they_wait_for() {
        let (mut waiters, now) = (WaitingPublishers::default(), clock::now());
        let (first, _) = wait(&mut waiters, None, &[1, 2], now);
        let (second, _) = wait(&mut waiters, None, &[2], now);
        let newcomer = |waiters: &WaitingPublishers, group| {
            waiters.earlier_turn_until(None, group, now, LONGEST).is_none()
        };
        assert!(has_turn(&waiters, first, 1, now) && has_turn(&waiters, first, 2, now));
        assert!(has_turn(&waiters, second, 3, now) && !has_turn(&waiters, second, 2, now));
        assert!(newcomer(&waiters, 3) && !newcomer(&waiters, 1));
        assert_eq!(waiters.wake_all(now).len(), 2);
        assert_eq!(wait(&mut waiters, Some(second), &[2], now), (second, 0));
        assert_eq!(
            wait(&mut waiters, Some(first), &[1], now),
            (first, 1),
            "there is room at the other one now"
        );
        assert!(newcomer(&waiters, 3) && !newcomer(&waiters, 1) && has_turn(&waiters, second, 2, now));
        assert_eq!(wait(&mut waiters, Some(second), &[1, 2], now), (second, 0));
        assert_eq!(waiters.wake_all(now).len(), 2);
        assert_eq!(wait(&mut waiters, Some(second), &[1, 2], now), (second, 0));
        assert_eq!(leave(&mut waiters, first, now), 1);
        assert!(has_turn(&waiters, second, 1, now));
        assert_eq!(leave(&mut waiters, second, now), 0);
        assert!(waiters.is_empty());
    }

    #[test]
    fn a_woken_publisher_that_does_not_check_delays_others_for_a_moment_only() {
        let (mut waiters, now) = (WaitingPublishers::default(), clock::now());
        let (first, _) = wait(&mut waiters, None, &[1], now);
        assert_eq!(waiters.earlier_turn_until(None, 1, now, LONGEST), Some(now + LONGEST));
        assert_eq!(waiters.wake_all(now).len(), 1);
        let until = now + GRACE;
        assert_eq!(waiters.earlier_turn_until(None, 1, now, LONGEST), Some(until));
        assert_eq!(waiters.earlier_turn_until(None, 1, until, LONGEST), None);
        wait(&mut waiters, Some(first), &[1], until);
        assert_eq!(
            waiters.earlier_turn_until(None, 1, until, LONGEST),
            Some(until + LONGEST),
            "it has checked"
        );
    }

    #[test]
    fn finding_room_wakes_earlier_publishers_once() {
        let (mut waiters, now) = (WaitingPublishers::default(), clock::now());
        let [elsewhere, first, second] = [2, 1, 1].map(|group| wait(&mut waiters, None, &[group], now).0);
        let mut woken = Vec::new();
        waiters.wake_before(Some(first), 1, now, &mut woken);
        assert!(woken.is_empty() && has_turn(&waiters, elsewhere, 2, now));
        waiters.wake_before(Some(second), 1, now, &mut woken);
        assert_eq!(woken.len(), 1);
        waiters.wake_before(None, 1, now, &mut woken);
        assert_eq!(woken.len(), 1, "the first has its turn");
        waiters.wake_before(None, 1, now + GRACE, &mut woken);
        assert_eq!(woken.len(), 2, "it is the second's");
    }

    #[test]
    fn leaving_wakes_only_the_publishers_that_are_next() {
        let (mut waiters, now) = (WaitingPublishers::default(), clock::now());
        let all: Vec<_> = (0..100).map(|_| wait(&mut waiters, None, &[1], now).0).collect();
        let elsewhere = wait(&mut waiters, None, &[2], now).0;
        assert_eq!(leave(&mut waiters, all[0], now), 0, "one that sleeps has found no room");
        assert_eq!(waiters.wake_all(now).len(), 100);
        for ticket in all[50..].iter().chain([&elsewhere]) {
            let groups = if *ticket == elsewhere { [2] } else { [1] };
            assert_eq!(wait(&mut waiters, Some(*ticket), &groups, now), (*ticket, 0));
        }
        for ticket in &all[1..49] {
            assert_eq!(leave(&mut waiters, *ticket, now), 0, "the next one will check");
        }
        assert_eq!(leave(&mut waiters, all[49], now), 50);
        assert_eq!(leave(&mut waiters, elsewhere, now), 0);
    }

    #[test]
    fn no_publisher_is_woken_by_its_own_check() {
        let (mut waiters, count, now) = (WaitingPublishers::default(), Arc::<Count>::default(), clock::now());
        let [earlier, later] = [(); 2].map(|()| Waker::from(Arc::clone(&count)));
        let mut woken = Vec::new();
        let (ticket, _) = waiters.wait(None, vec![1], &earlier, now, &mut woken);
        let (same, stale) = waiters.wait(Some(ticket), vec![1], &later, now, &mut woken);
        assert!(same == ticket && stale.is_some() && woken.is_empty());
        let _removed = waiters.leave(ticket, now, &mut woken);
        assert!(woken.is_empty() && count.0.load(Ordering::Relaxed) == 0);
    }
}
