//! How a caller in the same process reaches an actor: with the message as it is, through the inbox or the mailbox.

use std::any::Any;
use std::sync::Arc;

use actix::dev::MessageResponse;
use actix::fut::ActorFutureExt;
use actix::{Actor, AsyncContext, Context, Handler, Recipient};
use meshzero_proto::codec;
use meshzero_proto::trace::TraceContext;
use tokio::sync::oneshot;

use crate::handled::{Handled, dispatch};
use crate::inbox::{Inbox, Job, Ticket};
use crate::message::NetMessage;
use crate::quota::Taken;
use crate::trace::{self, Handling};

/// A [`Door`] whose message type is known by whoever asks for it.
pub(crate) type AnyDoor = Box<dyn Any + Send + Sync>;

/// How a caller in this process enters: with the message as it is.
pub enum Door<M: NetMessage> {
    /// Into the inbox of an actor that the mesh runs.
    Inbox(Box<dyn Inlet<M>>),
    /// Into the mailbox of an actor that the user runs.
    Mailbox(Recipient<M>),
}

/// The way of messages of one type into an inbox.
pub trait Inlet<M: NetMessage>: Send + Sync {
    /// Puts a message into the inbox. If the service has closed, what comes with it is dropped.
    fn enter(&self, message: M, entering: Entering<M>) -> Ticket;

    /// As [`Inlet::enter`], with a message that is part of a trace.
    fn enter_traced(&self, message: M, entering: Entering<M>, trace: TraceContext) -> Ticket;

    /// Takes it out again, if it still waits; false if its handler has begun.
    fn withdraw(&self, ticket: Ticket) -> bool;

    /// Returns whether it was turned away unhandled.
    fn has_turned_away(&self, ticket: Ticket) -> bool;
}

/// What comes with a message that enters through the inbox.
pub struct Entering<M: NetMessage> {
    /// Where the handler's result goes; `None` for a tell.
    pub reply: Option<oneshot::Sender<M::Result>>,
    /// The tell's place among the service's unfinished messages. A caller that waits holds its own.
    pub place: Option<Taken>,
}

/// The entrance through an inbox.
pub(crate) fn inbox_door<A, M>(inbox: &Arc<Inbox<A>>) -> AnyDoor
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    Box::new(Door::<M>::Inbox(Box::new(InboxInlet { inbox: Arc::clone(inbox) })))
}

/// Calls the handler for a message of this process that is part of a trace, which its futures are as well.
fn call_traced<A, M>(
    actor: &mut A,
    context: &mut A::Context,
    message: M,
    reply: Option<oneshot::Sender<M::Result>>,
) where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    // A caller that has given up misses nothing.
    let answer = |result| drop(reply.map(|reply| reply.send(result)));
    match dispatch(actor, context, message) {
        Handled::Now(result) => answer(result),
        Handled::Future(future) => {
            let future = trace::keep(future);
            actix::spawn(async move { answer(future.await) });
        }
        Handled::ActorFuture(future) => {
            let future = trace::keep_with_actor(future);
            context.spawn(future.map(move |result, _: &mut A, _: &mut A::Context| answer(result)));
        }
        Handled::Told(told) => {
            actix::spawn(async move {
                if let Ok(result) = told.await {
                    answer(result);
                }
            });
        }
    }
}

struct InboxInlet<A: Actor> {
    inbox: Arc<Inbox<A>>,
}

impl<A, M> Inlet<M> for InboxInlet<A>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    fn enter(&self, message: M, entering: Entering<M>) -> Ticket {
        let Entering { reply, place } = entering;
        let job = move |actor: &mut A, context: &mut A::Context| {
            // As in actix, a request that was dropped while it waited is not handled.
            if reply.as_ref().is_none_or(|reply| !reply.is_closed()) {
                <A as Handler<M>>::handle(actor, message, context).handle(context, reply);
            }
            drop(place);
        };
        self.inbox.push(Job::Local(codec::type_info::<M>().name(), Box::new(job)))
    }

    #[cold]
    fn enter_traced(&self, message: M, entering: Entering<M>, trace: TraceContext) -> Ticket {
        let Entering { reply, place } = entering;
        let (name, inbox) = (codec::type_info::<M>().name(), Arc::clone(&self.inbox));
        let job = move |actor: &mut A, context: &mut A::Context| {
            let _handling = Handling::begin(trace, inbox.service(), name);
            if reply.as_ref().is_none_or(|reply| !reply.is_closed()) {
                call_traced(actor, context, message, reply);
            }
            drop(place);
        };
        self.inbox.push(Job::Local(name, Box::new(job)))
    }

    fn withdraw(&self, ticket: Ticket) -> bool {
        self.inbox.withdraw(ticket)
    }

    fn has_turned_away(&self, ticket: Ticket) -> bool {
        self.inbox.has_turned_away(ticket)
    }
}
