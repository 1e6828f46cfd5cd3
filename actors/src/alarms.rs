//! Deadlines of callers on any thread and any executor, rung by one task on the node's thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use meshzero_proto::calls::{CallId, Calls};
use tokio::sync::Notify;
use tokio::time;

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
            let due = async {
                match next {
                    Some(next) => time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.earlier.notified() => {}
                () = due => {
                    let due = self.lock().expire(Instant::now());
                    due.into_iter().for_each(|(_, waker)| waker.wake());
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls<Waker>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends at its instant. Costs nothing until it is polled.
pub struct Alarm {
    alarms: Arc<Alarms>,
    instant: Option<Instant>,
    set: Option<(CallId, Waker)>,
}

impl Future for Alarm {
    type Output = ();

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(instant) = this.instant else { return Poll::Pending };
        if instant <= Instant::now() {
            return Poll::Ready(());
        }
        if this.set.as_ref().is_some_and(|(_, waker)| waker.will_wake(task.waker())) {
            return Poll::Pending;
        }
        let mut alarms = this.alarms.lock();
        if let Some((id, _)) = this.set.take() {
            alarms.close(id);
        }
        let before = alarms.poll_timeout();
        if let Ok(id) = alarms.open(task.waker().clone(), Some(instant)) {
            this.set = Some((id, task.waker().clone()));
        }
        if alarms.poll_timeout() != before {
            this.alarms.earlier.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some((id, _)) = self.set.take() {
            self.alarms.lock().close(id);
        }
    }
}
