//! The driver of an actor that the mesh runs: it takes messages from the inbox, and calls the handlers in the actor's own context.

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

/// The number of messages handled in one go before the actor's mailbox and timers get a turn.
const TURN: u64 = 128;

/// A future in the actor's context that calls its handlers for the messages in the inbox. Clones share the messages in
/// progress.
pub(crate) struct ActorDriver<A: Actor> {
    inbox: Arc<Inbox<A>>,
    table: Arc<[MessageHandler<A>]>,
    decoding: DecodeContext,
    work: Rc<RefCell<InProgress>>,
}

/// The handler of one message type.
struct MessageHandler<A: Actor> {
    name: TypeName,
    calls: HandlerFns<A>,
    in_progress: HandlerInProgress,
}

/// The messages in progress. They outlive the actor: after a panic, the next one continues with the rest.
struct InProgress {
    delivery: Option<Delivery>,
    /// The number of the message that was taken last.
    handled: u64,
    /// The buffer for replies.
    answers: Vec<u8>,
}

impl Default for InProgress {
    fn default() -> Self {
        Self { delivery: None, handled: blocking::first_number(), answers: Vec::new() }
    }
}

impl<A: Actor> Clone for ActorDriver<A> {
    fn clone(&self) -> Self {
        Self {
            inbox: Arc::clone(&self.inbox),
            table: Arc::clone(&self.table),
            decoding: self.decoding.clone(),
            work: Rc::clone(&self.work),
        }
    }
}

impl<A: Actor<Context = Context<A>>> ActorDriver<A> {
    /// A driver of consecutive actors with these `handlers`.
    pub(crate) fn new(inbox: Arc<Inbox<A>>, handlers: &[Registration<A>], decoding: DecodeContext) -> Self {
        let table = handlers.iter().map(|handler| MessageHandler {
            name: handler.name.clone(),
            calls: handler.calls,
            in_progress: HandlerInProgress::default(),
        });
        Self { inbox, table: table.collect(), decoding, work: Rc::default() }
    }

    /// Returns the number of the message that was taken last.
    pub(crate) fn handled(&self) -> u64 {
        self.work.borrow().handled
    }

    /// Turns away messages that no handler has begun. Reports the numbers of those messages and of those in progress,
    /// by type, to the task that asked for it.
    #[cold]
    pub(crate) fn abandon(&self) {
        let (jobs, tell) = self.inbox.take_abandoned();
        let delivery = self.work.borrow_mut().delivery.take();
        let mut tally = CountsByType::new();
        let mut add = |name: &str, count: usize| {
            if count > 0 {
                *tally.entry(name.to_owned()).or_default() += count;
            }
        };
        let mut add_slot = |slot: usize| self.table.get(slot).into_iter().for_each(|row| add(&row.name, 1));
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
        self.table.iter().for_each(|row| add(&row.name, row.in_progress.count()));
        if let Some(tell) = tell {
            // Fails if nobody waits any more.
            let _ = tell.send(tally);
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
        let mut work = self.work.borrow_mut();
        let _scope = blocking::BusyScope::enter();
        let turn = work.handled + TURN;
        // Set once the inbox has the waker to call.
        let mut is_asleep = false;
        while work.handled < turn {
            if work.delivery.is_none() {
                if is_asleep {
                    return Poll::Pending;
                }
                let next = self.inbox.next(task.waker());
                is_asleep = matches!(next, InboxPoll::Last(_));
                match next {
                    InboxPoll::Job(job) | InboxPoll::Last(job) => {
                        self.start_job(job, &mut work, actor, context)
                    }
                    InboxPoll::Empty => return Poll::Pending,
                    InboxPoll::Closed => return Poll::Ready(()),
                }
            }
            self.run_delivery(&mut work, turn, actor, context);
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
    fn run_delivery(&self, work: &mut InProgress, turn: u64, actor: &mut A, context: &mut A::Context) {
        let InProgress { delivery: Some(delivery), handled, answers } = work else { return };
        let batch = ReplyBatch::new(delivery.responder(), answers);
        let mut run = MessageBatch::new(self.inbox.service(), delivery, batch, handled, turn);
        while !context.waiting()
            && let Some(slot) = run.slot()
        {
            // The session refuses unknown slots, but the lookup is checked all the same.
            match self.table.get(slot) {
                Some(row) => (row.calls.run)(actor, context, &mut run, &self.known(row)),
                None => run.skip(),
            }
        }
        drop(run);
        drop(delivery.take_permits());
        if delivery.remaining() == 0 {
            work.delivery = None;
        }
    }

    fn known<'a>(&'a self, row: &'a MessageHandler<A>) -> HandlerContext<'a> {
        HandlerContext { name: &row.name, decoding: &self.decoding, in_progress: &row.in_progress }
    }

    /// Handles a single message, or prepares a delivery.
    fn start_job(&self, job: Job<A>, work: &mut InProgress, actor: &mut A, context: &mut A::Context) {
        match job {
            Job::Delivery(delivery) => work.delivery = Some(delivery),
            Job::Local(_, call) => {
                work.handled += 1;
                blocking::begin_message(work.handled);
                call(actor, context);
            }
            Job::Alone(slot, mut inbound) => {
                work.handled += 1;
                blocking::begin_message(work.handled);
                if let Some(row) = self.table.get(slot)
                    && inbound.should_run(clock::now())
                {
                    let payload = std::mem::take(&mut inbound.payload);
                    let trace = inbound.trace.take();
                    let _handling =
                        trace.map(|context| HandlerSpan::begin(*context, self.inbox.service(), &row.name));
                    let arrived = IncomingMessage::alone(slot, &payload, *inbound);
                    (row.calls.alone)(actor, context, arrived, &self.known(row));
                }
            }
        }
    }
}
