//! Trace contexts of handlers: the messages that a handler and the futures that it returns send belong to the trace of the
//! handled message.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::fut::ActorFuture;
use actix::{Actor, ResponseActFuture, ResponseFuture};
use meshzero_proto::trace::TraceContext;
use tracing::Span;
use tracing::span::EnteredSpan;

use super::{ContextScope, TARGET, current};
use crate::runtime::events;

/// A scope in which its thread handles a message that is part of a trace.
pub(crate) struct HandlerSpan {
    _scope: ContextScope,
    /// The order in which this and the scope are left does not matter.
    _span: EnteredSpan,
}

impl HandlerSpan {
    /// Enters the span of a message that `service` knows as `message_type`.
    #[cold]
    pub(crate) fn begin(context: TraceContext, service: &str, message_type: &str) -> Self {
        let (trace_id, span_id) = (context.trace_id(), context.span_id());
        let span = events::recording(|| {
            tracing::info_span!(target: TARGET, "handle", service, message_type, %trace_id, %span_id)
                .entered()
        });
        Self { _scope: ContextScope::enter(context), _span: span }
    }
}

/// Wraps the future of a handler, so that it runs in the context of the message that this thread handles.
pub(crate) fn in_message_context<R: 'static>(future: ResponseFuture<R>) -> ResponseFuture<R> {
    match current() {
        None => future,
        Some(context) => Box::pin(Traced { context, span: Span::current(), future }),
    }
}

/// Like [`in_message_context`], for an actor future.
pub(crate) fn in_message_context_with_actor<A: Actor, R: 'static>(
    future: ResponseActFuture<A, R>,
) -> ResponseActFuture<A, R> {
    match current() {
        None => future,
        Some(context) => Box::pin(Traced { context, span: Span::current(), future }),
    }
}

/// A future of a handler, with the context and the span in which it was created.
struct Traced<F> {
    context: TraceContext,
    span: Span,
    future: F,
}

impl<F> Traced<F> {
    /// Polls the future in its context and span.
    fn poll_in_context<T>(&mut self, poll: impl FnOnce(&mut F) -> T) -> T {
        let _scope = ContextScope::enter(self.context);
        let _span = events::recording(|| self.span.enter());
        poll(&mut self.future)
    }
}

impl<R> Future for Traced<ResponseFuture<R>> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<R> {
        self.poll_in_context(|future| future.as_mut().poll(task))
    }
}

impl<A: Actor, R> ActorFuture<A> for Traced<ResponseActFuture<A, R>> {
    type Output = R;

    fn poll(
        mut self: Pin<&mut Self>,
        actor: &mut A,
        context: &mut A::Context,
        task: &mut TaskContext<'_>,
    ) -> Poll<R> {
        self.poll_in_context(|future| future.as_mut().poll(actor, context, task))
    }
}
