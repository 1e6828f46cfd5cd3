//! Deadlines of callers on any thread and any executor, rung by one task on the node's thread.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use meshzero_proto::calls::{CallId, Calls};
use tokio::sync::Notify;

use crate::clock;

/// The alarms of one node.
pub struct Alarms {
    set: Mutex<Calls<Waker>>,
    earlier: Notify,
}

impl Alarms {
    /// No alarms. [`Alarms::ring`] must run for them to ring.
    pub fn new() -> Arc<Self> {
        // Each alarm is bounded by the call that waits for it, so it needs no limit of its own.
        Arc::new(Self { set: Mutex::new(Calls::new(usize::MAX)), earlier: Notify::new() })
    }

    /// A future that ends at `instant`; `None` never comes.
    pub fn at(self: &Arc<Self>, instant: Option<Instant>) -> Alarm {
        Alarm { alarms: Arc::clone(self), instant, set: None }
    }

    /// Rings the alarms, for ever.
    pub async fn ring(&self) {
        loop {
            let next = self.lock().poll_timeout();
            tokio::select! {
                biased;
                () = self.earlier.notified() => {}
                () = clock::sleep_until(next) => {
                    let mut due = Vec::new();
                    self.lock().expire(clock::now(), |_, waker, _| due.push(waker.clone()));
                    due.into_iter().for_each(wake);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls<Waker>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a caller of any executor: should that panic, the others are still woken.
fn wake(waker: Waker) {
    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
        tracing::error!("the waker of a caller panicked");
    }
}

/// Ends at its instant. Costs nothing until it is polled.
pub struct Alarm {
    alarms: Arc<Alarms>,
    instant: Option<Instant>,
    set: Option<CallId>,
}

impl Future for Alarm {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(instant) = this.instant else { return Poll::Pending };
        // At first there is no need to know the time: an alarm that is due already rings at once.
        if this.set.is_some() && instant <= clock::now() {
            return Poll::Ready(());
        }
        let mut alarms = this.alarms.lock();
        if let Some(waker) = this.set.and_then(|id| alarms.get(id)) {
            waker.clone_from(task.waker());
            return Poll::Pending;
        }
        let before = alarms.poll_timeout();
        this.set = alarms.open(task.waker().clone(), Some(instant)).ok();
        if alarms.poll_timeout() != before {
            this.alarms.earlier.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(id) = self.set.take() {
            self.alarms.lock().close(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn alarms_ring_in_order_whatever_the_order_they_were_set_in() {
        let alarms = Alarms::new();
        let ringing = Arc::clone(&alarms);
        let ringing = tokio::spawn(async move { ringing.ring().await });
        let now = Instant::now();
        let at = |ms| alarms.at(Some(now + Duration::from_millis(ms)));
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
        let alarms = Alarms::new();
        let mut alarm = Box::pin(alarms.at(Some(Instant::now() + Duration::from_secs(60))));
        let set = std::future::poll_fn(|task| Poll::Ready(alarm.as_mut().poll(task).is_pending())).await;
        assert!(set && alarms.lock().len() == 1);
        drop(alarm);
        assert!(alarms.lock().is_empty());
    }
}
