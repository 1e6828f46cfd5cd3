//! A fair counting semaphore, for resources with a limit, such as the unfinished messages of a service.
//!
//! tokio's semaphore takes a lock for every permit that is released, which slows calls within one process noticeably.

use tokio::sync::Notify;

use crate::runtime::sync::Arc;
use crate::runtime::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A fair semaphore: a number of permits, and the number of free ones.
#[derive(Debug)]
pub(crate) struct FairSemaphore {
    total: usize,
    free: AtomicUsize,
    closed: AtomicBool,
    /// Set if newcomers get no permits; `waiting` is then one more than the number of waiters, so that newcomers take the
    /// slow path.
    draining: AtomicBool,
    /// The number of waiters, which may not be overtaken and are notified of released permits.
    waiting: AtomicUsize,
    /// Locked by the first waiter, so that waiters are served in order.
    front_waiter: tokio::sync::Mutex<()>,
    freed: Notify,
}

/// Permits that were acquired in turn. While this exists, no later arrival gets any.
#[derive(Debug)]
pub(crate) struct PermitsInTurn<'a> {
    taken: Permits,
    turn: TurnGuard<'a>,
}

/// A guard of the turn: while it exists, the waiter is not overtaken.
#[derive(Debug, Default)]
pub(crate) struct TurnGuard<'a> {
    _turn: Option<(tokio::sync::MutexGuard<'a, ()>, WaiterCount<'a>)>,
}

/// Acquired permits. Dropping it releases them.
#[derive(Debug)]
pub struct Permits {
    semaphore: Arc<FairSemaphore>,
    count: usize,
}

impl FairSemaphore {
    /// Creates a semaphore with `total` free permits.
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            free: AtomicUsize::new(total),
            closed: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            front_waiter: tokio::sync::Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Returns the number of acquired permits.
    pub(crate) fn taken(&self) -> usize {
        self.total - self.free.load(Ordering::Acquire).min(self.total)
    }

    /// Returns whether there are waiters, or the semaphore is draining.
    #[cfg(interleaved)]
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Acquires one permit, if one is free and nothing waits for it.
    #[inline]
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Permits> {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return None;
        }
        self.try_acquire_up_to(1)
    }

    /// Acquires as many of the wanted permits as are free, after earlier waiters: at least one, if one is wanted. `None` when
    /// the semaphore is closed.
    ///
    /// # Cancel safety
    /// This method is cancel safe, but dropping the future gives up its place among the waiters.
    pub(crate) async fn acquire(self: &Arc<Self>, wanted: usize) -> Option<Permits> {
        self.acquire_in_turn(wanted).await.map(|turn| turn.taken)
    }

    /// Like [`FairSemaphore::acquire`], for callers that must use the permits before others get any.
    ///
    /// # Cancel safety
    /// This method is cancel safe, but dropping the future gives up its place among the waiters.
    pub(crate) async fn acquire_in_turn(self: &Arc<Self>, wanted: usize) -> Option<PermitsInTurn<'_>> {
        if self.waiting.load(Ordering::SeqCst) == 0
            && let Some(taken) = self.try_acquire_up_to(wanted)
        {
            return Some(taken.into());
        }
        if self.is_draining() {
            return None;
        }
        self.acquire_accepted_in_turn(wanted).await
    }

    /// Like [`FairSemaphore::acquire`], for messages that were accepted before [`FairSemaphore::drain`].
    ///
    /// # Cancel safety
    /// This method is cancel safe, but dropping the future gives up its place among the waiters.
    pub(crate) async fn acquire_accepted(self: &Arc<Self>, wanted: usize) -> Option<Permits> {
        if self.waiting.load(Ordering::SeqCst) == 0
            && let Some(taken) = self.try_acquire_up_to(wanted)
        {
            return Some(taken);
        }
        self.acquire_accepted_in_turn(wanted).await.map(|turn| turn.taken)
    }

    async fn acquire_accepted_in_turn(self: &Arc<Self>, wanted: usize) -> Option<PermitsInTurn<'_>> {
        let waiting = WaiterCount::new(self);
        let front = self.front_waiter.lock().await;
        let taken = self.wait_for(|| self.try_acquire_up_to(wanted)).await?;
        Some(PermitsInTurn { taken, turn: TurnGuard { _turn: Some((front, waiting)) } })
    }

    /// Refuses permits to newcomers from now on. Earlier waiters still get theirs.
    pub(crate) fn drain(&self) {
        if !self.draining.swap(true, Ordering::SeqCst) {
            // Never reversed: from now on every caller takes the slow path, and is notified of released permits.
            self.waiting.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Returns whether newcomers get no permits.
    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Waits until all permits are free and there are no waiters, or until the semaphore is closed. Call it after
    /// [`FairSemaphore::drain`].
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn drained(&self) {
        let is_free = || {
            let (free, waiting) = (self.free.load(Ordering::SeqCst), self.waiting.load(Ordering::SeqCst));
            (free >= self.total && waiting <= 1).then_some(())
        };
        // A closed semaphore needs no waiting.
        let _ = self.wait_for(is_free).await;
    }

    /// Grants no more permits, and ends all waiting.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.freed.notify_waiters();
    }

    /// Waits until `poll` returns a value, and returns it; `None` when the semaphore is closed.
    async fn wait_for<T>(&self, poll: impl Fn() -> Option<T>) -> Option<T> {
        loop {
            let freed = self.freed.notified();
            if self.closed.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(found) = poll() {
                return Some(found);
            }
            freed.await;
        }
    }

    #[inline]
    fn try_acquire_up_to(self: &Arc<Self>, wanted: usize) -> Option<Permits> {
        if self.closed.load(Ordering::SeqCst) {
            return None;
        }
        let mut free = self.free.load(Ordering::SeqCst);
        loop {
            let count = wanted.min(free);
            if count == 0 {
                return None;
            }
            match self.free.compare_exchange_weak(free, free - count, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Some(Permits { semaphore: Arc::clone(self), count }),
                Err(now) => free = now,
            }
        }
    }
}

impl<'a> PermitsInTurn<'a> {
    /// Splits this into the permits and the guard that keeps others from overtaking.
    pub(crate) fn into_parts(self) -> (Permits, TurnGuard<'a>) {
        (self.taken, self.turn)
    }
}

impl From<Permits> for PermitsInTurn<'_> {
    /// Wraps permits for which nothing waited.
    fn from(taken: Permits) -> Self {
        Self { taken, turn: TurnGuard::default() }
    }
}

impl Permits {
    /// Returns their number.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Splits off `count` of them, if there are as many and it is at least one.
    pub(crate) fn split(&mut self, count: usize) -> Option<Self> {
        if count == 0 || count > self.count {
            return None;
        }
        self.count -= count;
        Some(Self { semaphore: Arc::clone(&self.semaphore), count })
    }
}

impl Drop for Permits {
    #[inline]
    fn drop(&mut self) {
        if self.count == 0 {
            return;
        }
        let semaphore = &*self.semaphore;
        // A waiter counts itself before it checks for free permits, and here permits are released before checking for waiters:
        // one of the two sees the other, because all these accesses are sequentially consistent.
        semaphore.free.fetch_add(self.count, Ordering::SeqCst);
        if semaphore.waiting.load(Ordering::SeqCst) > 0 {
            semaphore.freed.notify_waiters();
        }
    }
}

/// A waiter that is counted until this is dropped.
#[derive(Debug)]
struct WaiterCount<'a> {
    semaphore: &'a FairSemaphore,
}

impl<'a> WaiterCount<'a> {
    fn new(semaphore: &'a FairSemaphore) -> Self {
        semaphore.waiting.fetch_add(1, Ordering::SeqCst);
        Self { semaphore }
    }
}

impl Drop for WaiterCount<'_> {
    fn drop(&mut self) {
        self.semaphore.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.semaphore.is_draining() {
            self.semaphore.freed.notify_waiters();
        }
    }
}

#[cfg(all(test, not(interleaved)))]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn permits_are_acquired_split_and_released() {
        let semaphore = FairSemaphore::new(4);
        let mut taken = semaphore.acquire(3).await.expect("they are free");
        assert_eq!((taken.count(), semaphore.taken()), (3, 3));
        let one = taken.split(1).expect("three can be split");
        assert!(taken.split(3).is_none() && taken.split(0).is_none());
        let rest = semaphore.acquire(5).await.expect("one is free");
        assert_eq!((rest.count(), semaphore.try_acquire().is_none()), (1, true));
        drop((one, rest));
        assert_eq!(semaphore.taken(), 2);
        drop(taken);
        assert_eq!(semaphore.taken(), 0);
    }

    #[tokio::test]
    async fn draining_serves_waiters_and_refuses_newcomers() {
        let semaphore = FairSemaphore::new(1);
        let taken = semaphore.try_acquire().expect("it is free");
        let waiter = tokio::spawn({
            let semaphore = Arc::clone(&semaphore);
            async move { semaphore.acquire(1).await }
        });
        tokio::task::yield_now().await;
        semaphore.drain();
        semaphore.drain();
        let drained = tokio::spawn({
            let semaphore = Arc::clone(&semaphore);
            async move { semaphore.drained().await }
        });
        assert!(semaphore.try_acquire().is_none() && semaphore.acquire(1).await.is_none());
        drop(taken);
        let waited = waiter.await.expect("no panic").expect("it came before");
        tokio::task::yield_now().await;
        assert!(!drained.is_finished(), "one is taken");
        assert!(semaphore.try_acquire().is_none() && semaphore.acquire(1).await.is_none());
        drop(waited);
        let late = semaphore.acquire_accepted(1).await.expect("free");
        drop(late);
        drained.await.expect("no panic");
        assert!(semaphore.try_acquire().is_none() && semaphore.acquire(1).await.is_none(), "still");
    }

    #[tokio::test]
    async fn waiters_are_served_in_order_and_never_overtaken() {
        let semaphore = FairSemaphore::new(1);
        let taken = semaphore.try_acquire().expect("it is free");
        let (order, mut order_rx) = tokio::sync::mpsc::unbounded_channel();
        let mut waiting = Vec::new();
        for number in 0..3 {
            let (semaphore, order) = (Arc::clone(&semaphore), order.clone());
            waiting.push(tokio::spawn(async move {
                let taken = semaphore.acquire(1).await;
                order.send(number).expect("the test receives");
                drop(taken);
            }));
            // On this single thread the task waits in the queue before the next is created.
            tokio::task::yield_now().await;
        }
        drop(taken);
        assert!(semaphore.try_acquire().is_none(), "three wait already");
        for number in 0..3 {
            assert_eq!(order_rx.recv().await, Some(number));
        }
        for ended in waiting {
            ended.await.expect("no panic");
        }
        assert!(semaphore.try_acquire().is_some());
    }

    #[tokio::test]
    async fn closing_ends_all_waiting() {
        let semaphore = FairSemaphore::new(1);
        let _taken = semaphore.try_acquire().expect("it is free");
        let (one, all) = (Arc::clone(&semaphore), Arc::clone(&semaphore));
        let one = tokio::spawn(async move { one.acquire(1).await.is_none() });
        tokio::task::yield_now().await;
        semaphore.drain();
        let all = tokio::spawn(async move { all.drained().await });
        tokio::task::yield_now().await;
        semaphore.close();
        assert!(one.await.expect("no panic"));
        all.await.expect("no panic");
        assert!(semaphore.acquire(1).await.is_none() && semaphore.try_acquire().is_none());
    }

    #[test]
    fn permits_stay_within_the_limit_and_every_waiter_is_served() {
        let semaphore = FairSemaphore::new(3);
        let inside = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (semaphore, inside) = (Arc::clone(&semaphore), Arc::clone(&inside));
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                    runtime.expect("a runtime").block_on(async {
                        for round in 0..2_000 {
                            let taken = match semaphore.try_acquire() {
                                Some(taken) => taken,
                                None => {
                                    let taken = semaphore.acquire(1 + round % 2);
                                    let taken = tokio::time::timeout(Duration::from_secs(60), taken);
                                    taken.await.expect("its turn comes").expect("open")
                                }
                            };
                            let count = taken.count() as u64;
                            assert!(inside.fetch_add(count, Ordering::SeqCst) + count <= 3);
                            inside.fetch_sub(count, Ordering::SeqCst);
                            drop(taken);
                        }
                    });
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(semaphore.taken(), 0);
    }
}
