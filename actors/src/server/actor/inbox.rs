//! The queue of messages waiting for a supervised actor. It outlives the actor: after a panic, the next one continues
//! with it. The queue itself is unbounded; its bound is enforced where messages are accepted: each one holds a permit
//! of the service, from `Service::try_acquire` or one of its waiting variants, of which there are `Limits::mailbox`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use actix::Actor;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::server::request::delivery::Delivery;
use crate::server::request::in_progress::CountsByType;
use crate::server::request::inbound::InboundMessage;

/// A call of a handler, with its message inside.
pub(crate) type LocalCall<A> = Box<dyn FnOnce(&mut A, &mut <A as Actor>::Context) + Send>;

/// One message, or several, waiting for the actor.
pub(crate) enum Job<A: Actor> {
    /// The messages that arrived together on one connection.
    Delivery(Delivery),
    /// A message from this process that had to be encoded, for the handler with this number. In a box, because it is
    /// rare and large, and all jobs are moved.
    Alone(usize, Box<InboundMessage>),
    /// A message from this process, as a call of its handler, with the name of its type.
    Local(&'static str, LocalCall<A>),
}

impl<A: Actor> Job<A> {
    /// Drops the job unhandled. Its callers get the refusal that the service drains, and may try another instance.
    pub(crate) fn reject_unstarted(self) {
        match self {
            Self::Alone(_, inbound) => inbound.reject_draining(),
            // These do so when they are dropped.
            Self::Delivery(_) | Self::Local(..) => {}
        }
    }
}

/// The queue of messages for one actor. Its length is bounded by the service's permits, one of which comes with every
/// message.
pub(crate) struct Inbox<A: Actor> {
    /// The name of the service, or its address.
    service: String,
    state: Mutex<InboxState<A>>,
    /// Set once no more messages are accepted. Changed under the lock; read without it by callers that need nothing else.
    closed: AtomicBool,
    /// Set if all messages are to be dropped, and reported to `abandoning`. Changed under the lock.
    is_abandoning: AtomicBool,
}

/// Identifies a job that was pushed: the number of jobs pushed before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobId(u64);

struct InboxState<A: Actor> {
    /// The jobs with their ids, which ascend and have gaps where jobs were withdrawn.
    jobs: VecDeque<(u64, Job<A>)>,
    /// The id of the next job.
    next_id: u64,
    /// The first id that was refused, once there is one.
    first_rejected: Option<u64>,
    waker: Option<Waker>,
    /// Set while the driver waits for its waker to be called.
    is_asleep: bool,
    abandoning: Option<oneshot::Sender<CountsByType>>,
}

/// The result of polling an inbox for the next message.
pub(crate) enum InboxPoll<A: Actor> {
    /// A job, and there are more.
    Job(Job<A>),
    /// The last job; the waker will be called.
    Last(Job<A>),
    /// No job; the waker will be called.
    Empty,
    /// No job, and there will be none.
    Closed,
}

impl JobId {
    /// The id of a job that was not even pushed.
    const REJECTED: Self = Self(u64::MAX);

    /// Returns whether the message was not even pushed, because the inbox was closed.
    #[inline]
    pub(crate) fn is_rejected(self) -> bool {
        self == Self::REJECTED
    }
}

impl<A: Actor> InboxState<A> {
    /// Takes all waiting jobs, and records that they are refused.
    fn reject_remaining(&mut self) -> VecDeque<(u64, Job<A>)> {
        let first = self.jobs.front().map_or(self.next_id, |(id, _)| *id);
        self.first_rejected.get_or_insert(first);
        std::mem::take(&mut self.jobs)
    }

    /// Wakes the actor's driver if it sleeps. The waker is that of an actix context, which only schedules it.
    fn wake(&mut self) {
        if std::mem::take(&mut self.is_asleep)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

impl<A: Actor> Inbox<A> {
    pub(crate) fn new(service: String) -> Self {
        Self {
            service,
            state: Mutex::new(InboxState {
                jobs: VecDeque::new(),
                next_id: 0,
                first_rejected: None,
                waker: None,
                is_asleep: false,
                abandoning: None,
            }),
            closed: AtomicBool::new(false),
            is_abandoning: AtomicBool::new(false),
        }
    }

    /// The name of the service that the messages are for.
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// Appends a message; a closed inbox refuses it.
    pub(crate) fn push(&self, job: Job<A>) -> JobId {
        let mut state = self.lock();
        if self.is_closed() {
            drop(state);
            job.reject_unstarted();
            return JobId::REJECTED;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.jobs.push_back((id, job));
        state.wake();
        JobId(id)
    }

    /// Removes and drops a message that still waits; returns false if it has been taken.
    pub(crate) fn withdraw(&self, job: JobId) -> bool {
        let mut state = self.lock();
        let Ok(index) = state.jobs.binary_search_by_key(&job.0, |(id, _)| *id) else { return false };
        let withdrawn = state.jobs.remove(index);
        // Outside the lock: dropping a message may run code of its user.
        drop(state);
        drop(withdrawn);
        true
    }

    /// Returns whether a message was refused: it will certainly not be handled.
    pub(crate) fn was_rejected(&self, job: JobId) -> bool {
        job == JobId::REJECTED || self.lock().first_rejected.is_some_and(|first| job.0 >= first)
    }

    /// Takes the next message, or registers `waker` to be called when there is one.
    pub(crate) fn next(&self, waker: &Waker) -> InboxPoll<A> {
        let mut state = self.lock();
        let job = state.jobs.pop_front().map(|(_, job)| job);
        if !state.jobs.is_empty()
            && let Some(job) = job
        {
            return InboxPoll::Job(job);
        }
        if job.is_none() && self.is_closed() {
            return InboxPoll::Closed;
        }
        if !state.waker.as_ref().is_some_and(|registered| registered.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        state.is_asleep = true;
        job.map_or(InboxPoll::Empty, InboxPoll::Last)
    }

    /// Accepts no more messages. Those that wait are still handled.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        self.closed.store(true, Ordering::Release);
        state.wake();
    }

    /// Asks the actor's task to drop the waiting messages, and to send their numbers to `report`. Accepts no more messages.
    pub(crate) fn request_abandon(&self, report: oneshot::Sender<CountsByType>) {
        let mut state = self.lock();
        self.closed.store(true, Ordering::Release);
        state.abandoning = Some(report);
        self.is_abandoning.store(true, Ordering::Release);
        state.is_asleep = true;
        state.wake();
    }

    /// Returns whether all waiting messages are to be dropped.
    pub(crate) fn is_abandoning(&self) -> bool {
        self.is_abandoning.load(Ordering::Acquire)
    }

    /// As [`Inbox::is_abandoning`]; if not, `waker` will be called when that changes, or when a message arrives.
    pub(crate) fn poll_abandoning(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.lock();
        if state.abandoning.is_some() {
            return Poll::Ready(());
        }
        state.waker = Some(waker.clone());
        state.is_asleep = true;
        Poll::Pending
    }

    /// Takes the messages that wait, with the sender to report them to.
    pub(crate) fn take_abandoned(&self) -> (Vec<Job<A>>, Option<oneshot::Sender<CountsByType>>) {
        let mut state = self.lock();
        self.is_abandoning.store(false, Ordering::Release);
        let jobs = state.reject_remaining();
        (jobs.into_iter().map(|(_, job)| job).collect(), state.abandoning.take())
    }

    /// Refuses the waiting messages, when no actor will take them any more.
    pub(crate) fn abandon(&self) {
        let jobs = {
            let mut state = self.lock();
            self.closed.store(true, Ordering::Release);
            // Nobody is left to count the messages.
            state.abandoning = None;
            state.reject_remaining()
        };
        // Outside the lock: the refusals may run code of the callers.
        jobs.into_iter().for_each(|(_, job)| job.reject_unstarted());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, InboxState<A>> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Nobody;

    impl Actor for Nobody {
        type Context = actix::Context<Self>;
    }

    /// Creates a job, and a counter that shows whether the job still exists.
    fn job() -> (Job<Nobody>, Arc<()>) {
        let alive = Arc::new(());
        let in_job = Arc::clone(&alive);
        (Job::Local("job", Box::new(move |_, _| drop(in_job))), alive)
    }

    #[test]
    fn waiting_messages_can_be_withdrawn_and_taken_ones_cannot() {
        let inbox = Inbox::<Nobody>::new("nobody".to_owned());
        let jobs: Vec<_> = (0..4).map(|_| job()).collect();
        let (ids, alive): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|(job, alive)| (inbox.push(job), alive)).unzip();
        let waits = |index: usize| Arc::strong_count(&alive[index]) == 2;
        assert!(matches!(inbox.next(Waker::noop()), InboxPoll::Job(_)));
        assert!(!inbox.withdraw(ids[0]), "it was taken");
        assert!(inbox.withdraw(ids[2]) && !waits(2));
        assert!(waits(1) && waits(3), "the others are where they were");
        assert!(matches!(inbox.next(Waker::noop()), InboxPoll::Job(_)) && !inbox.withdraw(ids[1]));
        assert!(inbox.withdraw(ids[3]) && !waits(3));
        inbox.abandon();
        let (job, _alive) = job();
        let late = inbox.push(job);
        assert!(!inbox.withdraw(late) && !inbox.withdraw(ids[3]), "nothing waits any more");
        assert!(inbox.was_rejected(late) && !inbox.was_rejected(ids[0]), "one was never queued");
    }

    #[test]
    fn messages_that_are_withdrawn_leave_nothing_in_the_queue() {
        let inbox = Inbox::<Nobody>::new("nobody".to_owned());
        let (first, _alive) = job();
        let first = inbox.push(first);
        for _ in 0..10_000 {
            let (job, _alive) = job();
            assert!(inbox.withdraw(inbox.push(job)));
        }
        let (last, _alive) = job();
        let last = inbox.push(last);
        assert_eq!(inbox.lock().jobs.len(), 2, "slots");
        assert!(inbox.withdraw(first));
        inbox.abandon();
        assert!(inbox.was_rejected(last) && !inbox.was_rejected(first));
    }
}
