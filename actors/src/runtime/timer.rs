//! Timers for callers on any thread and any executor, fired by one task on the node's thread, and after the end of that thread by
//! a dedicated one, while any are set.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use meshzero_proto::call::deadline_queue::{DeadlineQueue, EntryId};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::runtime::clock;
use crate::runtime::events;
use crate::runtime::waking;

/// The timers of one node.
pub struct Timers {
    state: Mutex<TimerState>,
    earlier: Notify,
}

struct TimerState {
    /// Each timer belongs to a call that waits for it, so the number of calls bounds them.
    set: DeadlineQueue<Waker>,
    driver: Driver,
}

/// The task or thread that fires the timers.
enum Driver {
    /// The task on the node's thread.
    Task,
    /// A thread, which ends when no timer is set.
    Thread(Thread),
    /// No driver, until a timer is set.
    Absent,
}

/// The longest sleep of a thread that fires timers.
const MAX_SLEEP: Duration = Duration::from_secs(3_600);

/// The task that fires the timers of one node, on its thread.
pub(crate) struct TimerTask(Arc<Timers>);

impl Timers {
    /// Creates timers, none of them set. [`TimerTask::run`] must run for them to fire.
    pub(crate) fn new() -> (Arc<Self>, TimerTask) {
        let state = TimerState { set: DeadlineQueue::default(), driver: Driver::Task };
        let timers = Arc::new(Self { state: Mutex::new(state), earlier: Notify::new() });
        (Arc::clone(&timers), TimerTask(timers))
    }

    /// Returns a future that completes at `instant`, or never if that is `None`. When the node's thread ends, its task is
    /// woken once.
    pub fn sleep_until(self: &Arc<Self>, instant: Option<Instant>) -> Sleep {
        Sleep { timers: Arc::clone(self), instant, set: None }
    }

    /// Fires the timers that are due.
    fn fire_due(&self) {
        let mut due = Vec::new();
        self.lock().set.expire(clock::now(), |_, waker| due.push(waker.clone()));
        waking::wake_all(due);
    }

    /// Notifies the driver that a timer is due before all others.
    fn notify_driver(self: &Arc<Self>, mut state: MutexGuard<'_, TimerState>) {
        match &state.driver {
            Driver::Task => {
                drop(state);
                self.earlier.notify_one();
            }
            Driver::Thread(thread) => thread.unpark(),
            Driver::Absent => {
                let timers = Arc::clone(self);
                let thread = thread::Builder::new().name("meshzero-timers".into());
                match thread.spawn(move || timers.run_here()) {
                    Ok(thread) => state.driver = Driver::Thread(thread.thread().clone()),
                    Err(error) => {
                        drop(state);
                        events::record(
                            || tracing::error!(%error, "cannot start a thread for timers: deadlines of calls are not enforced"),
                        );
                    }
                }
            }
        }
    }

    /// Fires the timers on this thread, until none is set.
    fn run_here(&self) {
        loop {
            self.fire_due();
            let next = {
                let mut state = self.lock();
                let next = state.set.poll_timeout().filter(|_| !state.set.is_empty());
                if next.is_none() {
                    state.driver = Driver::Absent;
                }
                next
            };
            let Some(next) = next else { return };
            thread::park_timeout(next.saturating_duration_since(clock::now()).min(MAX_SLEEP));
        }
    }

    fn lock(&self) -> MutexGuard<'_, TimerState> {
        self.state.lock()
    }
}

impl TimerTask {
    /// Fires the timers, until it is dropped.
    pub(crate) async fn run(&self) {
        let Self(timers) = self;
        loop {
            let next = timers.lock().set.poll_timeout();
            tokio::select! {
                biased;
                () = timers.earlier.notified() => {}
                () = clock::sleep_until(next) => timers.fire_due(),
            }
        }
    }
}

impl Drop for TimerTask {
    /// Wakes all waiters, so that they check whether their operation ended with the node, and passes the timers on to another
    /// driver.
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.driver = Driver::Absent;
        let wakers: Vec<_> = state.set.iter_mut().map(|waker| waker.clone()).collect();
        match state.set.poll_timeout() {
            Some(_) if !wakers.is_empty() => self.0.notify_driver(state),
            _ => drop(state),
        }
        waking::wake_all(wakers);
    }
}

/// A future that completes at its instant. It sets no timer until it is polled.
pub struct Sleep {
    timers: Arc<Timers>,
    instant: Option<Instant>,
    set: Option<EntryId>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // The first poll need not read the clock: a timer that is due already fires at once.
        if this.set.is_some() && this.instant.is_some_and(|instant| instant <= clock::now()) {
            return Poll::Ready(());
        }
        let mut state = this.timers.lock();
        if let Some(waker) = this.set.and_then(|id| state.set.get_mut(id)) {
            let previous =
                (!waker.will_wake(task.waker())).then(|| std::mem::replace(waker, task.waker().clone()));
            drop(state);
            // Not under the lock: dropping a waker may drop its task, and with it another timer.
            drop(previous);
            return Poll::Pending;
        }
        let previous = state.set.poll_timeout();
        this.set = Some(state.set.insert(task.waker().clone(), this.instant));
        let has_ended = this.instant.is_none() && !matches!(state.driver, Driver::Task);
        let has_no_driver = matches!(state.driver, Driver::Absent) && this.instant.is_some();
        if state.set.poll_timeout() != previous || has_no_driver {
            this.timers.notify_driver(state);
        } else {
            drop(state);
        }
        if has_ended {
            // There is no driver, and the awaited operation may have ended with the node before this was set.
            task.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.set.take() {
            let mut state = self.timers.lock();
            let waker = state.set.remove(id);
            if let (true, Driver::Thread(thread)) = (state.set.is_empty(), &state.driver) {
                thread.unpark();
            }
            drop(state);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn timers_fire_in_order_of_their_instants() {
        let (timers, timer_task) = Timers::new();
        let timer_task = tokio::spawn(async move { timer_task.run().await });
        let now = Instant::now();
        let at = |ms| timers.sleep_until(Some(now + Duration::from_millis(ms)));
        let (late, soon) = (at(40), at(5));
        let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
        for (name, timer) in [("late", late), ("soon", soon)] {
            let tx = tx.clone();
            tokio::spawn(async move {
                timer.await;
                tx.send((name, Instant::now())).expect("the test receives");
            });
        }
        let (first, second) = (rx.recv().await.expect("fires"), rx.recv().await.expect("fires"));
        assert_eq!((first.0, second.0), ("soon", "late"));
        assert!(first.1 >= now + Duration::from_millis(5) && second.1 >= now + Duration::from_millis(40));
        timer_task.abort();
    }

    #[tokio::test]
    async fn a_timer_that_is_dropped_is_forgotten() {
        let (timers, _timer_task) = Timers::new();
        let mut timer = Box::pin(timers.sleep_until(Some(Instant::now() + Duration::from_secs(60))));
        let set = std::future::poll_fn(|task| Poll::Ready(timer.as_mut().poll(task).is_pending())).await;
        assert!(set && timers.lock().set.len() == 1);
        drop(timer);
        assert!(timers.lock().set.is_empty());
    }

    #[tokio::test]
    async fn a_timer_without_an_instant_wakes_its_waiter_when_the_driver_is_gone() {
        let (timers, timer_task) = Timers::new();
        let polls = |timer: Sleep, started: Arc<Notify>| async move {
            let (mut timer, mut polls) = (timer, 0);
            std::future::poll_fn(|task| {
                assert!(Pin::new(&mut timer).poll(task).is_pending(), "it never completes");
                polls += 1;
                started.notify_one();
                if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        };
        let started = Arc::new(Notify::new());
        let previous = tokio::spawn(polls(timers.sleep_until(None), Arc::clone(&started)));
        started.notified().await;
        drop(timer_task);
        let woken = async {
            previous.await.expect("no panic");
            polls(timers.sleep_until(None), started).await;
        };
        tokio::time::timeout(Duration::from_secs(30), woken).await.expect("they look again");
        assert!(matches!(timers.lock().driver, Driver::Absent), "there is nothing to fire");
    }

    #[tokio::test]
    async fn timers_fire_even_after_the_thread_of_the_node_has_ended() {
        let (timers, timer_task) = Timers::new();
        let previous = timers.sleep_until(Some(Instant::now() + Duration::from_millis(20)));
        let previous = tokio::spawn(previous);
        tokio::task::yield_now().await;
        drop(timer_task);
        let after = timers.sleep_until(Some(Instant::now() + Duration::from_millis(5)));
        let never = tokio::spawn(timers.sleep_until(Some(Instant::now() + Duration::from_secs(1 << 30))));
        let fired = async {
            after.await;
            previous.await.expect("no panic");
        };
        tokio::time::timeout(Duration::from_secs(30), fired).await.expect("they fire");
        never.abort();
        let _ = never.await;
        let ended = async {
            while !matches!(timers.lock().driver, Driver::Absent) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the thread ends");
        // Another timer, although it is not the first that was ever set.
        let another = timers.sleep_until(Some(Instant::now() + Duration::from_millis(5)));
        tokio::time::timeout(Duration::from_secs(30), another).await.expect("it fires");
    }
}
