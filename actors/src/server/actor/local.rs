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

/// A [`LocalEntry`] whose message type is known to its user only.
pub(crate) type AnyLocalEntry = Box<dyn Any + Send + Sync>;

/// The entry for callers in this process, which pass the message as it is.
pub(crate) enum LocalEntry<M: NetMessage> {
    /// The inbox of an actor that the mesh runs.
    Inbox(Box<dyn LocalInbox<M>>),
    /// The mailbox of an actor that the user runs.
    Mailbox(MailboxEntry<M>),
}

/// The entry for messages of one type into an inbox.
pub(crate) trait LocalInbox<M: NetMessage>: Send + Sync {
    /// Puts a message into the inbox. If the service has closed, its envelope is dropped.
    fn push(&self, message: M, envelope: LocalEnvelope<M>) -> JobId;

    /// As [`LocalInbox::push`], with a message that is part of a trace.
    fn push_traced(&self, message: M, envelope: LocalEnvelope<M>, trace: TraceContext) -> JobId;

    /// Removes a message that still waits; returns false if its handler has begun.
    fn withdraw(&self, job: JobId) -> bool;

    /// Returns whether a message was refused unhandled.
    fn was_rejected(&self, job: JobId) -> bool;
}

/// The reply channel and the permit of a local message.
pub(crate) struct LocalEnvelope<M: NetMessage> {
    /// The channel for the handler's result; `None` for a tell.
    pub reply: Option<oneshot::Sender<M::Result>>,
    /// The permit of the message.
    pub permit: Permits,
}

impl<M: NetMessage> LocalEnvelope<M> {
    /// Returns whether the reply is still wanted, or the message is a tell.
    fn is_wanted(&self) -> bool {
        self.reply.as_ref().is_none_or(|reply| !reply.is_closed())
    }
}

/// The local entry through the mailbox of an actor that the user runs.
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

    /// Puts a message into the mailbox. `executor` releases its permit and sends its reply: the message stays unfinished
    /// until it has been handled, also if its caller has given up, because it is in the mailbox until then.
    pub(crate) fn send(&self, message: M, envelope: LocalEnvelope<M>, executor: &Executor) {
        // A clone has its own slot in the mailbox, so the message is in it at once, behind those sent before.
        let request = self.recipient.clone().send(message);
        let finish = move || async move {
            let LocalEnvelope { reply, permit } = envelope;
            let result = request.await;
            drop(permit);
            if let (Some(reply), Ok(result)) = (reply, result) {
                // A caller that has given up misses nothing.
                drop(reply.send(result));
            }
        };
        // If the thread has ended, the permit is released, and the caller is notified that there is no reply.
        let _ = executor.spawn(finish);
    }
}

/// Creates the local entry through an inbox.
pub(crate) fn inbox_entry<A, M>(inbox: &Arc<Inbox<A>>) -> AnyLocalEntry
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    Box::new(LocalEntry::<M>::Inbox(Box::new(InboxEntry { inbox: Arc::clone(inbox) })))
}

/// Calls the handler for a message of this process. Its permit is released when the handler is done, which may be when
/// its future ends, and before the caller receives the reply.
#[inline]
fn call<A, M>(actor: &mut A, context: &mut A::Context, message: M, envelope: LocalEnvelope<M>)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    let LocalEnvelope { reply, permit } = envelope;
    let answer = move |result| {
        drop(permit);
        // A caller that has given up misses nothing.
        drop(reply.map(|reply| reply.send(result)));
    };
    match dispatch(actor, context, message) {
        HandlerOutput::Now(result) => answer(result),
        HandlerOutput::Future(future) => {
            let future = trace::in_message_context(future);
            actix::spawn(async move { answer(future.await) });
        }
        HandlerOutput::ActorFuture(future) => {
            let future = trace::in_message_context_with_actor(future);
            context.spawn(future.map(move |result, _: &mut A, _: &mut A::Context| answer(result)));
        }
        HandlerOutput::Channel(mut receiver) => match receiver.try_recv() {
            Ok(result) => answer(result),
            Err(oneshot::error::TryRecvError::Closed) => {}
            Err(oneshot::error::TryRecvError::Empty) => {
                actix::spawn(async move {
                    if let Ok(result) = receiver.await {
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
    fn push(&self, message: M, envelope: LocalEnvelope<M>) -> JobId {
        let handle = move |actor: &mut A, context: &mut A::Context| {
            // As in actix, a request that was dropped while it waited is not handled.
            if envelope.is_wanted() {
                call(actor, context, message, envelope);
            }
        };
        self.inbox.push(Job::Local(codec::type_info::<M>().name(), Box::new(handle)))
    }

    #[cold]
    fn push_traced(&self, message: M, envelope: LocalEnvelope<M>, trace: TraceContext) -> JobId {
        let (name, inbox) = (codec::type_info::<M>().name(), Arc::clone(&self.inbox));
        let handle = move |actor: &mut A, context: &mut A::Context| {
            let _span = HandlerSpan::begin(trace, inbox.service(), name);
            if envelope.is_wanted() {
                call(actor, context, message, envelope);
            }
        };
        self.inbox.push(Job::Local(name, Box::new(handle)))
    }

    fn withdraw(&self, job: JobId) -> bool {
        self.inbox.withdraw(job)
    }

    fn was_rejected(&self, job: JobId) -> bool {
        self.inbox.was_rejected(job)
    }
}
