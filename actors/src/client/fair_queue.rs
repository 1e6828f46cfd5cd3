//! A fair queue: tasks that wait for the same thing, served first come, first served.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::runtime::waking;

/// A first-come, first-served queue of waiting tasks.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    /// The number of tasks that wait or have their turn, which nobody may overtake.
    waiting: AtomicUsize,
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    /// In order of arrival. The first has its turn.
    all: VecDeque<QueuePosition>,
    next: u64,
}

#[derive(Debug)]
struct QueuePosition {
    number: u64,
    /// Set while the task waits and has not been woken.
    waker: Option<Waker>,
}

/// The turn of the task at the front, until this is dropped.
#[derive(Debug)]
pub(crate) struct QueueTurn<'a> {
    queue: &'a FairQueue,
    number: u64,
}

impl FairQueue {
    /// Returns whether a task waits or has its turn.
    #[inline(always)]
    pub(crate) fn has_waiters(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Waits behind the tasks that came before. The future must be polled until it is ready: tasks behind it depend on
    /// it.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the place in the queue.
    pub(crate) async fn turn(&self) -> QueueTurn<'_> {
        let turn = self.join();
        poll_fn(|task| turn.poll(task)).await;
        turn
    }

    fn join(&self) -> QueueTurn<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.all.push_back(QueuePosition { number, waker: None });
        QueueTurn { queue: self, number }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for `room`, which has a queue of its own, after a turn in this queue: the turn is given up as soon as `room`
/// is pending in its own queue, because tasks behind may wait for another `room`.
pub(crate) async fn hold_turn_until_queued<T>(
    turn: &mut Option<QueueTurn<'_>>,
    room: impl Future<Output = T>,
) -> T {
    let mut room = pin!(room);
    if let Poll::Ready(room) = poll_fn(|task| Poll::Ready(room.as_mut().poll(task))).await {
        return room;
    }
    *turn = None;
    room.await
}

impl QueueState {
    fn find(&self, number: u64) -> Option<usize> {
        self.all.binary_search_by_key(&number, |position| position.number).ok()
    }
}

impl QueueTurn<'_> {
    fn poll(&self, task: &Context<'_>) -> Poll<()> {
        let mut state = self.queue.lock();
        match state.find(self.number) {
            Some(0) | None => Poll::Ready(()),
            Some(at) => {
                let before = state.all[at].waker.replace(task.waker().clone());
                drop(state);
                // Not under the lock: dropping a waker may drop a task, and with that another turn.
                drop(before);
                Poll::Pending
            }
        }
    }
}

impl Drop for QueueTurn<'_> {
    /// Lets the tasks behind follow. All are woken together and in order, so that the whole queue runs before other
    /// tasks on the thread: else a caller that is answered and calls again would join the queue before its end, and it
    /// would never be empty.
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        let gone = state.find(self.number).and_then(|at| Some((at, state.all.remove(at)?)));
        let is_next_asleep = state.all.front().is_some_and(|next| next.waker.is_some());
        let woken: Vec<_> = match gone {
            Some((0, _)) if is_next_asleep => {
                state.all.iter_mut().filter_map(|position| position.waker.take()).collect()
            }
            _ => Vec::new(),
        };
        drop(state);
        self.queue.waiting.fetch_sub(1, Ordering::AcqRel);
        waking::wake_all(woken);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    /// Records that it was woken.
    struct Noted(u8, Arc<Mutex<Vec<u8>>>);

    impl Wake for Noted {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("nobody panics with it").push(self.0);
        }
    }

    #[test]
    fn a_line_is_woken_together_and_leaves_in_order() {
        let (line, noted) = (FairQueue::default(), Arc::default());
        let wakers: Vec<_> =
            (0..4).map(|number| Waker::from(Arc::new(Noted(number, Arc::clone(&noted))))).collect();
        let mut turns: Vec<_> = wakers.iter().map(|_| line.join()).collect();
        let is_ready =
            |turn: &QueueTurn<'_>, waker: &Waker| turn.poll(&Context::from_waker(waker)).is_ready();
        let ready: Vec<_> = turns.iter().zip(&wakers).map(|(turn, waker)| is_ready(turn, waker)).collect();
        assert_eq!(ready, [true, false, false, false]);
        // One gives up, and the first has its turn.
        drop(turns.remove(2));
        assert!(noted.lock().expect("nobody panics with it").is_empty());
        drop(turns.remove(0));
        assert_eq!(*noted.lock().expect("nobody panics with it"), [1, 3], "all that wait");
        assert!(is_ready(&turns[0], &wakers[1]));
        drop(turns.remove(0));
        assert_eq!(
            noted.lock().expect("nobody panics with it").len(),
            2,
            "it has been woken and not looked yet"
        );
        assert!(is_ready(&turns[0], &wakers[3]) && line.has_waiters());
        drop(turns);
        assert!(!line.has_waiters());
    }

    #[test]
    fn a_task_that_polled_meanwhile_is_woken_again() {
        let (line, noted) = (FairQueue::default(), Arc::default());
        let waker = Waker::from(Arc::new(Noted(7, Arc::clone(&noted))));
        let [first, second, third] = [(); 3].map(|()| line.join());
        assert!(third.poll(&Context::from_waker(&waker)).is_pending());
        assert!(second.poll(&Context::from_waker(&waker)).is_pending());
        drop(first);
        assert!(third.poll(&Context::from_waker(&waker)).is_pending(), "woken before its turn");
        drop(second);
        assert_eq!(noted.lock().expect("nobody panics with it").len(), 3);
        assert!(third.poll(&Context::from_waker(&waker)).is_ready());
    }

    #[tokio::test]
    async fn a_turn_is_given_up_once_the_task_waits_for_room() {
        let line = FairQueue::default();
        let mut turn = Some(line.turn().await);
        assert_eq!(hold_turn_until_queued(&mut turn, std::future::ready(7)).await, 7);
        assert!(turn.is_some(), "there was room");
        let mut room = pin!(hold_turn_until_queued(&mut turn, std::future::pending::<()>()));
        assert!(room.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(!line.has_waiters());
    }
}
