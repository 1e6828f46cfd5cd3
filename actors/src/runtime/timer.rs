//! Deadlines of callers on any thread and any executor, rung by one task on the node's thread, and when that has ended by a thread
//! of their own, as long as any are set.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use meshzero_proto::call::deadline_queue::{DeadlineQueue, EntryId};
use tokio::sync::Notify;

use crate::runtime::clock;
use crate::runtime::events;
use crate::runtime::waking;

/// The alarms of one node.
pub struct Timers {
    state: Mutex<TimerState>,
    earlier: Notify,
}

struct TimerState {
    /// Each alarm is bounded by the call that waits for it, so they need no limit of their own.
    set: DeadlineQueue<Waker>,
    rung_by: Driver,
}

/// The task or thread that rings the alarms.
enum Driver {
    /// The task on the node's thread.
    Task,
    /// A thread, which ends when no alarm is set.
    Thread(Thread),
    /// Nobody, until one is set.
    Nobody,
}

/// The longest sleep of a thread that rings alarms.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// Rings the alarms of one node, on its thread.
pub(crate) struct TimerTask(Arc<Timers>);

impl Timers {
    /// No alarms. [`TimerTask::run`] must run for them to ring.
    pub(crate) fn new() -> (Arc<Self>, TimerTask) {
        let state = TimerState { set: DeadlineQueue::default(), rung_by: Driver::Task };
        let alarms = Arc::new(Self { state: Mutex::new(state), earlier: Notify::new() });
        (Arc::clone(&alarms), TimerTask(alarms))
    }

    /// A future that ends at `instant`; `None` never comes. When the node's thread ends, whoever waits for it is woken once.
    pub fn sleep_until(self: &Arc<Self>, instant: Option<Instant>) -> Sleep {
        Sleep { alarms: Arc::clone(self), instant, set: None }
    }

    /// Rings those that are due.
    fn fire_due(&self) {
        let mut due = Vec::new();
        self.lock().set.expire(clock::now(), |_, waker| due.push(waker.clone()));
        waking::wake_all(due);
    }

    /// Tells whoever rings the alarms that one is to ring before all others.
    fn look_again(self: &Arc<Self>, mut state: MutexGuard<'_, TimerState>) {
        match &state.rung_by {
            Driver::Task => {
                drop(state);
                self.earlier.notify_one();
            }
            Driver::Thread(thread) => thread.unpark(),
            Driver::Nobody => {
                let alarms = Arc::clone(self);
                let thread = thread::Builder::new().name("meshzero-alarms".into());
                match thread.spawn(move || alarms.run_here()) {
                    Ok(thread) => state.rung_by = Driver::Thread(thread.thread().clone()),
                    Err(error) => {
                        drop(state);
                        events::record(|| tracing::error!(%error, "no thread for the deadlines of calls"));
                    }
                }
            }
        }
    }

    /// Rings the alarms on this thread, until none is set.
    fn run_here(&self) {
        loop {
            self.fire_due();
            let next = {
                let mut state = self.lock();
                let next = state.set.poll_timeout().filter(|_| !state.set.is_empty());
                if next.is_none() {
                    state.rung_by = Driver::Nobody;
                }
                next
            };
            let Some(next) = next else { return };
            thread::park_timeout(next.saturating_duration_since(clock::now()).min(LONGEST_SLEEP));
        }
    }

    fn lock(&self) -> MutexGuard<'_, TimerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimerTask {
    /// Rings the alarms, until it is dropped.
    pub(crate) async fn run(&self) {
        let Self(alarms) = self;
        loop {
            let next = alarms.lock().set.poll_timeout();
            tokio::select! {
                biased;
                () = alarms.earlier.notified() => {}
                () = clock::sleep_until(next) => alarms.fire_due(),
            }
        }
    }
}

impl Drop for TimerTask {
    /// Lets those who wait look whether what they wait for has ended with the node, and somebody else ring for the others.
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.rung_by = Driver::Nobody;
        let waiting: Vec<_> = state.set.iter_mut().map(|waker| waker.clone()).collect();
        match state.set.poll_timeout() {
            Some(_) if !waiting.is_empty() => self.0.look_again(state),
            _ => drop(state),
        }
        waking::wake_all(waiting);
    }
}

/// Ends at its instant. Costs nothing until it is polled.
pub struct Sleep {
    alarms: Arc<Timers>,
    instant: Option<Instant>,
    set: Option<EntryId>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // At first there is no need to know the time: an alarm that is due already rings at once.
        if this.set.is_some() && this.instant.is_some_and(|instant| instant <= clock::now()) {
            return Poll::Ready(());
        }
        let mut state = this.alarms.lock();
        if let Some(waker) = this.set.and_then(|id| state.set.get_mut(id)) {
            let before =
                (!waker.will_wake(task.waker())).then(|| std::mem::replace(waker, task.waker().clone()));
            drop(state);
            // Not under the lock: with a waker a task may go, and with that another alarm.
            drop(before);
            return Poll::Pending;
        }
        let before = state.set.poll_timeout();
        this.set = Some(state.set.insert(task.waker().clone(), this.instant));
        let has_ended = this.instant.is_none() && !matches!(state.rung_by, Driver::Task);
        let is_unheard = matches!(state.rung_by, Driver::Nobody) && this.instant.is_some();
        if state.set.poll_timeout() != before || is_unheard {
            this.alarms.look_again(state);
        } else {
            drop(state);
        }
        if has_ended {
            // Nobody rings, and what is waited for beside the alarm may have ended with the node, before it was heard here.
            task.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.set.take() {
            let mut state = self.alarms.lock();
            let waker = state.set.remove(id);
            if let (true, Driver::Thread(thread)) = (state.set.is_empty(), &state.rung_by) {
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
    async fn alarms_ring_in_order_whatever_the_order_they_were_set_in() {
        let (alarms, ringing) = Timers::new();
        let ringing = tokio::spawn(async move { ringing.run().await });
        let now = Instant::now();
        let at = |ms| alarms.sleep_until(Some(now + Duration::from_millis(ms)));
        let (late, soon) = (at(40), at(5));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for (name, alarm) in [("late", late), ("soon", soon)] {
            let tell = tell.clone();
            tokio::spawn(async move {
                alarm.await;
                tell.send((name, Instant::now())).expect("the test listens");
            });
        }
        let (first, second) = (told.recv().await.expect("rings"), told.recv().await.expect("rings"));
        assert_eq!((first.0, second.0), ("soon", "late"));
        assert!(first.1 >= now + Duration::from_millis(5) && second.1 >= now + Duration::from_millis(40));
        ringing.abort();
    }

    #[tokio::test]
    async fn an_alarm_that_is_dropped_is_forgotten() {
        let (alarms, _ringing) = Timers::new();
        let mut alarm = Box::pin(alarms.sleep_until(Some(Instant::now() + Duration::from_secs(60))));
        let set = std::future::poll_fn(|task| Poll::Ready(alarm.as_mut().poll(task).is_pending())).await;
        assert!(set && alarms.lock().set.len() == 1);
        drop(alarm);
        assert!(alarms.lock().set.is_empty());
    }

    #[tokio::test]
    async fn an_alarm_without_an_instant_wakes_who_waits_when_the_thread_is_gone_that_rings() {
        let (alarms, ringing) = Timers::new();
        let polls = |alarm: Sleep, begun: Arc<Notify>| async move {
            let (mut alarm, mut polls) = (alarm, 0);
            std::future::poll_fn(|task| {
                assert!(Pin::new(&mut alarm).poll(task).is_pending(), "it never comes");
                polls += 1;
                begun.notify_one();
                if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        };
        let begun = Arc::new(Notify::new());
        let before = tokio::spawn(polls(alarms.sleep_until(None), Arc::clone(&begun)));
        begun.notified().await;
        drop(ringing);
        let woken = async {
            before.await.expect("no panic");
            polls(alarms.sleep_until(None), begun).await;
        };
        tokio::time::timeout(Duration::from_secs(30), woken).await.expect("they look again");
        assert!(matches!(alarms.lock().rung_by, Driver::Nobody), "there is nothing to ring");
    }

    #[tokio::test]
    async fn alarms_ring_when_the_thread_is_gone_that_was_to_ring_them() {
        let (alarms, ringing) = Timers::new();
        let before = alarms.sleep_until(Some(Instant::now() + Duration::from_millis(20)));
        let before = tokio::spawn(before);
        tokio::task::yield_now().await;
        drop(ringing);
        let after = alarms.sleep_until(Some(Instant::now() + Duration::from_millis(5)));
        let never = tokio::spawn(alarms.sleep_until(Some(Instant::now() + Duration::from_secs(1 << 30))));
        let rung = async {
            after.await;
            before.await.expect("no panic");
        };
        tokio::time::timeout(Duration::from_secs(30), rung).await.expect("they ring");
        never.abort();
        let _ = never.await;
        let ended = async {
            while !matches!(alarms.lock().rung_by, Driver::Nobody) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the thread ends");
        // Another one, though it is not the first that was ever set.
        let again = alarms.sleep_until(Some(Instant::now() + Duration::from_millis(5)));
        tokio::time::timeout(Duration::from_secs(30), again).await.expect("it rings");
    }
}
