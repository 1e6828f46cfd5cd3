//! A quota: of something there is only so much at a time, such as places for the unfinished messages of a service.
//!
//! A counter of its own and not tokio's semaphore, which takes a lock for every place that is given back: calls within one
//! process feel it.

use tokio::sync::Notify;

use crate::runtime::sync::Arc;
use crate::runtime::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A fair semaphore: a number of places, and those of them that are free.
#[derive(Debug)]
pub(crate) struct FairSemaphore {
    all: usize,
    free: AtomicUsize,
    closed: AtomicBool,
    /// Nobody new gets places; one more than those who wait is counted, so that nobody passes by them.
    draining: AtomicBool,
    /// The number of those who wait: nobody may overtake them, and they are told of places that are given back.
    waiting: AtomicUsize,
    /// Held by whoever waits at the front, so that those who wait are served in order.
    front: tokio::sync::Mutex<()>,
    freed: Notify,
}

/// Places that were taken in turn. As long as it lives, nobody who came later gets any.
#[derive(Debug)]
pub(crate) struct PermitsInTurn<'a> {
    taken: Permits,
    waited: TurnGuard<'a>,
}

/// As long as it lives, nobody overtakes who waited for a turn.
#[derive(Debug, Default)]
pub(crate) struct TurnGuard<'a> {
    _waited: Option<(tokio::sync::MutexGuard<'a, ()>, WaiterCount<'a>)>,
}

/// Places that are taken. They are given back when this is dropped.
#[derive(Debug)]
pub struct Permits {
    quota: Arc<FairSemaphore>,
    count: usize,
}

impl FairSemaphore {
    /// So many free places.
    pub(crate) fn new(all: usize) -> Arc<Self> {
        Arc::new(Self {
            all,
            free: AtomicUsize::new(all),
            closed: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            front: tokio::sync::Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Returns the number of places that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.all - self.free.load(Ordering::Acquire).min(self.all)
    }

    /// Returns whether somebody waits, or nobody new gets places.
    #[cfg(interleaved)]
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// One place, if one is free and nobody waits for it.
    #[inline]
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<Permits> {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return None;
        }
        self.try_acquire_up_to(1)
    }

    /// As many places as are wanted and free, behind those who waited before: one at least, if one is wanted. `None` when
    /// there will be no more.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub(crate) async fn acquire(self: &Arc<Self>, wanted: usize) -> Option<Permits> {
        self.acquire_in_turn(wanted).await.map(|turn| turn.taken)
    }

    /// As [`FairSemaphore::acquire`], for those for whom it matters what is done with the places before others get some.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub(crate) async fn acquire_in_turn(self: &Arc<Self>, wanted: usize) -> Option<PermitsInTurn<'_>> {
        if self.waiting.load(Ordering::SeqCst) == 0
            && let Some(taken) = self.try_acquire_up_to(wanted)
        {
            return Some(taken.into());
        }
        if self.is_draining() {
            return None;
        }
        self.turn_of_accepted(wanted).await
    }

    /// As [`FairSemaphore::acquire`], for what was accepted before [`FairSemaphore::drain`].
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue.
    pub(crate) async fn acquire_accepted(self: &Arc<Self>, wanted: usize) -> Option<Permits> {
        if self.waiting.load(Ordering::SeqCst) == 0
            && let Some(taken) = self.try_acquire_up_to(wanted)
        {
            return Some(taken);
        }
        self.turn_of_accepted(wanted).await.map(|turn| turn.taken)
    }

    async fn turn_of_accepted(self: &Arc<Self>, wanted: usize) -> Option<PermitsInTurn<'_>> {
        let waiting = WaiterCount::new(self);
        let front = self.front.lock().await;
        let taken = self.until(|| self.try_acquire_up_to(wanted)).await?;
        Some(PermitsInTurn { taken, waited: TurnGuard { _waited: Some((front, waiting)) } })
    }

    /// Gives no more places to those who come from now on. Those who wait still get theirs.
    pub(crate) fn drain(&self) {
        if !self.draining.swap(true, Ordering::SeqCst) {
            // Never taken back: from here on everybody asks in the slow way, and is told of places that are given back.
            self.waiting.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Returns whether nobody new gets places.
    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Waits until all places are free and nobody waits for one, or until there will be no more. To be called when
    /// [`FairSemaphore::drain`] has been.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub(crate) async fn drained(&self) {
        let is_free = || {
            let (free, waiting) = (self.free.load(Ordering::SeqCst), self.waiting.load(Ordering::SeqCst));
            (free >= self.all && waiting <= 1).then_some(())
        };
        // Closed, there is nothing to wait for.
        let _ = self.until(is_free).await;
    }

    /// Gives no more places, and ends all waiting.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.freed.notify_waiters();
    }

    /// Waits until `look` finds something, and returns that; `None` when the places are closed.
    async fn until<T>(&self, look: impl Fn() -> Option<T>) -> Option<T> {
        loop {
            let freed = self.freed.notified();
            if self.closed.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(found) = look() {
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
                Ok(_) => return Some(Permits { quota: Arc::clone(self), count }),
                Err(now) => free = now,
            }
        }
    }
}

impl<'a> PermitsInTurn<'a> {
    /// The places, and what keeps others from overtaking.
    pub(crate) fn divide(self) -> (Permits, TurnGuard<'a>) {
        (self.taken, self.waited)
    }
}

impl From<Permits> for PermitsInTurn<'_> {
    /// Places for which nobody waited.
    fn from(taken: Permits) -> Self {
        Self { taken, waited: TurnGuard::default() }
    }
}

impl Permits {
    /// Returns their number.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Takes so many of them, if there are as many and it is one at least.
    pub(crate) fn split(&mut self, count: usize) -> Option<Self> {
        if count == 0 || count > self.count {
            return None;
        }
        self.count -= count;
        Some(Self { quota: Arc::clone(&self.quota), count })
    }
}

impl Drop for Permits {
    #[inline]
    fn drop(&mut self) {
        if self.count == 0 {
            return;
        }
        let quota = &*self.quota;
        // Whoever waits says so before looking for free places, and here they are free before it is asked who waits: one
        // of both sees the other, because the order of all these accesses is the same for every thread.
        quota.free.fetch_add(self.count, Ordering::SeqCst);
        if quota.waiting.load(Ordering::SeqCst) > 0 {
            quota.freed.notify_waiters();
        }
    }
}

/// One who waits, counted.
#[derive(Debug)]
struct WaiterCount<'a> {
    quota: &'a FairSemaphore,
}

impl<'a> WaiterCount<'a> {
    fn new(quota: &'a FairSemaphore) -> Self {
        quota.waiting.fetch_add(1, Ordering::SeqCst);
        Self { quota }
    }
}

impl Drop for WaiterCount<'_> {
    fn drop(&mut self) {
        self.quota.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.quota.is_draining() {
            self.quota.freed.notify_waiters();
        }
    }
}

#[cfg(all(test, not(interleaved)))]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn places_are_taken_split_and_given_back() {
        let quota = FairSemaphore::new(4);
        let mut taken = quota.acquire(3).await.expect("they are free");
        assert_eq!((taken.count(), quota.taken()), (3, 3));
        let one = taken.split(1).expect("three can be split");
        assert!(taken.split(3).is_none() && taken.split(0).is_none());
        let rest = quota.acquire(5).await.expect("one is free");
        assert_eq!((rest.count(), quota.try_acquire().is_none()), (1, true));
        drop((one, rest));
        assert_eq!(quota.taken(), 2);
        drop(taken);
        assert_eq!(quota.taken(), 0);
    }

    #[tokio::test]
    async fn draining_serves_who_waits_and_turns_away_who_comes() {
        let quota = FairSemaphore::new(1);
        let taken = quota.try_acquire().expect("it is free");
        let waits = tokio::spawn({
            let quota = Arc::clone(&quota);
            async move { quota.acquire(1).await }
        });
        tokio::task::yield_now().await;
        quota.drain();
        quota.drain();
        let drained = tokio::spawn({
            let quota = Arc::clone(&quota);
            async move { quota.drained().await }
        });
        assert!(quota.try_acquire().is_none() && quota.acquire(1).await.is_none());
        drop(taken);
        let waited = waits.await.expect("no panic").expect("it came before");
        tokio::task::yield_now().await;
        assert!(!drained.is_finished(), "one is taken");
        assert!(quota.try_acquire().is_none() && quota.acquire(1).await.is_none());
        drop(waited);
        let late = quota.acquire_accepted(1).await.expect("free");
        drop(late);
        drained.await.expect("no panic");
        assert!(quota.try_acquire().is_none() && quota.acquire(1).await.is_none(), "still");
    }

    #[tokio::test]
    async fn those_who_wait_have_their_turn_in_order_and_nobody_overtakes_them() {
        let quota = FairSemaphore::new(1);
        let taken = quota.try_acquire().expect("it is free");
        let (order, mut came) = tokio::sync::mpsc::unbounded_channel();
        let mut waiting = Vec::new();
        for number in 0..3 {
            let (quota, order) = (Arc::clone(&quota), order.clone());
            waiting.push(tokio::spawn(async move {
                let taken = quota.acquire(1).await;
                order.send(number).expect("the test listens");
                drop(taken);
            }));
            // On this one thread the task waits in the queue before the next is made.
            tokio::task::yield_now().await;
        }
        drop(taken);
        assert!(quota.try_acquire().is_none(), "three wait already");
        for number in 0..3 {
            assert_eq!(came.recv().await, Some(number));
        }
        for ended in waiting {
            ended.await.expect("no panic");
        }
        assert!(quota.try_acquire().is_some());
    }

    #[tokio::test]
    async fn closing_ends_all_waiting() {
        let quota = FairSemaphore::new(1);
        let _taken = quota.try_acquire().expect("it is free");
        let (one, all) = (Arc::clone(&quota), Arc::clone(&quota));
        let one = tokio::spawn(async move { one.acquire(1).await.is_none() });
        tokio::task::yield_now().await;
        quota.drain();
        let all = tokio::spawn(async move { all.drained().await });
        tokio::task::yield_now().await;
        quota.close();
        assert!(one.await.expect("no panic"));
        all.await.expect("no panic");
        assert!(quota.acquire(1).await.is_none() && quota.try_acquire().is_none());
    }

    #[test]
    fn no_more_are_taken_than_there_are_and_nobody_waits_for_ever() {
        let quota = FairSemaphore::new(3);
        let inside = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (quota, inside) = (Arc::clone(&quota), Arc::clone(&inside));
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                    runtime.expect("a runtime").block_on(async {
                        for round in 0..2_000 {
                            let taken = match quota.try_acquire() {
                                Some(taken) => taken,
                                None => {
                                    let taken = quota.acquire(1 + round % 2);
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
        assert_eq!(quota.taken(), 0);
    }
}
