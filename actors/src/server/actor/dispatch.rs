//! The call of a handler, and its output.

use std::any::Any;

use actix::dev::MessageResponse;
use actix::{Actor, Context, Handler, MessageResult, ResponseActFuture, ResponseFuture};
use tokio::sync::oneshot;

use crate::message::NetMessage;

/// The output of a handler.
pub(crate) enum HandlerOutput<A: Actor, M: NetMessage> {
    Now(M::Result),
    Future(ResponseFuture<M::Result>),
    ActorFuture(ResponseActFuture<A, M::Result>),
    /// Any other response, which replies in actix's own way.
    Channel(oneshot::Receiver<M::Result>),
}

/// Calls the handler. The usual kinds of response are taken as they are, which saves a channel per message, and for
/// futures an entry in the actor's context, where every wake polls all of them.
#[inline]
pub(crate) fn dispatch<A, M>(actor: &mut A, context: &mut A::Context, message: M) -> HandlerOutput<A, M>
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: NetMessage,
{
    let mut response = Some(<A as Handler<M>>::handle(actor, message, context));
    if let Some(result) = take_as::<M::Result, _>(&mut response) {
        return HandlerOutput::Now(result);
    }
    if let Some(MessageResult(result)) = take_as::<MessageResult<M>, _>(&mut response) {
        return HandlerOutput::Now(result);
    }
    if let Some(future) = take_as(&mut response) {
        return HandlerOutput::Future(future);
    }
    if let Some(future) = take_as(&mut response) {
        return HandlerOutput::ActorFuture(future);
    }
    let (tx, rx) = oneshot::channel();
    if let Some(response) = response {
        response.handle(context, Some(tx));
    }
    HandlerOutput::Channel(rx)
}

/// Takes the response if it is a `T`.
#[inline]
fn take_as<T: 'static, R: 'static>(response: &mut Option<R>) -> Option<T> {
    (response as &mut dyn Any).downcast_mut::<Option<T>>()?.take()
}
