//! The spans of messages that are sent as part of a trace.

use std::fmt;
use std::time::Instant;

use meshzero_proto::codec::{self, WireType};
use meshzero_proto::name::TypeName;
use meshzero_proto::trace::{SpanId, TraceContext};

use super::{TARGET, current, span_id};
use crate::runtime::events;

/// The span of a message that is sent as part of a trace. It records the outcome, also if it is dropped.
pub struct OutgoingSpan {
    context: TraceContext,
    /// `None` if no subscriber is interested.
    record: Option<SpanRecord>,
}

/// The fields of a span, known when its message is sent.
struct SpanRecord {
    parent_id: SpanId,
    service: String,
    message_type: String,
    began: Instant,
}

/// The state of a message's span, from its creation to its end.
pub(crate) enum OutgoingSpanState {
    /// Part of no trace.
    Nothing,
    /// Part of the trace of this span, and not sent yet.
    Of(Box<TraceContext>),
    /// Sent, as this span.
    As(Box<OutgoingSpan>),
}

impl OutgoingSpanState {
    /// Returns the state for a message of the running code. Call this before the message is moved to its final place: otherwise
    /// the compiler moves it there afterwards.
    #[inline(always)]
    pub(crate) fn here() -> Self {
        match current() {
            None => Self::Nothing,
            Some(parent) => Self::of_current(parent),
        }
    }

    /// As [`OutgoingSpanState::of`], unless a subscriber that records this trace sends the message: it would record that
    /// message as well.
    #[cold]
    #[inline(never)]
    fn of_current(parent: TraceContext) -> Self {
        if events::is_recording() { Self::Nothing } else { Self::of(parent) }
    }

    /// Returns the state for a message of the trace of `parent`.
    #[cold]
    #[inline(never)]
    fn of(parent: TraceContext) -> Self {
        Self::Of(Box::new(parent))
    }

    /// Makes the message part of the trace of `parent`. Has no effect once it was sent as part of one.
    pub(crate) fn belong_to(&mut self, parent: TraceContext) {
        if let Self::Nothing | Self::Of(_) = self {
            *self = Self::of(parent);
        }
    }

    /// Starts the span of the message, which is sent under its type's own name or another one.
    #[inline(always)]
    pub(crate) fn set_out<M: WireType>(&mut self, target: &dyn fmt::Display, name: Option<&TypeName>) {
        if let Self::Of(parent) = self {
            *self = Self::As(OutgoingSpan::begin::<M>(**parent, target, name));
        }
    }

    /// Returns the context that is sent with the message.
    #[inline(always)]
    pub(crate) fn context(&self) -> Option<&TraceContext> {
        match self {
            Self::Nothing | Self::Of(_) => None,
            Self::As(span) => Some(&span.context),
        }
    }

    /// Records the outcome: `success`, or the error with which it failed.
    #[inline(always)]
    pub(crate) fn end(&mut self, error: Option<&dyn fmt::Debug>, success: &'static str) {
        if let Self::As(span) = self {
            span.conclude(error, success);
        }
    }
}

impl OutgoingSpan {
    /// Starts the span of a message that is sent for `parent`.
    #[cold]
    #[inline(never)]
    fn begin<M: WireType>(
        parent: TraceContext,
        target: &dyn fmt::Display,
        name: Option<&TypeName>,
    ) -> Box<Self> {
        let is_heard = !events::is_recording() && tracing::enabled!(target: TARGET, tracing::Level::DEBUG);
        let record = is_heard.then(|| SpanRecord {
            parent_id: parent.span_id(),
            service: target.to_string(),
            message_type: name.map_or_else(|| codec::type_info::<M>().name().to_owned(), ToString::to_string),
            began: Instant::now(),
        });
        Box::new(Self { context: parent.with_span(span_id()), record })
    }

    /// Records the outcome: `success`, or the error with which it failed.
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
        let Some(SpanRecord { parent_id, service, message_type, began }) = self.record.take() else { return };
        let (trace_id, span_id, elapsed) = (self.context.trace_id(), self.context.span_id(), began.elapsed());
        events::record(|| {
            tracing::debug!(
                target: TARGET, service, message_type, %trace_id, %span_id, %parent_id, %outcome, ?elapsed, "call"
            );
        });
    }
}

impl Drop for OutgoingSpan {
    fn drop(&mut self) {
        self.end("cancelled");
    }
}
