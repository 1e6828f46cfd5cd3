//! A subscription that several can wait for at once: threads, tasks, and a signal handler in the middle of its own thread's wait.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use meshzero_actors::runtime::waking;
use meshzero_proto::codec::Packed;

use super::super::address::Address;
use super::super::error::ZeroError;
use super::super::global;
use super::super::listener;
use super::super::news_filter::NewsFilter;
use super::super::queue::{Queue, Sequenced};
use super::super::wait::Wait;
use crate::subscribe::News;

/// A subscription to the news of some addresses under some prefixes, like that of
/// [`zero::wait_for_news_from`](super::super::wait_for_news_from), from its creation until it is closed or dropped.
///
/// Any number of futures may wait at a time: each item goes to one of them, and none delays another.
pub struct Listener {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<ListenerState>,
    /// Wakes all waiters, because the subscription has one waker only.
    waker: Waker,
    waiting: Arc<Waiters>,
}

struct ListenerState {
    /// `None` once it is closed.
    listener: Option<listener::FilteredSubscription<Packed>>,
    /// The items that were handed out and given back.
    returned: Queue<Next>,
}

/// An item, or an error in its place.
type Next = Result<News<Packed>, ZeroError>;

impl Listener {
    /// Begins to subscribe.
    ///
    /// # Errors
    /// [`ZeroError::Nothing`] if there is no address or no prefix, [`ZeroError::Join`].
    pub fn new(addresses: Vec<Address>, prefixes: Vec<String>) -> Result<Self, ZeroError> {
        let filter = NewsFilter::new(addresses, prefixes)?;
        let listener = listener::FilteredSubscription::open(global::node()?, filter);
        let state = ListenerState { listener: Some(listener), returned: Queue::default() };
        let waiting = Arc::<Waiters>::default();
        let waker = Waker::from(Arc::clone(&waiting));
        Ok(Self { shared: Arc::new(Shared { state: Mutex::new(state), waker, waiting }) })
    }

    /// Waits until every connected publisher has confirmed: items that it sends from then on arrive. Waits half a second for an address
    /// at which nothing answers, which is subscribed to as soon as a publisher does, and 5 s for one that answers and does not confirm.
    ///
    /// # Errors
    /// [`ZeroError::Subscribe`] if a prefix is not valid; [`ZeroError::Closed`].
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub fn confirmed(&self) -> impl Future<Output = Result<(), ZeroError>> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        let mut timeouts = shared.lock().listener.as_mut().map(listener::FilteredSubscription::timeouts);
        async move {
            shared
                .wait(|state, _, all| {
                    let (Some(listener), Some(timeouts)) = (&mut state.listener, &mut timeouts) else {
                        return Poll::Ready(Err(ZeroError::Closed));
                    };
                    let settled = listener.poll_settled(timeouts, all);
                    settled.map(|()| listener.take_failure().map_or(Ok(()), Err))
                })
                .await
        }
    }

    /// Waits for the next item; `None` if none arrived in time. The time begins with this call, and not when the future is first polled.
    /// The first wait also waits for the publishers, as [`confirmed`](Self::confirmed) does.
    ///
    /// # Errors
    /// [`ZeroError::Closed`] if the listener is closed meanwhile.
    ///
    /// # Cancel safety
    /// This method is cancel safe: an [`Item`] that is not taken is returned again.
    pub fn next(
        &self,
        wait: impl Into<Wait>,
    ) -> impl Future<Output = Result<Option<Item>, ZeroError>> + Send + 'static {
        let deadline = wait.into().deadline();
        let shared = Arc::clone(&self.shared);
        let mut alarms = shared.lock().listener.as_mut().map(|listener| {
            let end = deadline.map(|deadline| listener.alarm(Some(deadline)));
            (end, listener.timeouts())
        });
        async move {
            let next = shared.wait(|state, task, all| {
                let (Some(listener), Some((end, timeouts))) = (&mut state.listener, &mut alarms) else {
                    return Poll::Ready(Err(ZeroError::Closed));
                };
                if let Some(returned) = state.returned.take() {
                    return Poll::Ready(Ok(Some(returned)));
                }
                if let Poll::Ready(news) = listener.poll_next(all) {
                    return Poll::Ready(Ok(Some(state.returned.take_at_once(news))));
                }
                let is_over = end.as_mut().is_some_and(|end| Pin::new(end).poll(task).is_ready());
                if is_over && listener.poll_settled(timeouts, all).is_ready() {
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending
            });
            let next = next.await?;
            Ok(next.map(|next| Item { next: Some(next), shared }))
        }
    }

    /// Returns the next item, if it is there already.
    ///
    /// # Errors
    /// Those of [`Listener::next`] and [`Item::take`].
    pub fn next_now(&self) -> Result<Option<News<Packed>>, ZeroError> {
        let _held = self.shared.waiting.hold();
        let mut state = self.shared.lock();
        if let Some(returned) = state.returned.take() {
            return returned.item.map(Some);
        }
        let Some(listener) = &mut state.listener else { return Err(ZeroError::Closed) };
        // The waiters are woken for the item after this one.
        match listener.poll_next(&mut Context::from_waker(&self.shared.waker)) {
            Poll::Ready(news) => state.returned.take_at_once(news).item.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// Ends the subscription, and with [`ZeroError::Closed`] every wait for it.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        let ended = (state.listener.take(), std::mem::take(&mut state.returned));
        drop(state);
        drop(ended);
        self.shared.waiting.wake_all();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, ListenerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `poll` is ready, which is polled with the state, with the waker of this wait, and with that of all waiters.
    async fn wait<T>(
        &self,
        mut poll: impl FnMut(&mut ListenerState, &mut Context<'_>, &mut Context<'_>) -> Poll<T>,
    ) -> T {
        let mut place = self.waiting.place();
        poll_fn(|task| {
            // Before the check, so that an item that arrives between that and the wait is noticed.
            place.set(task.waker());
            let _held = self.waiting.hold();
            poll(&mut self.lock(), task, &mut Context::from_waker(&self.waker))
        })
        .await
    }

    /// The item to be taken instead of `next`: one that arrived before it and was given back, or `next` itself.
    fn first_of(&self, next: Sequenced<Next>) -> Sequenced<Next> {
        let returned = &mut self.lock().returned;
        match returned.take_before(&next) {
            Some(first) => {
                // The waiter that was woken for the other finds this.
                returned.give_back(next);
                first
            }
            None => next,
        }
    }

    fn give_back(&self, back: Sequenced<Next>) {
        let mut state = self.lock();
        if state.listener.is_some() {
            state.returned.give_back(back);
        }
        drop(state);
        self.waiting.wake_all();
    }
}

/// An item that a wait has returned, or a report of missed items. If it is dropped before it is [taken](Item::take), it is returned
/// again, before those that arrived after it.
pub struct Item {
    next: Option<Sequenced<Next>>,
    shared: Arc<Shared>,
}

impl Item {
    /// Takes the item; or one that arrived before it, if that was given back meanwhile.
    ///
    /// # Errors
    /// Those of [`zero::wait_for_news_from`](super::super::wait_for_news_from). After [`ZeroError::Closed`] and
    /// [`ZeroError::Subscribe`] a new listener is needed; after all others the next wait continues.
    pub fn take(mut self) -> Result<News<Packed>, ZeroError> {
        let next = self.next.take().expect("it is taken once, by value");
        self.shared.first_of(next).item
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        if let Some(next) = self.next.take() {
            self.shared.give_back(next);
        }
    }
}

/// The waiters of one listener.
#[derive(Default)]
struct Waiters {
    places: Mutex<WaiterList>,
}

#[derive(Default)]
struct WaiterList {
    count: u64,
    /// In the order in which they began to wait: the one that is woken first gets the first item.
    wakers: Vec<(u64, Waker)>,
    /// The number of [`WakeHold`]s.
    holds: usize,
    /// Set if all are to be woken once there are none.
    is_due: bool,
}

/// A guard that defers wake-ups by the [`Waker`] of all waiters: its owner locks the state, and a poll under the lock may wake.
struct WakeHold<'a>(&'a Waiters);

/// The slot of one waiter.
struct WaiterSlot<'a> {
    number: u64,
    waiting: &'a Waiters,
}

impl WaiterList {
    fn take(&mut self, number: u64) -> Option<(u64, Waker)> {
        let at = self.wakers.binary_search_by_key(&number, |(other, _)| *other).ok()?;
        Some(self.wakers.remove(at))
    }
}

impl Waiters {
    fn place(&self) -> WaiterSlot<'_> {
        let mut places = self.lock();
        places.count += 1;
        WaiterSlot { number: places.count, waiting: self }
    }

    /// Defers wake-ups; to be called before the state is locked.
    fn hold(&self) -> WakeHold<'_> {
        self.lock().holds += 1;
        WakeHold(self)
    }

    fn wake_all(&self) {
        let woken = {
            let mut places = self.lock();
            places.is_due = places.holds > 0;
            match places.is_due {
                true => Vec::new(),
                false => std::mem::take(&mut places.wakers),
            }
        };
        // Not while anything is locked: a woken waiter may poll again at once.
        waking::wake_all(woken.into_iter().map(|(_, waker)| waker));
    }

    fn lock(&self) -> MutexGuard<'_, WaiterList> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WakeHold<'_> {
    fn drop(&mut self) {
        let mut places = self.0.lock();
        places.holds -= 1;
        let is_due = places.is_due;
        drop(places);
        if is_due {
            self.0.wake_all();
        }
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

impl WaiterSlot<'_> {
    fn set(&mut self, waker: &Waker) {
        let mut places = self.waiting.lock();
        let before = places.take(self.number);
        let at = places.wakers.partition_point(|(other, _)| *other < self.number);
        places.wakers.insert(at, (self.number, waker.clone()));
        drop(places);
        // Not under the lock: dropping a waker may drop a task, and with it another slot.
        drop(before);
    }
}

impl Drop for WaiterSlot<'_> {
    fn drop(&mut self) {
        let waker = self.waiting.lock().take(self.number);
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Checks that the waiters can be locked, like one that polls again at once.
    #[derive(Default)]
    struct Reentrant {
        waiting: Arc<Waiters>,
        state: Mutex<()>,
        count: AtomicUsize,
    }

    impl Wake for Reentrant {
        fn wake(self: Arc<Self>) {
            drop(self.waiting.places.try_lock().expect("the places are not locked"));
            drop(self.state.try_lock().expect("the state is not locked"));
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that it was woken.
    struct Recorder(u8, Arc<Mutex<Vec<u8>>>);

    impl Wake for Recorder {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("nobody panics with it").push(self.0);
        }
    }

    #[test]
    fn who_began_to_wait_first_is_woken_first_however_often_each_has_looked() {
        let (waiting, noted) = (Waiters::default(), Arc::default());
        let mut places = [1, 2, 3]
            .map(|number| (waiting.place(), Waker::from(Arc::new(Recorder(number, Arc::clone(&noted))))));
        for looks in [2, 0, 1, 0] {
            let (place, waker) = &mut places[looks];
            place.set(waker);
        }
        waiting.wake_all();
        assert_eq!(*noted.lock().expect("nobody panics with it"), [1, 2, 3]);
    }

    #[test]
    fn whoever_waits_is_woken_when_the_state_is_unlocked_that_it_looks_at() {
        let comes = Arc::<Reentrant>::default();
        let waiting = Arc::clone(&comes.waiting);
        let mut place = waiting.place();
        place.set(&Waker::from(Arc::clone(&comes)));
        let held = waiting.hold();
        let state = comes.state.lock();
        Waker::from(Arc::clone(&waiting)).wake_by_ref();
        assert_eq!(comes.count.load(Ordering::Relaxed), 0);
        drop((state, held));
        assert_eq!(comes.count.load(Ordering::Relaxed), 1);
        waiting.wake_all();
        assert_eq!(comes.count.load(Ordering::Relaxed), 1, "it has not come back");
    }
}
