//! A future that is polled by its owner while it makes progress, and on the node's thread while it has to wait: tasks
//! that wait behind it then do not depend on its owner. While the owner blocks that very thread, the owner polls it.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::task::{Context, Poll, Waker, ready};

use tokio::sync::oneshot;

use crate::runtime::blocking;
use crate::runtime::executor::Executor;

/// A flag that is set once a message has been sent. Until then it may be in a queue in which others are behind it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentFlag(Arc<AtomicBool>);

impl SentFlag {
    /// Sets the flag: the message has been sent.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Clears the flag: the message is about to be tried again.
    pub(crate) fn clear(&self) {
        self.0.store(false, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that moves to the node's thread if it has to wait before its message has been sent.
///
/// # Cancel safety
/// This future is cancel safe: dropping it drops the inner future, on whichever thread that is.
pub(crate) struct Offload<T> {
    state: OffloadState<T>,
    sent: SentFlag,
}

enum OffloadState<T> {
    Owned {
        future: BoxFuture<T>,
        /// The thread that it may move to.
        executor: Option<Executor>,
    },
    Moved {
        shared: Arc<SharedFuture<T>>,
        rx: oneshot::Receiver<FutureResult<T>>,
        executor: Executor,
    },
    Ended,
}

/// The output of a future, or the payload of its panic.
type FutureResult<T> = Result<T, Box<dyn Any + Send>>;

/// The future while its owner and the node's thread share it.
struct SharedFuture<T>(Mutex<SharedState<T>>);

struct SharedState<T> {
    /// The inner future; `None` once it has ended, or its owner has dropped it.
    future: Option<BoxFuture<T>>,
    /// The waker of the task on the node's thread, once that has polled the future.
    driver: Option<Waker>,
}

impl<T> SharedFuture<T> {
    /// Takes the future out unless it is being polled.
    fn take(&self) -> Option<BoxFuture<T>> {
        self.try_lock()?.future.take()
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, SharedState<T>>> {
        match self.0.try_lock() {
            Ok(shared) => Some(shared),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Polls the future in the task on the node's thread; `None` if it is gone.
    fn drive(&self, task: &mut Context<'_>) -> Poll<Option<FutureResult<T>>> {
        // Its owner only ever tries to lock, and only one task polls.
        let Ok(mut shared) = self.0.lock() else { return Poll::Ready(None) };
        if shared.future.is_none() {
            return Poll::Ready(None);
        }
        shared.driver = Some(task.waker().clone());
        poll(shared, task).map(Some)
    }

    /// Polls the future in its owner's task, on the node's thread. The other task continues when the owner returns.
    fn poll_blocked(&self, task: &mut Context<'_>) -> Poll<FutureResult<T>> {
        let Some(shared) = self.try_lock() else { return Poll::Pending };
        let driver = shared.driver.clone();
        let polled = poll(shared, task);
        // From now on the future wakes its owner's task.
        driver.inspect(Waker::wake_by_ref);
        polled
    }
}

fn poll<T>(mut shared: MutexGuard<'_, SharedState<T>>, task: &mut Context<'_>) -> Poll<FutureResult<T>> {
    let Some(future) = shared.future.as_mut() else { return Poll::Pending };
    let result = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task))) {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(output)) => Ok(output),
        Err(panic) => Err(panic),
    };
    let finished = shared.future.take();
    drop(shared);
    // Outside the lock: dropping the future may run code of the user.
    drop(finished);
    Poll::Ready(result)
}

impl<T: Send + 'static> Offload<T> {
    /// Wraps `future`, which sets `sent` when its message has been sent, so that it can move to `executor`.
    pub(crate) fn new(future: BoxFuture<T>, executor: &Executor, sent: SentFlag) -> Self {
        Self { state: OffloadState::Owned { future, executor: Some(executor.clone()) }, sent }
    }

    /// Polls the future, and moves it if it has to wait.
    ///
    /// # Panics
    /// If it is polled after it has ended, or if the future panics.
    pub(crate) fn poll(&mut self, task: &mut Context<'_>) -> Poll<T> {
        loop {
            match &mut self.state {
                OffloadState::Owned { future, executor } => {
                    if let Poll::Ready(result) = future.as_mut().poll(task) {
                        self.state = OffloadState::Ended;
                        return Poll::Ready(result);
                    }
                    if self.sent.is_set() {
                        return Poll::Pending;
                    }
                    let Some(executor) = executor.take() else { return Poll::Pending };
                    self.move_to(executor);
                }
                OffloadState::Moved { shared, rx, executor } => {
                    let result = match Pin::new(rx).poll(task) {
                        Poll::Ready(received) => received.ok(),
                        Poll::Pending if blocking::is_handling() && executor.is_here() => {
                            Some(ready!(shared.poll_blocked(task)))
                        }
                        Poll::Pending => return Poll::Pending,
                    };
                    match (result, shared.take()) {
                        (Some(result), _) => {
                            self.state = OffloadState::Ended;
                            return Poll::Ready(result.unwrap_or_else(|panic| resume_unwind(panic)));
                        }
                        // The node's thread has ended, which the future handles.
                        (None, Some(future)) => self.state = OffloadState::Owned { future, executor: None },
                        (None, None) => panic!("a future was lost with the thread that polled it"),
                    }
                }
                OffloadState::Ended => panic!("a future was polled after it had ended"),
            }
        }
    }

    fn move_to(&mut self, executor: Executor) {
        let OffloadState::Owned { future, .. } = std::mem::replace(&mut self.state, OffloadState::Ended)
        else {
            return;
        };
        let shared = Arc::new(SharedFuture(Mutex::new(SharedState { future: Some(future), driver: None })));
        let (tx, rx) = oneshot::channel();
        let driven = Arc::clone(&shared);
        // If the thread has ended, the channel closes, and the future comes back.
        let _ = executor.spawn(move || drive(driven, tx));
        self.state = OffloadState::Moved { shared, rx, executor };
    }
}

impl<T> Drop for Offload<T> {
    fn drop(&mut self) {
        if let OffloadState::Moved { shared, .. } = &self.state {
            // A poll that is in progress is the last one.
            drop(shared.take());
        }
    }
}

async fn drive<T>(shared: Arc<SharedFuture<T>>, mut tx: oneshot::Sender<FutureResult<T>>) {
    let result = poll_fn(|task| {
        // First, because the future may need no further poll.
        if tx.poll_closed(task).is_ready() {
            return Poll::Ready(None);
        }
        shared.drive(task)
    })
    .await;
    match result {
        // Fails if nobody waits any more.
        Some(result) => drop(tx.send(result)),
        None => drop(shared.take()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    fn local_executor() -> Executor {
        Executor::local().0
    }

    fn poll<T: Send + 'static>(offload: &mut Offload<T>) -> Poll<T> {
        offload.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[actix::test]
    async fn a_waiting_future_moves_and_one_that_was_sent_stays() {
        let (resume, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let waiting_future = || -> BoxFuture<u8> {
            let (resume, ended) = (Arc::clone(&resume), Arc::clone(&ended));
            Box::pin(async move {
                resume.notified().await;
                ended.notify_one();
                7
            })
        };
        let mut moved = Offload::new(waiting_future(), &local_executor(), SentFlag::default());
        assert!(poll(&mut moved).is_pending());
        resume.notify_one();
        ended.notified().await;
        assert_eq!(poll_fn(|task| moved.poll(task)).await, 7);

        let sent = SentFlag::default();
        sent.set();
        let mut stays = Offload::new(waiting_future(), &local_executor(), sent);
        assert!(poll(&mut stays).is_pending());
        assert!(matches!(stays.state, OffloadState::Owned { .. }));
    }

    #[actix::test]
    async fn dropping_it_drops_the_future_and_a_panic_reaches_the_owner() {
        let alive = Arc::new(());
        let in_future = Arc::clone(&alive);
        let mut dropped = Offload::<()>::new(
            Box::pin(async move {
                let _alive = in_future;
                std::future::pending().await
            }),
            &local_executor(),
            SentFlag::default(),
        );
        assert!(poll(&mut dropped).is_pending());
        tokio::task::yield_now().await;
        drop(dropped);
        assert_eq!(Arc::strong_count(&alive), 1, "at once");

        let mut panics = Offload::<()>::new(
            Box::pin(async {
                tokio::task::yield_now().await;
                panic!("as it should");
            }),
            &local_executor(),
            SentFlag::default(),
        );
        let ended = tokio::spawn(poll_fn(move |task| panics.poll(task))).await;
        assert!(ended.expect_err("it panics").is_panic());
    }
}
