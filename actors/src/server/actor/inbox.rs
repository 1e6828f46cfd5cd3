//! The messages that wait for one actor that the mesh runs. They outlive the actor: after a panic the next one goes on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use actix::Actor;
use tokio::sync::oneshot;

use crate::server::request::delivery::Delivery;
use crate::server::request::in_progress::CountsByType;
use crate::server::request::inbound::InboundMessage;

/// A call of a handler, with its message inside.
pub(crate) type LocalCall<A> = Box<dyn FnOnce(&mut A, &mut <A as Actor>::Context) + Send>;

/// A message, or several, waiting for the actor.
pub(crate) enum Job<A: Actor> {
    /// Messages that one connection brought.
    Delivery(Delivery),
    /// A message from this process that had to be encoded, for the handler with this number.
    /// In a box, because it is rare and large, and all jobs are moved.
    Alone(usize, Box<InboundMessage>),
    /// A message from this process, as a call of its handler, with the name of its type.
    Local(&'static str, LocalCall<A>),
}

impl<A: Actor> Job<A> {
    /// Drops it unhandled, and tells its callers that they may go elsewhere.
    pub(crate) fn reject_unstarted(self) {
        match self {
            Self::Alone(_, inbound) => inbound.reject_draining(),
            // These tell it when they are dropped.
            Self::Delivery(_) | Self::Local(..) => {}
        }
    }
}

/// The queue. Its length is bounded by the service's permits, one of which comes with every message.
pub(crate) struct Inbox<A: Actor> {
    /// The name of the service, or its address.
    service: String,
    state: Mutex<InboxState<A>>,
    /// Changed under the lock, and read without it by those who only want to know.
    closed: AtomicBool,
    /// Set if somebody wants all to be dropped, and waits in `abandoning` to be told what that was. Changed under the lock.
    is_abandoning: AtomicBool,
}

/// Identifies a job that was pushed: the number of jobs pushed before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobId(u64);

struct InboxState<A: Actor> {
    /// With their tickets, which ascend and have gaps where jobs were withdrawn.
    jobs: VecDeque<(u64, Job<A>)>,
    /// The ticket of the next job.
    next_ticket: u64,
    /// The first ticket that was turned away, as soon as there is one.
    turned_away: Option<u64>,
    waker: Option<Waker>,
    /// Set while it waits to be called.
    is_asleep: bool,
    abandoning: Option<oneshot::Sender<CountsByType>>,
}

/// The answer of an inbox to an actor that can take a message.
pub(crate) enum InboxPoll<A: Actor> {
    /// Something, and something more.
    Job(Job<A>),
    /// All that there was; the waker will be called.
    Last(Job<A>),
    /// Nothing; the waker will be called.
    Empty,
    /// Nothing, and nothing will come.
    Closed,
}

impl JobId {
    /// That of one that was not even pushed.
    const TURNED_AWAY: Self = Self(u64::MAX);

    /// Returns whether the message was not even pushed, because the inbox was closed.
    #[inline]
    pub(crate) fn is_rejected(self) -> bool {
        self == Self::TURNED_AWAY
    }
}

impl<A: Actor> InboxState<A> {
    /// Takes all jobs that wait, and records that they are turned away.
    fn reject_remaining(&mut self) -> VecDeque<(u64, Job<A>)> {
        let first = self.jobs.front().map_or(self.next_ticket, |(ticket, _)| *ticket);
        self.turned_away.get_or_insert(first);
        std::mem::take(&mut self.jobs)
    }

    /// Wakes the actor's driver if it sleeps. It is an actix context's, whose waking does nothing but schedule it.
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
                next_ticket: 0,
                turned_away: None,
                waker: None,
                is_asleep: false,
                abandoning: None,
            }),
            closed: AtomicBool::new(false),
            is_abandoning: AtomicBool::new(false),
        }
    }

    /// The name of the service whose messages these are.
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// Adds a message; a closed inbox turns it away.
    pub(crate) fn push(&self, job: Job<A>) -> JobId {
        let mut state = self.lock();
        if self.is_closed() {
            drop(state);
            job.reject_unstarted();
            return JobId::TURNED_AWAY;
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.jobs.push_back((ticket, job));
        state.wake();
        JobId(ticket)
    }

    /// Removes and drops a message that still waits; false if it has been taken.
    pub(crate) fn withdraw(&self, JobId(ticket): JobId) -> bool {
        let mut state = self.lock();
        let Ok(at) = state.jobs.binary_search_by_key(&ticket, |(ticket, _)| *ticket) else { return false };
        let withdrawn = state.jobs.remove(at);
        // Outside the lock: dropping a message may run code of its user.
        drop(state);
        drop(withdrawn);
        true
    }

    /// Returns whether a message was turned away: it is not handled, for certain.
    pub(crate) fn has_turned_away(&self, ticket: JobId) -> bool {
        ticket == JobId::TURNED_AWAY || self.lock().turned_away.is_some_and(|first| ticket.0 >= first)
    }

    /// Takes the next message, or leaves `waker` to be called when there is one.
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
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        state.is_asleep = true;
        job.map_or(InboxPoll::Empty, InboxPoll::Last)
    }

    /// Takes no more messages. Those that wait are still handled.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        self.closed.store(true, Ordering::Release);
        state.wake();
    }

    /// Asks whoever runs the actor to drop what waits, and to tell what that was. Nothing new is taken.
    pub(crate) fn ask_to_abandon(&self, tell: oneshot::Sender<CountsByType>) {
        let mut state = self.lock();
        self.closed.store(true, Ordering::Release);
        state.abandoning = Some(tell);
        self.is_abandoning.store(true, Ordering::Release);
        state.is_asleep = true;
        state.wake();
    }

    /// Returns whether all that waits is to be dropped.
    pub(crate) fn is_abandoning(&self) -> bool {
        self.is_abandoning.load(Ordering::Acquire)
    }

    /// As [`Inbox::is_abandoning`]; if not, `waker` will be called when it is, or when something comes.
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

    /// Turns away what waits, when no actor will take it any more.
    pub(crate) fn abandon(&self) {
        let jobs = {
            let mut state = self.lock();
            self.closed.store(true, Ordering::Release);
            // Nobody is there to tell what it is.
            state.abandoning = None;
            state.reject_remaining()
        };
        // Outside the lock: what the callers are told may run code of theirs.
        jobs.into_iter().for_each(|(_, job)| job.reject_unstarted());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, InboxState<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// A job, and what tells whether it still is one.
    fn job() -> (Job<Nobody>, Arc<()>) {
        let held = Arc::new(());
        let in_job = Arc::clone(&held);
        (Job::Local("job", Box::new(move |_, _| drop(in_job))), held)
    }

    #[test]
    fn what_waits_can_be_withdrawn_and_what_was_taken_cannot() {
        let inbox = Inbox::<Nobody>::new("nobody".to_owned());
        let jobs: Vec<_> = (0..4).map(|_| job()).collect();
        let (tickets, held): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|(job, held)| (inbox.push(job), held)).unzip();
        let waits = |at: usize| Arc::strong_count(&held[at]) == 2;
        assert!(matches!(inbox.next(Waker::noop()), InboxPoll::Job(_)));
        assert!(!inbox.withdraw(tickets[0]), "it was taken");
        assert!(inbox.withdraw(tickets[2]) && !waits(2));
        assert!(waits(1) && waits(3), "the others are where they were");
        assert!(matches!(inbox.next(Waker::noop()), InboxPoll::Job(_)) && !inbox.withdraw(tickets[1]));
        assert!(inbox.withdraw(tickets[3]) && !waits(3));
        inbox.abandon();
        let (job, _held) = job();
        let late = inbox.push(job);
        assert!(!inbox.withdraw(late) && !inbox.withdraw(tickets[3]), "nothing waits any more");
        assert!(inbox.has_turned_away(late) && !inbox.has_turned_away(tickets[0]), "one was never there");
    }

    #[test]
    fn messages_that_are_withdrawn_leave_nothing_in_the_queue() {
        let inbox = Inbox::<Nobody>::new("nobody".to_owned());
        let (first, _held) = job();
        let first = inbox.push(first);
        for _ in 0..10_000 {
            let (job, _held) = job();
            assert!(inbox.withdraw(inbox.push(job)));
        }
        let (last, _held) = job();
        let last = inbox.push(last);
        assert_eq!(inbox.lock().jobs.len(), 2, "slots");
        assert!(inbox.withdraw(first));
        inbox.abandon();
        assert!(inbox.has_turned_away(last) && !inbox.has_turned_away(first));
    }
}
