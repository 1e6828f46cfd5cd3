//! The driver of an actor that the mesh runs: it takes messages from the inbox, and calls the handlers in the actor's own
//! context.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use actix::fut::ActorFuture;
use actix::{Actor, AsyncContext, Context};
use meshzero_proto::name::TypeName;

use crate::runtime::blocking;
use crate::runtime::clock;
use crate::server::actor::batch::MessageBatch;
use crate::server::actor::decoding::{DecodeContext, HandlerContext};
use crate::server::actor::handler::{HandlerFns, Registration};
use crate::server::actor::inbox::{Inbox, InboxPoll, Job};
use crate::server::request::delivery::{Delivery, IncomingMessage};
use crate::server::request::in_progress::{CountsByType, HandlerInProgress};
use crate::server::request::reply::ReplyBatch;
use crate::telemetry::trace::HandlerSpan;

/// The number of messages handled before the actor's mailbox and timers get a turn.
const MAX_PER_TURN: u64 = 128;

/// A future in the actor's context that calls its handlers for the messages in the inbox. Clones share the messages in
/// progress.
pub(crate) struct ActorDriver<A: Actor> {
    inbox: Arc<Inbox<A>>,
    handlers: Arc<[MessageHandler<A>]>,
    decoding: DecodeContext,
    progress: Rc<RefCell<InProgress>>,
}

/// The handler of one message type.
struct MessageHandler<A: Actor> {
    name: TypeName,
    calls: HandlerFns<A>,
    in_progress: HandlerInProgress,
}

/// The messages in progress. They outlive the actor: after a panic, the restarted one continues with the rest.
struct InProgress {
    delivery: Option<Delivery>,
    /// The number of the message that was taken last.
    handled: u64,
    /// The buffer for replies.
    replies: Vec<u8>,
}

impl Default for InProgress {
    fn default() -> Self {
        Self { delivery: None, handled: blocking::first_number(), replies: Vec::new() }
    }
}

impl<A: Actor> Clone for ActorDriver<A> {
    fn clone(&self) -> Self {
        Self {
            inbox: Arc::clone(&self.inbox),
            handlers: Arc::clone(&self.handlers),
            decoding: self.decoding.clone(),
            progress: Rc::clone(&self.progress),
        }
    }
}

impl<A: Actor<Context = Context<A>>> ActorDriver<A> {
    /// A driver for an actor with these `handlers`, and for the actors that replace it after panics.
    pub(crate) fn new(inbox: Arc<Inbox<A>>, handlers: &[Registration<A>], decoding: DecodeContext) -> Self {
        let handlers = handlers.iter().map(|handler| MessageHandler {
            name: handler.name.clone(),
            calls: handler.calls,
            in_progress: HandlerInProgress::default(),
        });
        Self { inbox, handlers: handlers.collect(), decoding, progress: Rc::default() }
    }

    /// Returns the number of the message that was taken last.
    pub(crate) fn handled(&self) -> u64 {
        self.progress.borrow().handled
    }

    /// Refuses messages that no handler has begun. Reports the numbers of those messages and of those in progress, by type,
    /// to the task that requested it.
    #[cold]
    pub(crate) fn abandon(&self) {
        let (jobs, report) = self.inbox.take_abandoned();
        let delivery = self.progress.borrow_mut().delivery.take();
        let mut counts = CountsByType::new();
        let mut add = |name: &str, count: usize| {
            if count > 0 {
                *counts.entry(name.to_owned()).or_default() += count;
            }
        };
        let mut add_slot =
            |slot: usize| self.handlers.get(slot).into_iter().for_each(|handler| add(&handler.name, 1));
        for job in &jobs {
            match job {
                Job::Delivery(delivery) => delivery.count(&mut add_slot),
                Job::Alone(slot, _) => add_slot(*slot),
                Job::Local(..) => {}
            }
        }
        if let Some(delivery) = &delivery {
            delivery.count(&mut add_slot);
        }
        for job in &jobs {
            if let Job::Local(name, _) = job {
                add(name, 1);
            }
        }
        self.handlers.iter().for_each(|handler| add(&handler.name, handler.in_progress.count()));
        if let Some(report) = report {
            // Fails if nobody waits any more.
            let _ = report.send(counts);
        }
        drop(delivery);
        jobs.into_iter().for_each(Job::reject_unstarted);
    }
}

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for ActorDriver<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        context: &mut A::Context,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let mut progress = self.progress.borrow_mut();
        let _scope = blocking::BusyScope::enter();
        let limit = progress.handled + MAX_PER_TURN;
        // Set once the inbox has this task's waker.
        let mut is_asleep = false;
        while progress.handled < limit {
            if progress.delivery.is_none() {
                if is_asleep {
                    return Poll::Pending;
                }
                let next = self.inbox.next(task.waker());
                is_asleep = matches!(next, InboxPoll::Last(_));
                match next {
                    InboxPoll::Job(job) | InboxPoll::Last(job) => {
                        self.start_job(job, &mut progress, actor, context)
                    }
                    InboxPoll::Empty => return Poll::Pending,
                    InboxPoll::Closed => return Poll::Ready(()),
                }
            }
            self.run_delivery(&mut progress, limit, actor, context);
            // A handler may have made the context wait (`AtomicResponse`) or stop; the rest comes afterwards.
            if context.waiting() {
                return Poll::Pending;
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<A: Actor<Context = Context<A>>> ActorDriver<A> {
    /// Handles messages from one connection, and sends the replies together.
    fn run_delivery(&self, progress: &mut InProgress, limit: u64, actor: &mut A, context: &mut A::Context) {
        let InProgress { delivery: Some(delivery), handled, replies } = progress else { return };
        let replies = ReplyBatch::new(delivery.responder(), replies);
        let mut batch = MessageBatch::new(self.inbox.service(), delivery, replies, handled, limit);
        while !context.waiting()
            && let Some(slot) = batch.slot()
        {
            // The session refuses unknown slots, but the lookup is checked all the same.
            match self.handlers.get(slot) {
                Some(handler) => (handler.calls.run)(actor, context, &mut batch, &self.context_of(handler)),
                None => batch.skip(),
            }
        }
        drop(batch);
        drop(delivery.take_permits());
        if delivery.remaining() == 0 {
            progress.delivery = None;
        }
    }

    fn context_of<'a>(&'a self, handler: &'a MessageHandler<A>) -> HandlerContext<'a> {
        HandlerContext { name: &handler.name, decoding: &self.decoding, in_progress: &handler.in_progress }
    }

    /// Handles a single message, or prepares a delivery.
    fn start_job(&self, job: Job<A>, progress: &mut InProgress, actor: &mut A, context: &mut A::Context) {
        match job {
            Job::Delivery(delivery) => progress.delivery = Some(delivery),
            Job::Local(_, call) => {
                progress.handled += 1;
                blocking::begin_message(progress.handled);
                call(actor, context);
            }
            Job::Alone(slot, mut inbound) => {
                progress.handled += 1;
                blocking::begin_message(progress.handled);
                if let Some(handler) = self.handlers.get(slot)
                    && inbound.should_run(clock::now())
                {
                    let payload = std::mem::take(&mut inbound.payload);
                    let trace = inbound.trace.take();
                    let _span = trace
                        .map(|context| HandlerSpan::begin(*context, self.inbox.service(), &handler.name));
                    let message = IncomingMessage::alone(slot, &payload, *inbound);
                    (handler.calls.alone)(actor, context, message, &self.context_of(handler));
                }
            }
        }
    }
}
