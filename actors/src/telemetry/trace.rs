//! The trace context of a thread: the parent of the messages that it sends, and the span in which they are recorded.
//!
//! A message carries the context of its sender, as a span of its own. Its handler works in that span, and so do the futures
//! that the handler returns: the messages that they send are child spans.

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use meshzero_proto::trace::{Sampling, SpanId, TraceContext, TraceId};

pub(crate) use self::handler::{HandlerSpan, in_message_context, in_message_context_with_actor};
pub use self::outgoing::OutgoingSpan;
pub(crate) use self::outgoing::OutgoingSpanState;

mod handler;
mod outgoing;

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// The target of the spans and events of traces.
const TARGET: &str = "meshzero::trace";

/// Begins a trace: returns a context with random ids that is to be recorded.
pub fn begin() -> TraceContext {
    loop {
        let mut bytes = [0; 16];
        // Ids must differ and need not be secret: without the system's randomness they are generated in another way.
        if getrandom::fill(&mut bytes).is_err() {
            bytes = fastrand::u128(..).to_be_bytes();
        }
        if let Some(trace_id) = TraceId::from_bytes(bytes) {
            return TraceContext::new(trace_id, span_id(), Sampling::Sampled);
        }
    }
}

/// Returns the context of the running code: that of the message that this thread handles, of [`in_scope`] or of [`instrument`].
#[inline(always)]
pub fn current() -> Option<TraceContext> {
    CURRENT.get()
}

/// Runs `work` in `context`: the messages that it sends belong to that trace.
pub fn in_scope<T>(context: TraceContext, work: impl FnOnce() -> T) -> T {
    let _scope = ContextScope::enter(context);
    work()
}

/// Wraps a future so that it runs in `context`, on any thread.
pub fn instrument<F: Future>(context: TraceContext, future: F) -> InContext<F> {
    InContext { context, future: Box::pin(future) }
}

/// A future that runs in one context, see [`instrument`].
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

/// A scope in which its thread works in one context. When it ends, the previous context is restored.
struct ContextScope {
    previous: Option<TraceContext>,
    /// Tied to its thread.
    _not_send: PhantomData<*const ()>,
}

impl ContextScope {
    fn enter(context: TraceContext) -> Self {
        Self { previous: CURRENT.replace(Some(context)), _not_send: PhantomData }
    }
}

impl Drop for ContextScope {
    fn drop(&mut self) {
        CURRENT.set(self.previous);
    }
}
