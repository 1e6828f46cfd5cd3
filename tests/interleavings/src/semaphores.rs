//! A quota: no more is taken than there is, and nobody waits for what is free.

use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::{future, thread};

use crate::runtime::semaphore::FairSemaphore;

/// Interleavings of each test.
const HISTORIES: usize = 2_000;

/// No more is taken than there is, and nobody waits for what is free.
pub fn no_more_is_taken_than_there_is_and_nobody_waits_for_what_is_free() {
    shuttle::check_random(
        || {
            let (quota, inside) = (FairSemaphore::new(2), Arc::new(AtomicUsize::new(0)));
            let threads = (1..=3).map(|wanted| {
                let (quota, inside) = (Arc::clone(&quota), Arc::clone(&inside));
                thread::spawn(move || {
                    for _ in 0..2 {
                        let taken = match quota.try_take() {
                            Some(taken) => taken,
                            None => future::block_on(quota.take(wanted)).expect("it is not closed"),
                        };
                        let count = taken.count();
                        assert!(inside.fetch_add(count, Ordering::SeqCst) + count <= 2);
                        inside.fetch_sub(count, Ordering::SeqCst);
                    }
                })
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            assert_eq!(quota.taken(), 0);
        },
        HISTORIES,
    );
}

/// Whoever drains hears when all is free, and who waits gets a place or hears of the end.
pub fn who_drains_hears_when_all_is_free_and_who_waits_hears_of_the_end() {
    shuttle::check_random(
        || {
            let quota = FairSemaphore::new(1);
            let taken = quota.try_take().expect("it is free");
            let before = {
                let quota = Arc::clone(&quota);
                // Before the draining or after it: it gets a place or is turned away.
                thread::spawn(move || drop(future::block_on(quota.take(1))))
            };
            let giving = thread::spawn(move || drop(taken));
            quota.drain();
            future::block_on(quota.all_free());
            before.join().expect("no panic");
            giving.join().expect("no panic");
            assert!(quota.try_take().is_none() && future::block_on(quota.take(1)).is_none());
            let last = future::block_on(quota.take_accepted(1)).expect("it was accepted before");
            let waiting = {
                let quota = Arc::clone(&quota);
                thread::spawn(move || future::block_on(quota.take_accepted(1)).is_none())
            };
            quota.close();
            assert!(waiting.join().expect("no panic"));
            drop(last);
        },
        HISTORIES,
    );
}

/// Whoever has waited for a turn uses it before those who came later get a place, whoever gives one back.
pub fn nobody_overtakes_who_has_a_turn() {
    shuttle::check_random(
        || {
            let (quota, used) = (FairSemaphore::new(2), Arc::new(AtomicUsize::new(0)));
            let taken = [quota.try_take().expect("free"), quota.try_take().expect("free")];
            let giving = thread::spawn(move || drop(taken));
            let waiting = {
                let (quota, used) = (Arc::clone(&quota), Arc::clone(&used));
                thread::spawn(move || {
                    let turn = future::block_on(quota.turn(1)).expect("it is not closed");
                    let (place, in_turn) = turn.divide();
                    used.store(1, Ordering::SeqCst);
                    drop((in_turn, place));
                })
            };
            let late = {
                let (quota, used) = (Arc::clone(&quota), Arc::clone(&used));
                thread::spawn(move || {
                    // Once somebody waits, a place is not free before that one has used its turn.
                    let waited = quota.is_awaited();
                    if waited && let Some(place) = quota.try_take() {
                        assert_eq!(used.load(Ordering::SeqCst), 1);
                        drop(place);
                    }
                })
            };
            for thread in [giving, waiting, late] {
                thread.join().expect("no panic");
            }
            assert_eq!(quota.taken(), 0);
        },
        HISTORIES,
    );
}
