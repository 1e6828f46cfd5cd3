//! The trace that a thread works for: where the messages that it sends belong, and what is recorded of them.
//!
//! A message takes the context of its sender along, as a span of its own. Its handler works for that span, and so do the
//! futures that the handler gives back: what they send are spans below it.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use actix::fut::ActorFuture;
use actix::{Actor, ResponseActFuture, ResponseFuture};
use meshzero_proto::codec;
use meshzero_proto::trace::{Sampling, SpanId, TraceContext, TraceId};
use tracing::Span;
use tracing::span::EnteredSpan;

use crate::caller::{Caller, Fault};
use crate::message::NetMessage;
use crate::network::Network;

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// Whether any thread of this process has ever worked for a trace. The others need not look which it is: a thread-local of
/// another crate is a call.
static IS_USED: AtomicBool = AtomicBool::new(false);

/// What spans and events of traces are recorded under.
const TARGET: &str = "meshzero::trace";

/// Begins a trace: a context with random ids, which says that the trace is to be recorded.
pub fn begin() -> TraceContext {
    loop {
        // Ids must differ and need not be secret: without the system's randomness they are made up.
        let bytes = Network::System.random().unwrap_or_else(|_| fastrand::u128(..).to_be_bytes());
        if let Some(trace_id) = TraceId::from_bytes(bytes) {
            return TraceContext::new(trace_id, span_id(), Sampling::Sampled);
        }
    }
}

/// What the running code works for: the message that this thread handles, or what [`in_scope`] or [`carry`] say.
#[inline(always)]
pub fn current() -> Option<TraceContext> {
    // Relaxed, because a thread that works for a trace has said so itself.
    if !IS_USED.load(Ordering::Relaxed) {
        return None;
    }
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
        IS_USED.store(true, Ordering::Relaxed);
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
        let span = tracing::info_span!(target: TARGET, "handle", service, message_type, %trace_id, %span_id);
        Self { _scope: Scope::enter(context), _span: span.entered() }
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
        let _span = self.span.enter();
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

/// The span of a message that is sent now, if what runs here is part of a trace.
#[inline(always)]
pub(crate) fn outgoing<M: NetMessage>(caller: &Caller) -> Option<Box<Outgoing>> {
    current().map(|parent| Outgoing::boxed::<M>(parent, caller))
}

impl Outgoing {
    /// The context that travels.
    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    /// As [`Outgoing::begin`], out of the way of messages without a trace.
    #[cold]
    #[inline(never)]
    pub(crate) fn boxed<M: NetMessage>(parent: TraceContext, caller: &Caller) -> Box<Self> {
        Box::new(Self::begin::<M>(parent, caller))
    }

    /// The span of a message that is sent for `parent`.
    pub(crate) fn begin<M: NetMessage>(parent: TraceContext, caller: &Caller) -> Self {
        let record = tracing::enabled!(target: TARGET, tracing::Level::DEBUG).then(|| Record {
            parent_id: parent.span_id(),
            service: caller.route.target().to_string(),
            message_type: codec::type_info::<M>().name().to_owned(),
            began: Instant::now(),
        });
        Self { context: parent.with_span(span_id()), record }
    }

    /// Notes under which name the message travels.
    pub(crate) fn name(&mut self, message: &str) {
        if let Some(record) = &mut self.record {
            message.clone_into(&mut record.message_type);
        }
    }

    /// Records what came of it: that it was a `success`, or why not.
    #[cold]
    #[inline(never)]
    pub(crate) fn conclude(&mut self, fault: Option<&Fault>, success: &'static str) {
        match fault {
            None => self.end(success),
            Some(fault) => self.end(format_args!("failed: {fault:?}")),
        }
    }

    /// Records what came of it, if that was not done before.
    pub(crate) fn end(&mut self, outcome: impl fmt::Display) {
        let Some(Record { parent_id, service, message_type, began }) = self.record.take() else { return };
        let (trace_id, span_id, elapsed) = (self.context.trace_id(), self.context.span_id(), began.elapsed());
        tracing::debug!(
            target: TARGET, service, message_type, %trace_id, %span_id, %parent_id, %outcome, ?elapsed, "call"
        );
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.end("cancelled");
    }
}

/// Records what came of a message, if it was part of a trace: that it was a `success`, or why not.
#[inline(always)]
pub(crate) fn end(outgoing: &mut Option<Box<Outgoing>>, fault: Option<&Fault>, success: &'static str) {
    if let Some(outgoing) = outgoing {
        outgoing.conclude(fault, success);
    }
}
