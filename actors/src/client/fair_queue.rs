//! A fair queue: tasks that wait for the same thing, served first come, first served.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

use crate::runtime::waking;

/// A first-come, first-served queue of waiting tasks.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    /// The number of tasks that wait or have their turn, which nobody may overtake.
    waiters: AtomicUsize,
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    /// The positions in order of arrival. The first has its turn.
    positions: VecDeque<QueuePosition>,
    next_number: u64,
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
        self.waiters.load(Ordering::Acquire) > 0
    }

    /// Waits behind the tasks that came before. The future must be polled until it is ready: tasks behind it depend on
    /// it.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the position in the queue.
    pub(crate) async fn turn(&self) -> QueueTurn<'_> {
        let turn = self.join();
        poll_fn(|task| turn.poll(task)).await;
        turn
    }

    fn join(&self) -> QueueTurn<'_> {
        self.waiters.fetch_add(1, Ordering::AcqRel);
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        state.positions.push_back(QueuePosition { number, waker: None });
        QueueTurn { queue: self, number }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock()
    }
}

/// Waits for a `permit` that has a queue of its own, after a turn in this queue: the turn is given up as soon as the future
/// is pending in its own queue, because tasks behind may wait for another permit.
pub(crate) async fn hold_turn_until_queued<T>(
    turn: &mut Option<QueueTurn<'_>>,
    permit: impl Future<Output = T>,
) -> T {
    let mut permit = pin!(permit);
    if let Poll::Ready(permit) = poll_fn(|task| Poll::Ready(permit.as_mut().poll(task))).await {
        return permit;
    }
    *turn = None;
    permit.await
}

impl QueueState {
    fn find(&self, number: u64) -> Option<usize> {
        self.positions.binary_search_by_key(&number, |position| position.number).ok()
    }
}

impl QueueTurn<'_> {
    fn poll(&self, task: &Context<'_>) -> Poll<()> {
        let mut state = self.queue.lock();
        match state.find(self.number) {
            Some(0) | None => Poll::Ready(()),
            Some(index) => {
                let replaced = state.positions[index].waker.replace(task.waker().clone());
                drop(state);
                // Not under the lock: dropping a waker may drop a task, and with that another turn.
                drop(replaced);
                Poll::Pending
            }
        }
    }
}

impl Drop for QueueTurn<'_> {
    /// Gives the turn to the next task. All tasks behind are woken together and in order, so that the whole queue runs
    /// before other tasks on the thread: otherwise a caller that is answered and calls again would join the queue before it
    /// is empty, and it would never become empty.
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        let removed = state.find(self.number).and_then(|index| Some((index, state.positions.remove(index)?)));
        let is_next_asleep = state.positions.front().is_some_and(|first| first.waker.is_some());
        let wakers: Vec<_> = match removed {
            Some((0, _)) if is_next_asleep => {
                state.positions.iter_mut().filter_map(|position| position.waker.take()).collect()
            }
            _ => Vec::new(),
        };
        drop(state);
        self.queue.waiters.fetch_sub(1, Ordering::AcqRel);
        waking::wake_all(wakers);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    /// A waker that records its number.
    struct RecordingWaker(u8, Arc<Mutex<Vec<u8>>>);

    impl Wake for RecordingWaker {
        fn wake(self: Arc<Self>) {
            self.1.lock().push(self.0);
        }
    }

    #[test]
    fn waiting_tasks_are_woken_together_and_leave_in_order() {
        let (queue, woken) = (FairQueue::default(), Arc::default());
        let wakers: Vec<_> =
            (0..4).map(|number| Waker::from(Arc::new(RecordingWaker(number, Arc::clone(&woken))))).collect();
        let mut turns: Vec<_> = wakers.iter().map(|_| queue.join()).collect();
        let is_ready =
            |turn: &QueueTurn<'_>, waker: &Waker| turn.poll(&Context::from_waker(waker)).is_ready();
        let ready: Vec<_> = turns.iter().zip(&wakers).map(|(turn, waker)| is_ready(turn, waker)).collect();
        assert_eq!(ready, [true, false, false, false]);
        // One gives up, and the first has its turn.
        drop(turns.remove(2));
        assert!(woken.lock().is_empty());
        drop(turns.remove(0));
        assert_eq!(*woken.lock(), [1, 3], "all that wait");
        assert!(is_ready(&turns[0], &wakers[1]));
        drop(turns.remove(0));
        assert_eq!(woken.lock().len(), 2, "it has been woken and has not polled yet");
        assert!(is_ready(&turns[0], &wakers[3]) && queue.has_waiters());
        drop(turns);
        assert!(!queue.has_waiters());
    }

    #[test]
    fn a_task_that_polled_meanwhile_is_woken_again() {
        let (queue, woken) = (FairQueue::default(), Arc::default());
        let waker = Waker::from(Arc::new(RecordingWaker(7, Arc::clone(&woken))));
        let [first, second, third] = [(); 3].map(|()| queue.join());
        assert!(third.poll(&Context::from_waker(&waker)).is_pending());
        assert!(second.poll(&Context::from_waker(&waker)).is_pending());
        drop(first);
        assert!(third.poll(&Context::from_waker(&waker)).is_pending(), "woken before its turn");
        drop(second);
        assert_eq!(woken.lock().len(), 3);
        assert!(third.poll(&Context::from_waker(&waker)).is_ready());
    }

    #[tokio::test]
    async fn a_turn_is_given_up_once_the_task_waits_for_a_permit() {
        let queue = FairQueue::default();
        let mut turn = Some(queue.turn().await);
        assert_eq!(hold_turn_until_queued(&mut turn, std::future::ready(7)).await, 7);
        assert!(turn.is_some(), "the permit was ready");
        let mut pending = pin!(hold_turn_until_queued(&mut turn, std::future::pending::<()>()));
        assert!(pending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(!queue.has_waiters());
    }
}
