//! One-time signals: the end of a service or of a node, observed by any number of waiters.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time;

/// A signal that is triggered once and observed by all waiters, later ones included.
#[derive(Debug)]
pub struct ShutdownSignal {
    /// Never has a permit: waiters wait until it is closed.
    gate: Semaphore,
}

impl Default for ShutdownSignal {
    fn default() -> Self {
        Self { gate: Semaphore::new(0) }
    }
}

impl ShutdownSignal {
    /// Triggers the signal.
    pub(crate) fn trigger(&self) {
        self.gate.close();
    }

    /// Returns whether the signal has been triggered.
    pub fn is_triggered(&self) -> bool {
        self.gate.is_closed()
    }

    /// Waits until the signal is triggered.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn triggered(&self) {
        // It is only ever closed.
        let _ = self.gate.acquire().await;
    }
}

/// A guard that triggers a signal when it is dropped, even if that is because its thread ends.
#[derive(Debug)]
pub(crate) struct TriggerOnDrop(pub(crate) Arc<ShutdownSignal>);

impl Drop for TriggerOnDrop {
    fn drop(&mut self) {
        self.0.trigger();
    }
}

/// The shutdown of one task: others request it and wait until it is done.
#[derive(Debug)]
pub(crate) struct ShutdownHandle {
    requested: ShutdownSignal,
    done: Arc<ShutdownSignal>,
    /// The longest time to wait until it is done.
    grace: Duration,
}

impl ShutdownHandle {
    /// Creates a handle of a task that takes no longer than `grace` to shut down, unless it hangs.
    pub(crate) fn new(grace: Duration) -> Arc<Self> {
        Arc::new(Self { requested: ShutdownSignal::default(), done: Arc::default(), grace })
    }

    /// Requests the shutdown.
    pub(crate) fn request(&self) {
        self.requested.trigger();
    }

    /// Returns the request, for the task.
    pub(crate) fn requested(&self) -> &ShutdownSignal {
        &self.requested
    }

    /// Returns a guard for the task: dropping it marks the shutdown as done, even if that is because the task's thread ends.
    pub(crate) fn guard(&self) -> TriggerOnDrop {
        TriggerOnDrop(Arc::clone(&self.done))
    }

    /// Requests the shutdown and waits until it is done, but no longer than the grace period.
    ///
    /// # Cancel safety
    /// This method is cancel safe. The request remains in effect.
    pub(crate) async fn shut_down(&self) {
        self.request();
        // A task that hangs must not keep others from ending.
        let _ = time::timeout(self.grace, self.done.triggered()).await;
    }
}

/// The handles of tasks that shut down before their owner does.
#[derive(Debug, Default)]
pub(crate) struct ShutdownHandles(Mutex<Vec<Arc<ShutdownHandle>>>);

impl ShutdownHandles {
    /// Adds a handle, and removes those of finished tasks.
    pub(crate) fn add(&self, handle: &Arc<ShutdownHandle>) {
        let mut handles = self.0.lock();
        handles.retain(|handle| !handle.done.is_triggered());
        handles.push(Arc::clone(handle));
    }

    /// Requests the shutdown of all tasks, and waits for each until it is done, but no longer than its grace period.
    ///
    /// # Cancel safety
    /// This method is cancel safe. The requests remain in effect.
    pub(crate) async fn shut_down(&self) {
        let handles = std::mem::take(&mut *self.0.lock());
        handles.iter().for_each(|handle| handle.request());
        for handle in handles {
            handle.shut_down().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn all_tasks_shut_down_in_parallel_and_each_within_its_grace_period() {
        let handles = ShutdownHandles::default();
        let [first, hangs] = [(); 2].map(|()| ShutdownHandle::new(GRACE));
        handles.add(&first);
        handles.add(&hangs);
        let guard = first.guard();
        let task = tokio::spawn(async move {
            first.requested().triggered().await;
            time::sleep(GRACE / 2).await;
            drop(guard);
        });
        let started = time::Instant::now();
        handles.shut_down().await;
        assert!(task.is_finished() && hangs.requested().is_triggered());
        assert_eq!(started.elapsed(), GRACE * 3 / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn handles_of_finished_tasks_are_removed() {
        let handles = ShutdownHandles::default();
        for _ in 0..3 {
            let handle = ShutdownHandle::new(GRACE);
            handles.add(&handle);
            drop(handle.guard());
        }
        assert_eq!(handles.0.lock().len(), 1);
    }
}
