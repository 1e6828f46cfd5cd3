//! The trace that a thread works for: where the messages that it sends belong, and what is recorded of them.
//!
//! A message takes the context of its sender along, as a span of its own. Its handler works for that span, and so do the
//! futures that the handler gives back: what they send are spans below it.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use actix::fut::ActorFuture;
use actix::{Actor, ResponseActFuture, ResponseFuture};
use meshzero_proto::codec::{self, Wire};
use meshzero_proto::name::TypeName;
use meshzero_proto::trace::{Sampling, SpanId, TraceContext, TraceId};
use tracing::Span;
use tracing::span::EnteredSpan;

use crate::events;

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// What spans and events of traces are recorded under.
const TARGET: &str = "meshzero::trace";

/// Begins a trace: a context with random ids, which says that the trace is to be recorded.
pub fn begin() -> TraceContext {
    loop {
        let mut bytes = [0; 16];
        // Ids must differ and need not be secret: without the system's randomness they are made up.
        if getrandom::fill(&mut bytes).is_err() {
            bytes = fastrand::u128(..).to_be_bytes();
        }
        if let Some(trace_id) = TraceId::from_bytes(bytes) {
            return TraceContext::new(trace_id, span_id(), Sampling::Sampled);
        }
    }
}

/// What the running code works for: the message that this thread handles, or what [`in_scope`] or [`carry`] say.
#[inline(always)]
pub fn current() -> Option<TraceContext> {
    CURRENT.get()
}

/// Runs `work` for `context`: what it sends belongs there.
pub fn in_scope<T>(context: TraceContext, work: impl FnOnce() -> T) -> T {
    let _scope = Scope::enter(context);
    work()
}

/// A future that does its work for `context`, whichever thread polls it.
pub fn carry<F: Future>(context: TraceContext, future: F) -> Carried<F> {
    Carried { context, future: Box::pin(future) }
}

/// A future that does its work for one context, see [`carry`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Carried<F> {
    context: TraceContext,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Carried<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let _scope = Scope::enter(self.context);
        self.future.as_mut().poll(task)
    }
}

fn span_id() -> SpanId {
    loop {
        if let Some(id) = SpanId::from_bytes(fastrand::u64(1..).to_be_bytes()) {
            return id;
        }
    }
}

/// As long as it lives, its thread works for one context; then for what it worked for before.
struct Scope {
    before: Option<TraceContext>,
    /// It belongs to its thread.
    _here: PhantomData<*const ()>,
}

impl Scope {
    fn enter(context: TraceContext) -> Self {
        Self { before: CURRENT.replace(Some(context)), _here: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// As long as it lives, its thread handles a message that is part of a trace.
pub(crate) struct Handling {
    _scope: Scope,
    /// Left before the scope, or after it: neither sees the other.
    _span: EnteredSpan,
}

impl Handling {
    /// Begins with a message that `service` knows as `message_type`.
    #[cold]
    pub(crate) fn begin(context: TraceContext, service: &str, message_type: &str) -> Self {
        let (trace_id, span_id) = (context.trace_id(), context.span_id());
        let span = events::recording(|| {
            tracing::info_span!(target: TARGET, "handle", service, message_type, %trace_id, %span_id)
                .entered()
        });
        Self { _scope: Scope::enter(context), _span: span }
    }
}

/// What a handler gave back, still working for the message that this thread handles.
pub(crate) fn keep<R: 'static>(future: ResponseFuture<R>) -> ResponseFuture<R> {
    match current() {
        None => future,
        Some(context) => Box::pin(Kept { context, span: Span::current(), future }),
    }
}

/// As [`keep`], for a future that needs its actor.
pub(crate) fn keep_with_actor<A: Actor, R: 'static>(
    future: ResponseActFuture<A, R>,
) -> ResponseActFuture<A, R> {
    match current() {
        None => future,
        Some(context) => Box::pin(Kept { context, span: Span::current(), future }),
    }
}

/// What is left of a handler's work, with the context and the span that it began in.
struct Kept<F> {
    context: TraceContext,
    span: Span,
    future: F,
}

impl<F> Kept<F> {
    /// Goes on with it.
    fn go_on<T>(&mut self, poll: impl FnOnce(&mut F) -> T) -> T {
        let _scope = Scope::enter(self.context);
        let _span = events::recording(|| self.span.enter());
        poll(&mut self.future)
    }
}

impl<R> Future for Kept<ResponseFuture<R>> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<R> {
        self.go_on(|future| future.as_mut().poll(task))
    }
}

impl<A: Actor, R> ActorFuture<A> for Kept<ResponseActFuture<A, R>> {
    type Output = R;

    fn poll(
        mut self: Pin<&mut Self>,
        actor: &mut A,
        context: &mut A::Context,
        task: &mut TaskContext<'_>,
    ) -> Poll<R> {
        self.go_on(|future| future.as_mut().poll(actor, context, task))
    }
}

/// A message that is sent as part of a trace: the span that it is. It records how it ended, also where it is dropped.
pub struct Outgoing {
    context: TraceContext,
    /// `None` where nobody listens.
    record: Option<Record>,
}

/// What is known of a message when it is sent.
struct Record {
    parent_id: SpanId,
    service: String,
    message_type: String,
    began: Instant,
}

/// What a message is a part of, from when it is made until it has ended.
pub(crate) enum Part {
    /// Of no trace.
    Nothing,
    /// Of the trace of this span. It has not set out.
    Of(Box<TraceContext>),
    /// It is this span.
    As(Box<Outgoing>),
}

impl Part {
    /// Part of what the running code works for. To be asked for before the message is put where it stays: the compiler moves
    /// it there after this otherwise.
    #[inline(always)]
    pub(crate) fn here() -> Self {
        match current() {
            None => Self::Nothing,
            Some(parent) => Self::of_current(parent),
        }
    }

    /// As [`Part::of`], unless it is sent by a subscriber that hears of this trace: it would hear of that as well.
    #[cold]
    #[inline(never)]
    fn of_current(parent: TraceContext) -> Self {
        if events::is_recording() { Self::Nothing } else { Self::of(parent) }
    }

    /// Part of the trace of `parent`.
    #[cold]
    #[inline(never)]
    fn of(parent: TraceContext) -> Self {
        Self::Of(Box::new(parent))
    }

    /// Part of the trace of `parent` from now on. Without effect once the message has set out as part of one.
    pub(crate) fn belong_to(&mut self, parent: TraceContext) {
        if let Self::Nothing | Self::Of(_) = self {
            *self = Self::of(parent);
        }
    }

    /// Starts the span of the message, which is sent under its type's own name or another one.
    #[inline(always)]
    pub(crate) fn set_out<M: Wire>(&mut self, target: &dyn fmt::Display, name: Option<&TypeName>) {
        if let Self::Of(parent) = self {
            *self = Self::As(Outgoing::begin::<M>(**parent, target, name));
        }
    }

    /// The context that travels.
    #[inline(always)]
    pub(crate) fn context(&self) -> Option<&TraceContext> {
        match self {
            Self::Nothing | Self::Of(_) => None,
            Self::As(span) => Some(&span.context),
        }
    }

    /// Records the outcome: `success`, or the error that it failed with.
    #[inline(always)]
    pub(crate) fn end(&mut self, error: Option<&dyn fmt::Debug>, success: &'static str) {
        if let Self::As(span) = self {
            span.conclude(error, success);
        }
    }
}

impl Outgoing {
    /// The span of a message that is sent for `parent`.
    #[cold]
    #[inline(never)]
    fn begin<M: Wire>(parent: TraceContext, target: &dyn fmt::Display, name: Option<&TypeName>) -> Box<Self> {
        let is_heard = !events::is_recording() && tracing::enabled!(target: TARGET, tracing::Level::DEBUG);
        let record = is_heard.then(|| Record {
            parent_id: parent.span_id(),
            service: target.to_string(),
            message_type: name.map_or_else(|| codec::type_info::<M>().name().to_owned(), ToString::to_string),
            began: Instant::now(),
        });
        Box::new(Self { context: parent.with_span(span_id()), record })
    }

    /// Records the outcome: `success`, or the error that it failed with.
    #[cold]
    #[inline(never)]
    pub(crate) fn conclude(&mut self, error: Option<&dyn fmt::Debug>, success: &'static str) {
        match error {
            None => self.end(success),
            Some(error) => self.end(format_args!("failed: {error:?}")),
        }
    }

    /// Records the outcome, unless one was recorded before.
    pub(crate) fn end(&mut self, outcome: impl fmt::Display) {
        let Some(Record { parent_id, service, message_type, began }) = self.record.take() else { return };
        let (trace_id, span_id, elapsed) = (self.context.trace_id(), self.context.span_id(), began.elapsed());
        events::record(|| {
            tracing::debug!(
                target: TARGET, service, message_type, %trace_id, %span_id, %parent_id, %outcome, ?elapsed, "call"
            );
        });
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.end("cancelled");
    }
}
