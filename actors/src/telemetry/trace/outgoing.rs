//! The spans of messages that are sent as part of a trace.

use std::fmt;
use std::time::Instant;

use meshzero_proto::codec::{self, WireType};
use meshzero_proto::name::TypeName;
use meshzero_proto::trace::{SpanId, TraceContext};

use super::{TARGET, current, span_id};
use crate::runtime::events;
use crate::runtime::rare::Rare;

/// The span of a message that is sent as part of a trace. It records the outcome, even if it is dropped.
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
    started: Instant,
}

/// The state of a message's span, from its creation to its end; none if the message is part of no trace.
pub(crate) struct OutgoingSpanState(Rare<SpanPhase>);

enum SpanPhase {
    /// The span of this parent has not started.
    Created(TraceContext),
    Started(OutgoingSpan),
}

impl OutgoingSpanState {
    /// Returns the state for a message of the running code. Call this in the struct literal of the final place: otherwise the
    /// compiler copies the message afterwards.
    #[inline(always)]
    pub(crate) fn for_current() -> Self {
        match current() {
            None => Self(Rare::NONE),
            Some(parent) => Self::unless_recording(parent),
        }
    }

    /// Like [`OutgoingSpanState::for_parent`], unless the message is sent by a subscriber that is recording a trace: it would
    /// record that message as well.
    #[cold]
    #[inline(never)]
    fn unless_recording(parent: TraceContext) -> Self {
        if events::is_recording() { Self(Rare::NONE) } else { Self::for_parent(parent) }
    }

    /// Returns the state for a message of the trace of `parent`.
    #[cold]
    #[inline(never)]
    fn for_parent(parent: TraceContext) -> Self {
        Self(Rare::some(SpanPhase::Created(parent)))
    }

    /// Makes the message part of the trace of `parent`. Has no effect once it was sent as part of one.
    pub(crate) fn set_parent(&mut self, parent: TraceContext) {
        if self.started().is_none() {
            *self = Self::for_parent(parent);
        }
    }

    /// Starts the span of the message, which is sent under the name of its type, or under `name`.
    #[inline(always)]
    pub(crate) fn start<M: WireType>(&mut self, target: &dyn fmt::Display, name: Option<&TypeName>) {
        if let Some(phase) = &mut *self.0 {
            phase.start::<M>(target, name);
        }
    }

    /// Returns the context that is sent with the message.
    #[inline(always)]
    pub(crate) fn context(&self) -> Option<&TraceContext> {
        match self.0.as_deref() {
            Some(SpanPhase::Started(span)) => Some(&span.context),
            _ => None,
        }
    }

    /// Returns the span, once it has started.
    #[inline(always)]
    pub(crate) fn started(&mut self) -> Option<&mut OutgoingSpan> {
        match self.0.as_deref_mut() {
            Some(SpanPhase::Started(span)) => Some(span),
            _ => None,
        }
    }

    /// Records the outcome: `success`, or the error with which it failed.
    #[inline(always)]
    pub(crate) fn end(&mut self, error: Option<&dyn fmt::Debug>, success: &'static str) {
        if let Some(span) = self.started() {
            span.record_result(error, success);
        }
    }
}

impl SpanPhase {
    #[cold]
    #[inline(never)]
    fn start<M: WireType>(&mut self, target: &dyn fmt::Display, name: Option<&TypeName>) {
        if let Self::Created(parent) = self {
            *self = Self::Started(OutgoingSpan::begin::<M>(*parent, target, name));
        }
    }
}

impl OutgoingSpan {
    /// Starts the span of a message that is sent for `parent`.
    fn begin<M: WireType>(parent: TraceContext, target: &dyn fmt::Display, name: Option<&TypeName>) -> Self {
        let is_enabled = !events::is_recording() && tracing::enabled!(target: TARGET, tracing::Level::DEBUG);
        let record = is_enabled.then(|| SpanRecord {
            parent_id: parent.span_id(),
            service: target.to_string(),
            message_type: name.map_or_else(|| codec::type_info::<M>().name().to_owned(), ToString::to_string),
            started: Instant::now(),
        });
        Self { context: parent.with_span(span_id()), record }
    }

    /// Records the outcome: `success`, or the error with which it failed.
    #[cold]
    #[inline(never)]
    pub(crate) fn record_result(&mut self, error: Option<&dyn fmt::Debug>, success: &'static str) {
        match error {
            None => self.end(success),
            Some(error) => self.end(format_args!("failed: {error:?}")),
        }
    }

    /// Records the outcome, unless one was recorded before.
    pub(crate) fn end(&mut self, outcome: impl fmt::Display) {
        let Some(SpanRecord { parent_id, service, message_type, started }) = self.record.take() else {
            return;
        };
        let (trace_id, span_id, elapsed) =
            (self.context.trace_id(), self.context.span_id(), started.elapsed());
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
