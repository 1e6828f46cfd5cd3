//! A semaphore: it never grants more than its permits, and nobody waits while permits are free.

use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::{future, thread};

use crate::runtime::semaphore::FairSemaphore;

/// The number of interleavings of each check.
const ITERATIONS: usize = 2_000;

/// The semaphore never grants more than its permits, and nobody waits while permits are free.
pub fn no_more_permits_are_granted_than_there_are_and_nobody_waits_for_free_ones() {
    shuttle::check_random(
        || {
            let (semaphore, granted) = (FairSemaphore::new(2), Arc::new(AtomicUsize::new(0)));
            let threads = (1..=3).map(|wanted| {
                let (semaphore, granted) = (Arc::clone(&semaphore), Arc::clone(&granted));
                thread::spawn(move || {
                    for _ in 0..2 {
                        let permits = match semaphore.try_acquire() {
                            Some(permits) => permits,
                            None => future::block_on(semaphore.acquire(wanted)).expect("it is not closed"),
                        };
                        let count = permits.count();
                        assert!(granted.fetch_add(count, Ordering::SeqCst) + count <= 2);
                        granted.fetch_sub(count, Ordering::SeqCst);
                    }
                })
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            assert_eq!(semaphore.taken(), 0);
        },
        ITERATIONS,
    );
}

/// A drain ends when all permits are free, and every waiter gets a permit or an error.
pub fn draining_ends_when_all_permits_are_free_and_waiters_get_an_error() {
    shuttle::check_random(
        || {
            let semaphore = FairSemaphore::new(1);
            let permits = semaphore.try_acquire().expect("it is free");
            let waiter = {
                let semaphore = Arc::clone(&semaphore);
                // Before the drain or after it: the waiter gets a permit or an error.
                thread::spawn(move || drop(future::block_on(semaphore.acquire(1))))
            };
            let releasing = thread::spawn(move || drop(permits));
            semaphore.drain();
            future::block_on(semaphore.drained());
            waiter.join().expect("no panic");
            releasing.join().expect("no panic");
            assert!(semaphore.try_acquire().is_none() && future::block_on(semaphore.acquire(1)).is_none());
            let last = future::block_on(semaphore.acquire_accepted(1)).expect("it was accepted before");
            let waiting = {
                let semaphore = Arc::clone(&semaphore);
                thread::spawn(move || future::block_on(semaphore.acquire_accepted(1)).is_none())
            };
            semaphore.close();
            assert!(waiting.join().expect("no panic"));
            drop(last);
        },
        ITERATIONS,
    );
}

/// A woken waiter uses its permit before later callers get one, whoever releases it.
pub fn nobody_overtakes_a_woken_waiter() {
    shuttle::check_random(
        || {
            let (semaphore, used) = (FairSemaphore::new(2), Arc::new(AtomicUsize::new(0)));
            let permits = [semaphore.try_acquire().expect("free"), semaphore.try_acquire().expect("free")];
            let releasing = thread::spawn(move || drop(permits));
            let waiting = {
                let (semaphore, used) = (Arc::clone(&semaphore), Arc::clone(&used));
                thread::spawn(move || {
                    let permit = future::block_on(semaphore.acquire_in_turn(1)).expect("it is not closed");
                    let (permit, turn) = permit.into_parts();
                    used.store(1, Ordering::SeqCst);
                    drop((turn, permit));
                })
            };
            let newcomer = {
                let (semaphore, used) = (Arc::clone(&semaphore), Arc::clone(&used));
                thread::spawn(move || {
                    // While there is a waiter, no permit is free until that waiter has used its own.
                    let waited = semaphore.is_awaited();
                    if waited && let Some(permit) = semaphore.try_acquire() {
                        assert_eq!(used.load(Ordering::SeqCst), 1);
                        drop(permit);
                    }
                })
            };
            for thread in [releasing, waiting, newcomer] {
                thread.join().expect("no panic");
            }
            assert_eq!(semaphore.taken(), 0);
        },
        ITERATIONS,
    );
}
