//! The local entry to an actor: callers in the same process pass the message as it is, through the inbox or the mailbox.

use std::any::Any;
use std::sync::Arc;

use actix::fut::ActorFutureExt;
use actix::{Actor, AsyncContext, Context, Handler, Recipient};
use meshzero_proto::codec;
use meshzero_proto::trace::TraceContext;
use tokio::sync::oneshot;

use crate::message::NetMessage;
use crate::runtime::executor::Executor;
use crate::runtime::semaphore::Permits;
use crate::server::actor::dispatch::{HandlerOutput, dispatch};
use crate::server::actor::inbox::{Inbox, Job, JobId};
use crate::telemetry::trace::{self, HandlerSpan};

/// A [`LocalEntry`] whose message type is known by whoever asks for it.
pub(crate) type AnyLocalEntry = Box<dyn Any + Send + Sync>;

/// The entry for callers in this process, which pass the message as it is.
pub(crate) enum LocalEntry<M: NetMessage> {
    /// Into the inbox of an actor that the mesh runs.
    Inbox(Box<dyn LocalInbox<M>>),
    /// Into the mailbox of an actor that the user runs.
    Mailbox(MailboxEntry<M>),
}

/// The way of messages of one type into an inbox.
pub(crate) trait LocalInbox<M: NetMessage>: Send + Sync {
    /// Puts a message into the inbox. If the service has closed, what comes with it is dropped.
    fn enter(&self, message: M, entering: LocalEnvelope<M>) -> JobId;

    /// As [`LocalInbox::enter`], with a message that is part of a trace.
    fn enter_traced(&self, message: M, entering: LocalEnvelope<M>, trace: TraceContext) -> JobId;

    /// Takes it out again, if it still waits; false if its handler has begun.
    fn withdraw(&self, ticket: JobId) -> bool;

    /// Returns whether it was turned away unhandled.
    fn has_turned_away(&self, ticket: JobId) -> bool;
}

/// A local message's reply channel, and its place among the unfinished messages.
pub(crate) struct LocalEnvelope<M: NetMessage> {
    /// The channel for the handler's result; `None` for a tell.
    pub reply: Option<oneshot::Sender<M::Result>>,
    /// Its place among the service's unfinished messages.
    pub place: Permits,
}

impl<M: NetMessage> LocalEnvelope<M> {
    /// Returns whether somebody still waits for the reply, or nobody ever did.
    fn is_wanted(&self) -> bool {
        self.reply.as_ref().is_none_or(|reply| !reply.is_closed())
    }
}

/// A message that is in an inbox. Dropped while it waits there, it is taken out again.
pub(crate) struct QueuedMessage<'a, M: NetMessage> {
    inlet: &'a dyn LocalInbox<M>,
    ticket: Option<JobId>,
}

impl<'a, M: NetMessage> QueuedMessage<'a, M> {
    pub(crate) fn new(inlet: &'a dyn LocalInbox<M>, ticket: JobId) -> Self {
        Self { inlet, ticket: Some(ticket) }
    }

    /// Nothing is left to be taken out.
    pub(crate) fn is_over(&mut self) {
        self.ticket = None;
    }

    /// Takes it out again, if it still waits; false if its handler has begun.
    pub(crate) fn withdraw(mut self) -> bool {
        self.ticket.take().is_some_and(|ticket| self.inlet.withdraw(ticket))
    }
}

impl<M: NetMessage> Drop for QueuedMessage<'_, M> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.inlet.withdraw(ticket);
        }
    }
}

/// The entrance through the mailbox of an actor that the user runs.
pub(crate) struct MailboxEntry<M: NetMessage> {
    recipient: Recipient<M>,
}

impl<M: NetMessage> MailboxEntry<M> {
    pub(crate) fn new(recipient: Recipient<M>) -> Self {
        Self { recipient }
    }

    /// Returns whether the actor still takes messages.
    pub(crate) fn is_open(&self) -> bool {
        self.recipient.connected()
    }

    /// Puts a message into the mailbox. `home` sees to its place and its reply: it stays unfinished until it has been handled,
    /// also if its caller has given up, because it is in the mailbox until then.
    pub(crate) fn enter(&self, message: M, entering: LocalEnvelope<M>, home: &Executor) {
        // A clone has a place in the mailbox of its own, so the message is in it at once, behind those that were sent before.
        let request = self.recipient.clone().send(message);
        let finish = move || async move {
            let LocalEnvelope { reply, place } = entering;
            let result = request.await;
            drop(place);
            if let (Some(reply), Ok(result)) = (reply, result) {
                // A caller that has given up misses nothing.
                drop(reply.send(result));
            }
        };
        // With the thread the place goes, and the caller hears that there is no reply.
        let _ = home.spawn(finish);
    }
}

/// The entrance through an inbox.
pub(crate) fn inbox_door<A, M>(inbox: &Arc<Inbox<A>>) -> AnyLocalEntry
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    Box::new(LocalEntry::<M>::Inbox(Box::new(InboxEntry { inbox: Arc::clone(inbox) })))
}

/// Calls the handler for a message of this process. Its place is given back when the handler is done, which may be in a future
/// that it gave back, and before the caller is told.
#[inline]
fn call<A, M>(actor: &mut A, context: &mut A::Context, message: M, entering: LocalEnvelope<M>)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    let LocalEnvelope { reply, place } = entering;
    let answer = move |result| {
        drop(place);
        // A caller that has given up misses nothing.
        drop(reply.map(|reply| reply.send(result)));
    };
    match dispatch(actor, context, message) {
        HandlerOutput::Now(result) => answer(result),
        HandlerOutput::Future(future) => {
            let future = trace::keep(future);
            actix::spawn(async move { answer(future.await) });
        }
        HandlerOutput::ActorFuture(future) => {
            let future = trace::keep_with_actor(future);
            context.spawn(future.map(move |result, _: &mut A, _: &mut A::Context| answer(result)));
        }
        HandlerOutput::Told(mut told) => match told.try_recv() {
            Ok(result) => answer(result),
            Err(oneshot::error::TryRecvError::Closed) => {}
            Err(oneshot::error::TryRecvError::Empty) => {
                actix::spawn(async move {
                    if let Ok(result) = told.await {
                        answer(result);
                    }
                });
            }
        },
    }
}

struct InboxEntry<A: Actor> {
    inbox: Arc<Inbox<A>>,
}

impl<A, M> LocalInbox<M> for InboxEntry<A>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    fn enter(&self, message: M, entering: LocalEnvelope<M>) -> JobId {
        let job = move |actor: &mut A, context: &mut A::Context| {
            // As in actix, a request that was dropped while it waited is not handled.
            if entering.is_wanted() {
                call(actor, context, message, entering);
            }
        };
        self.inbox.push(Job::Local(codec::type_info::<M>().name(), Box::new(job)))
    }

    #[cold]
    fn enter_traced(&self, message: M, entering: LocalEnvelope<M>, trace: TraceContext) -> JobId {
        let (name, inbox) = (codec::type_info::<M>().name(), Arc::clone(&self.inbox));
        let job = move |actor: &mut A, context: &mut A::Context| {
            let _handling = HandlerSpan::begin(trace, inbox.service(), name);
            if entering.is_wanted() {
                call(actor, context, message, entering);
            }
        };
        self.inbox.push(Job::Local(name, Box::new(job)))
    }

    fn withdraw(&self, ticket: JobId) -> bool {
        self.inbox.withdraw(ticket)
    }

    fn has_turned_away(&self, ticket: JobId) -> bool {
        self.inbox.has_turned_away(ticket)
    }
}
