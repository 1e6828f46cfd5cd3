//! One message type of one actor: decodes messages, calls the handler, and encodes its replies.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix::dev::{MessageResponse, ToEnvelope};
use actix::fut::ActorFutureExt;
use actix::{Actor, Addr, AsyncContext, Context, Handler, MailboxError, Message, ResponseFuture};
use bytes::Bytes;
use meshzero_proto::codec::{self, DecodeLimits, Encoding, TypeInfo};
use meshzero_proto::name::TypeName;
use meshzero_proto::wire::catalogue::MessageEntry;
use meshzero_proto::wire::refusal::Refusal;
use tokio::sync::oneshot;

use crate::message::NetMessage;
use crate::server::actor::batch::MessageBatch;
use crate::server::actor::decoding::HandlerContext;
use crate::server::actor::dispatch::{HandlerOutput, dispatch};
use crate::server::actor::inbox::Inbox;
use crate::server::actor::local::{AnyLocalEntry, LocalEntry, MailboxEntry, inbox_entry};
use crate::server::request::delivery::{HeldPermits, IncomingMessage, MessagePermit};
use crate::server::request::in_progress::HandlerInProgress;
use crate::server::request::inbound::{InboundMessage, ReplyTo};
use crate::server::request::incoming_call::Call;
use crate::server::request::reply::ReplySlot;
use crate::telemetry::trace;

/// A message type that actor `A` handles, with everything that depends on the type.
pub struct Registration<A: Actor> {
    pub(crate) name: TypeName,
    pub(crate) message: &'static TypeInfo,
    pub(crate) reply: &'static TypeInfo,
    pub(crate) documented: Option<DocumentedSchema>,
    /// Decodes and handles inside the actor's own context.
    pub(crate) calls: HandlerFns<A>,
    /// Decodes and sends through the mailbox of an actor that the user runs.
    pub(crate) forward: ForwardFn<A>,
    /// Decodes a message without a reply, to be sent through the mailbox with permits that its completion releases.
    pub(crate) decode_tell: DecodeFn<A>,
    /// Creates the local entry through the inbox.
    pub(crate) inbox_entry: fn(&Arc<Inbox<A>>) -> AnyLocalEntry,
    /// Creates the local entry through the mailbox.
    pub(crate) mailbox_entry: fn(&Addr<A>) -> AnyLocalEntry,
}

/// The functions that decode messages and call their handler, until the context waits.
pub(crate) struct HandlerFns<A: Actor> {
    /// Handles a run of messages. Called once for many, so that the compiler sees the whole path of a message.
    pub(crate) run: fn(&mut A, &mut A::Context, &mut MessageBatch<'_>, &HandlerContext<'_>),
    /// Handles a single message.
    pub(crate) alone: fn(&mut A, &mut A::Context, IncomingMessage<'_>, &HandlerContext<'_>),
}

impl<A: Actor> Clone for HandlerFns<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Actor> Copy for HandlerFns<A> {}

/// The function that decodes a message and puts it into the actor's mailbox.
pub(crate) type ForwardFn<A> =
    fn(&Addr<A>, IncomingMessage<'_>, &HandlerContext<'_>) -> Option<CompletionFuture>;

/// The rest of the work for a message in a mailbox, on the service's thread: ready when the message has been handled.
pub(crate) type CompletionFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The function that decodes a message without a reply. It is sent with permits of the service, which are released when
/// it has been handled.
pub(crate) type DecodeFn<A> = fn(&[u8], Encoding, &DecodeLimits) -> Option<DecodedMessage<A>>;

/// A decoded message, see [`DecodeFn`].
pub(crate) type DecodedMessage<A> = Box<dyn FnOnce(&Addr<A>, Option<HeldPermits>) -> CompletionFuture>;

/// JSON schemas provided by the user's types, with documentation and constraints.
#[derive(Debug, Clone)]
pub struct DocumentedSchema {
    /// The schema of the message.
    pub message: serde_json::Value,
    /// The schema of the reply.
    pub reply: serde_json::Value,
}

/// An encoded message, for an actor that decodes it later, or on another thread. The receiver has to reply.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RawMessage {
    /// The name under which it was sent.
    pub name: TypeName,
    /// The message, and the channel for its reply.
    pub inbound: InboundMessage,
}

impl<A: Actor<Context = Context<A>>> Registration<A> {
    /// Registers `M` under `name`.
    pub fn new<M: NetMessage>(name: TypeName) -> Self
    where
        A: Handler<M>,
    {
        Self {
            name,
            message: codec::type_info::<M>(),
            reply: codec::type_info::<M::Result>(),
            documented: None,
            calls: HandlerFns { run: run::<A, M>, alone: call::<A, M> },
            forward: forward::<A, M>,
            decode_tell: decode_tell::<A, M>,
            inbox_entry: inbox_entry::<A, M>,
            mailbox_entry: |addr| {
                Box::new(LocalEntry::<M>::Mailbox(MailboxEntry::new(addr.clone().recipient())))
            },
        }
    }

    /// Describes the message and its reply with these JSON schemas instead of the traced ones.
    pub fn documented(mut self, schemas: DocumentedSchema) -> Self {
        self.documented = Some(schemas);
        self
    }

    /// Registers an actor that receives messages called `name` still encoded. `M` is the type by which they are
    /// described.
    pub fn encoded<M: NetMessage>(name: TypeName) -> Self
    where
        A: Handler<RawMessage>,
    {
        Self::self_replying::<M, RawMessage>(name)
    }

    /// Registers an actor that receives messages called `name` as a [`Call`], with the channel for the reply.
    pub fn calls<M: NetMessage>(name: TypeName) -> Self
    where
        A: Handler<Call<M>>,
    {
        Self::self_replying::<M, Call<M>>(name)
    }

    fn self_replying<M: NetMessage, T: SelfReplying>(name: TypeName) -> Self
    where
        A: Handler<T>,
    {
        Self {
            name,
            message: codec::type_info::<M>(),
            reply: codec::type_info::<M::Result>(),
            documented: None,
            calls: HandlerFns {
                run: |actor, context, batch, handler| {
                    while !context.waiting()
                        && let Some(incoming) = batch.next(handler)
                    {
                        call_self_replying::<A, T>(actor, context, incoming, handler);
                    }
                },
                alone: call_self_replying::<A, T>,
            },
            forward: |addr, incoming, handler| {
                if let Some(message) = T::from_incoming(incoming, handler) {
                    addr.do_send(message);
                }
                None
            },
            decode_tell: |_, _, _| None,
            // Not a typed entry, so that callers in this process encode as well.
            inbox_entry: |_| Box::new(()),
            mailbox_entry: |_| Box::new(()),
        }
    }

    /// Returns the entry of this type in the catalogue.
    pub(crate) fn entry(&self) -> MessageEntry {
        MessageEntry {
            name: self.name.clone(),
            message: self.message.fingerprint(),
            reply: self.reply.fingerprint(),
        }
    }
}

/// A message for an actor that replies by itself.
pub(crate) trait SelfReplying: Message<Result = ()> + Send + Sized + 'static {
    /// Converts an incoming message; `None` if it does not decode, which has been reported to its caller.
    fn from_incoming(incoming: IncomingMessage<'_>, handler: &HandlerContext<'_>) -> Option<Self>;
}

impl SelfReplying for RawMessage {
    fn from_incoming(incoming: IncomingMessage<'_>, handler: &HandlerContext<'_>) -> Option<Self> {
        Some(Self { name: handler.name.clone(), inbound: incoming.into_inbound()? })
    }
}

impl<M: NetMessage> SelfReplying for Call<M> {
    fn from_incoming(incoming: IncomingMessage<'_>, handler: &HandlerContext<'_>) -> Option<Self> {
        let IncomingMessage { payload, encoding, source, .. } = incoming;
        match codec::decode_part(source, payload, encoding, &handler.decoding.limits) {
            Ok(message) => {
                let inbound = InboundMessage { payload: Bytes::new(), ..incoming.into_inbound()? };
                Some(Self::new(message, inbound, handler.in_progress.clone()))
            }
            Err(error) => {
                handler.undecodable(&error, incoming.reply);
                None
            }
        }
    }
}

fn call_self_replying<A, T>(
    actor: &mut A,
    context: &mut A::Context,
    incoming: IncomingMessage<'_>,
    handler: &HandlerContext<'_>,
) where
    A: Actor<Context = Context<A>> + Handler<T>,
    T: SelfReplying,
{
    if let Some(message) = T::from_incoming(incoming, handler) {
        <A as Handler<T>>::handle(actor, message, context).handle(context, None);
    }
}

fn run<A, M>(
    actor: &mut A,
    context: &mut A::Context,
    batch: &mut MessageBatch<'_>,
    handler: &HandlerContext<'_>,
) where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    while !context.waiting()
        && let Some(incoming) = batch.next(handler)
    {
        call::<A, M>(actor, context, incoming, handler);
    }
}

#[inline(always)]
fn call<A, M>(
    actor: &mut A,
    context: &mut A::Context,
    incoming: IncomingMessage<'_>,
    handler: &HandlerContext<'_>,
) where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    let IncomingMessage { payload, encoding, reply, permit, source, .. } = incoming;
    let message: M = match codec::decode_part(source, payload, encoding, &handler.decoding.limits) {
        Ok(message) => message,
        Err(error) => return handler.undecodable(&error, reply),
    };
    match dispatch(actor, context, message) {
        HandlerOutput::Now(result) => {
            if let Some(reply) = reply {
                reply.send(&result);
            }
        }
        HandlerOutput::Future(future) => answer_later(reply, permit, handler.in_progress.clone(), future),
        HandlerOutput::ActorFuture(future) => {
            let future = trace::in_message_context_with_actor(future);
            let (reply, unfinished) =
                (reply.and_then(ReplySlot::into_reply_to), (permit.detach(), handler.in_progress.clone()));
            let answered = future.map(move |result, _: &mut A, _: &mut A::Context| {
                answer(reply, &result);
                drop(unfinished);
            });
            context.spawn(answered);
        }
        HandlerOutput::Channel(mut receiver) => match receiver.try_recv() {
            Ok(result) => {
                if let Some(reply) = reply {
                    reply.send(&result);
                }
            }
            Err(oneshot::error::TryRecvError::Closed) => drop(reply),
            Err(oneshot::error::TryRecvError::Empty) => {
                let (reply, unfinished) = (
                    reply.and_then(ReplySlot::into_reply_to),
                    (permit.detach(), handler.in_progress.clone()),
                );
                actix::spawn(async move {
                    if let Ok(result) = receiver.await {
                        answer(reply, &result);
                    }
                    drop(unfinished);
                });
            }
        },
    }
}

fn answer_later<R: codec::WireType>(
    reply: Option<ReplySlot<'_>>,
    permit: MessagePermit<'_>,
    in_progress: HandlerInProgress,
    future: ResponseFuture<R>,
) {
    let (reply, unfinished) = (reply.and_then(ReplySlot::into_reply_to), (permit.detach(), in_progress));
    let future = trace::in_message_context(future);
    actix::spawn(async move {
        answer(reply, &future.await);
        drop(unfinished);
    });
}

fn forward<A, M>(
    addr: &Addr<A>,
    incoming: IncomingMessage<'_>,
    handler: &HandlerContext<'_>,
) -> Option<CompletionFuture>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: NetMessage,
{
    let IncomingMessage { payload, encoding, reply, permit, source, .. } = incoming;
    let message: M = match codec::decode_part(source, payload, encoding, &handler.decoding.limits) {
        Ok(message) => message,
        Err(error) => {
            handler.undecodable(&error, reply);
            return None;
        }
    };
    let (reply, permit) = match (reply, permit) {
        (Some(reply), permit) => (reply.into_reply_to(), permit.detach()),
        (None, MessagePermit::Own(permit)) => (None, Some(permit)),
        (None, MessagePermit::Shared(..)) => {
            // Its permit is released with that of the last tell that arrived with it, which the actor handles later.
            addr.do_send(message);
            return None;
        }
    };
    Some(send_through_mailbox(
        addr,
        message,
        reply,
        (permit.map(HeldPermits::from), handler.in_progress.clone()),
    ))
}

fn decode_tell<A, M>(payload: &[u8], encoding: Encoding, limits: &DecodeLimits) -> Option<DecodedMessage<A>>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: NetMessage,
{
    let message: M = codec::decode(payload, encoding, limits).ok()?;
    Some(Box::new(|addr, permits| {
        send_through_mailbox(addr, message, None, (permits, HandlerInProgress::default()))
    }))
}

/// Sends a message through the mailbox. The returned future sends the reply when the message has been handled; until
/// then it is unfinished.
fn send_through_mailbox<A, M>(
    addr: &Addr<A>,
    message: M,
    reply: Option<ReplyTo>,
    unfinished: (Option<HeldPermits>, HandlerInProgress),
) -> CompletionFuture
where
    A: Actor<Context = Context<A>> + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: NetMessage,
{
    // A clone has its own slot in the mailbox: an address that has sent more than the mailbox holds is blocked, and its
    // next message would be overtaken by messages without a reply, which are not blocked.
    let request = addr.clone().send(message);
    Box::pin(async move {
        finish(reply, request.await);
        drop(unfinished);
    })
}

fn finish<R: codec::WireType>(reply: Option<ReplyTo>, result: Result<R, MailboxError>) {
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

fn answer<R: codec::WireType>(reply: Option<ReplyTo>, result: &R) {
    if let Some(reply) = reply {
        reply.send(result);
    }
}
