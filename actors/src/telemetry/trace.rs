//! The trace that a thread works for: where the messages that it sends belong, and what is recorded of them.
//!
//! A message takes the context of its sender along, as a span of its own. Its handler works for that span, and so do the
//! futures that the handler gives back: what they send are spans below it.

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use meshzero_proto::trace::{Sampling, SpanId, TraceContext, TraceId};

pub(crate) use self::handler::{HandlerSpan, keep, keep_with_actor};
pub use self::outgoing::OutgoingSpan;
pub(crate) use self::outgoing::OutgoingSpanState;

mod handler;
mod outgoing;

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// The target of the spans and events of traces.
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

/// Returns the context that the running code works for: that of the message that this thread handles, of [`in_scope`] or of
/// [`carry`].
#[inline(always)]
pub fn current() -> Option<TraceContext> {
    CURRENT.get()
}

/// Runs `work` for `context`: what it sends belongs there.
pub fn in_scope<T>(context: TraceContext, work: impl FnOnce() -> T) -> T {
    let _scope = ContextScope::enter(context);
    work()
}

/// A future that does its work for `context`, whichever thread polls it.
pub fn carry<F: Future>(context: TraceContext, future: F) -> InContext<F> {
    InContext { context, future: Box::pin(future) }
}

/// A future that does its work for one context, see [`carry`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct InContext<F> {
    context: TraceContext,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let _scope = ContextScope::enter(self.context);
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
struct ContextScope {
    before: Option<TraceContext>,
    /// It belongs to its thread.
    _here: PhantomData<*const ()>,
}

impl ContextScope {
    fn enter(context: TraceContext) -> Self {
        Self { before: CURRENT.replace(Some(context)), _here: PhantomData }
    }
}

impl Drop for ContextScope {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}
