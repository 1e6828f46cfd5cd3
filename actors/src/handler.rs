//! One message type of one actor: how its bytes become a call of the handler, and the handler's result bytes again.

use std::any::Any;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use actix::dev::{MessageResponse, ToEnvelope};
use actix::{Actor, Addr, Context, Handler, MailboxError, Message, Recipient};
use meshzero_proto::catalogue::MessageEntry;
use meshzero_proto::codec::{self, DecodeLimits, TypeInfo};
use meshzero_proto::name::TypeName;
use meshzero_proto::refusal::Refusal;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::inbound::{Inbound, ReplyTo};
use crate::inbox::{Inbox, Job};
use crate::message::NetMessage;

/// A message type that actor `A` handles, with everything that needs to know the type.
pub struct Registration<A: Actor> {
    pub(crate) name: TypeName,
    pub(crate) message: &'static TypeInfo,
    pub(crate) reply: &'static TypeInfo,
    pub(crate) documented: Option<Documented>,
    /// Decodes and handles inside the actor's own context.
    pub(crate) call: fn(&mut A, &mut A::Context, Inbound, &TypeName, &DecodeLimits),
    /// Decodes and sends through the mailbox of an actor that is not ours.
    pub(crate) post: fn(&Addr<A>, Inbound, &TypeName, &DecodeLimits),
    /// The entrance for callers in this process, through the inbox.
    pub(crate) inbox_door: fn(&Arc<Inbox<A>>) -> AnyDoor,
    /// The entrance for callers in this process, through the mailbox.
    pub(crate) mailbox_door: fn(&Addr<A>) -> AnyDoor,
}

/// JSON schemas that the user's types bring along, with documentation and constraints.
#[derive(Debug, Clone)]
pub struct Documented {
    /// Of the message.
    pub message: serde_json::Value,
    /// Of the reply.
    pub reply: serde_json::Value,
}

/// A message as it came, for an actor that decodes it later, or on another thread. Whoever takes it owes the reply.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Encoded(pub Inbound);

/// A [`Door`] whose message type is known by whoever asks for it.
pub(crate) type AnyDoor = Box<dyn Any + Send + Sync>;

/// How a caller in this process enters: with the message as it is.
pub enum Door<M: NetMessage> {
    /// Into the inbox of an actor that the mesh runs. If the service has closed, what comes with it is dropped.
    Inbox(Box<dyn Fn(M, Entering<M>) + Send + Sync>),
    /// Into the mailbox of an actor that the user runs.
    Mailbox(Recipient<M>),
}

/// What comes with a message that enters through the inbox.
pub struct Entering<M: NetMessage> {
    /// Where the handler's result goes; `None` for a tell.
    pub reply: Option<oneshot::Sender<M::Result>>,
    /// The tell's place among the service's unfinished messages. A caller that waits holds its own.
    pub permit: Option<OwnedSemaphorePermit>,
}

impl<A: Actor<Context = Context<A>>> Registration<A> {
    /// Registers `M` under `name`.
    pub fn of<M: NetMessage>(name: TypeName) -> Self
    where
        A: Handler<M>,
    {
        Self {
            name,
            message: codec::type_info::<M>(),
            reply: codec::type_info::<M::Result>(),
            documented: None,
            call: call::<A, M>,
            post: post::<A, M>,
            inbox_door: inbox_door::<A, M>,
            mailbox_door: |addr| Box::new(Door::<M>::Mailbox(addr.clone().recipient())),
        }
    }

    /// Describes the message and its reply with these JSON schemas instead of those made from the trace.
    pub fn documented(mut self, schemas: Documented) -> Self {
        self.documented = Some(schemas);
        self
    }

    /// Registers an actor that takes messages called `name` still encoded. `M` is what they are described as.
    pub fn encoded<M: NetMessage>(name: TypeName) -> Self
    where
        A: Handler<Encoded>,
    {
        Self {
            name,
            message: codec::type_info::<M>(),
            reply: codec::type_info::<M::Result>(),
            documented: None,
            call: |actor, context, inbound, _, _| {
                <A as Handler<Encoded>>::handle(actor, Encoded(inbound), context).handle(context, None)
            },
            post: |addr, inbound, _, _| addr.do_send(Encoded(inbound)),
            // Not a door of any type, so that callers in this process encode as well.
            inbox_door: |_| Box::new(()),
            mailbox_door: |_| Box::new(()),
        }
    }

    /// What the catalogue says of this type.
    pub(crate) fn entry(&self) -> MessageEntry {
        MessageEntry {
            name: self.name.clone(),
            message: self.message.fingerprint(),
            reply: self.reply.fingerprint(),
        }
    }
}

fn decode<M: NetMessage>(inbound: &mut Inbound, name: &TypeName, limits: &DecodeLimits) -> Option<M> {
    match codec::decode(&inbound.payload, inbound.encoding, limits) {
        Ok(message) => Some(message),
        Err(error) => {
            let problem = error.to_string();
            match inbound.reply.take() {
                Some(reply) => reply.refuse(Refusal::Undecodable { message: name.to_string(), problem }),
                None => tracing::warn!(message = %name, %problem, "dropped a message that does not decode"),
            }
            None
        }
    }
}

fn call<A, M>(
    actor: &mut A,
    context: &mut A::Context,
    mut inbound: Inbound,
    name: &TypeName,
    limits: &DecodeLimits,
) where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    let Some(message) = decode::<M>(&mut inbound, name, limits) else { return };
    let (tell, mut told) = oneshot::channel();
    <A as Handler<M>>::handle(actor, message, context).handle(context, Some(tell));
    let Inbound { reply, permit, .. } = inbound;
    match told.try_recv() {
        Ok(result) => answer(reply, &result),
        Err(oneshot::error::TryRecvError::Closed) => drop(reply),
        Err(oneshot::error::TryRecvError::Empty) => drop(actix::spawn(async move {
            if let Ok(result) = told.await {
                answer(reply, &result);
            }
            drop(permit);
        })),
    }
}

fn post<A, M>(addr: &Addr<A>, mut inbound: Inbound, name: &TypeName, limits: &DecodeLimits)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: NetMessage,
{
    let Some(message) = decode::<M>(&mut inbound, name, limits) else { return };
    let Inbound { reply, permit, .. } = inbound;
    let mut request = Box::pin(addr.send(message));
    // Polled once here and now: the message is in the mailbox, in the order of arrival, before the next is read.
    let mut first = TaskContext::from_waker(Waker::noop());
    match Future::poll(request.as_mut(), &mut first) {
        Poll::Ready(result) => finish(reply, result),
        Poll::Pending => drop(actix::spawn(async move {
            finish(reply, request.await);
            drop(permit);
        })),
    }
}

fn finish<R: codec::Wire>(reply: Option<ReplyTo>, result: Result<R, MailboxError>) {
    match result {
        Ok(result) => answer(reply, &result),
        Err(MailboxError::Closed) => drop(reply),
        Err(MailboxError::Timeout) => {
            if let Some(reply) = reply {
                reply.refuse(Refusal::Expired);
            }
        }
    }
}

fn answer<R: codec::Wire>(reply: Option<ReplyTo>, result: &R) {
    if let Some(reply) = reply {
        reply.send(result);
    }
}

fn inbox_door<A, M>(inbox: &Arc<Inbox<A>>) -> AnyDoor
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    let inbox = Arc::clone(inbox);
    let enter = move |message: M, entering: Entering<M>| {
        let Entering { reply, permit } = entering;
        let job = move |actor: &mut A, context: &mut A::Context| {
            // As in actix, a request that was dropped while it waited is not handled.
            if reply.as_ref().is_none_or(|reply| !reply.is_closed()) {
                <A as Handler<M>>::handle(actor, message, context).handle(context, reply);
            }
            drop(permit);
        };
        inbox.push(Job::Local(Box::new(job)));
    };
    Box::new(Door::<M>::Inbox(Box::new(enter)))
}
