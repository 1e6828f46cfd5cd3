//! Messages of one type that arrived in a row, for a handler that processes them in one go.

use std::time::Instant;

use crate::runtime::blocking;
use crate::runtime::clock;
use crate::server::actor::decoding::HandlerContext;
use crate::server::request::delivery::{Delivery, IncomingMessage};
use crate::server::request::reply::ReplyBatch;
use crate::telemetry::trace::HandlerSpan;

/// The messages of a delivery, in runs of the same type, up to the limit of one turn.
pub(crate) struct MessageBatch<'a> {
    /// The name of the service.
    service: &'a str,
    delivery: &'a mut Delivery,
    replies: ReplyBatch<'a>,
    /// The number of messages handled so far, counted up to `limit`.
    handled: &'a mut u64,
    limit: u64,
    slot: usize,
    now: Instant,
    is_first: bool,
    /// The span of the message that is being handled, if it is part of a trace.
    span: Option<HandlerSpan>,
}

impl<'a> MessageBatch<'a> {
    pub(crate) fn new(
        service: &'a str,
        delivery: &'a mut Delivery,
        replies: ReplyBatch<'a>,
        handled: &'a mut u64,
        limit: u64,
    ) -> Self {
        Self {
            service,
            delivery,
            replies,
            handled,
            limit,
            slot: 0,
            now: clock::now(),
            is_first: true,
            span: None,
        }
    }

    /// Continues with the next run, and returns the number of its handler; `None` when the turn is over, or no message
    /// is left.
    pub(crate) fn slot(&mut self) -> Option<usize> {
        self.slot = self.delivery.slot().filter(|_| *self.handled < self.limit)?;
        Some(self.slot)
    }

    /// Returns the next message of this run, which counts as being handled until this is called again.
    #[inline(always)]
    pub(crate) fn next(&mut self, handler: &HandlerContext<'_>) -> Option<IncomingMessage<'_>> {
        if self.span.is_some() {
            self.end_span();
        }
        if *self.handled >= self.limit {
            return None;
        }
        // Requests have deadlines, and each handler may have taken a while.
        if self.delivery.has_requests() && !std::mem::take(&mut self.is_first) {
            self.now = clock::now();
        }
        let (service, span) = (self.service, &mut self.span);
        let out = self.replies.frames(self.now);
        let message = self.delivery.next(Some(self.slot), self.now, out, |context| {
            *span = Some(HandlerSpan::begin(context, service, handler.name));
        })?;
        *self.handled += 1;
        blocking::begin_message(*self.handled);
        Some(message)
    }

    /// Skips the messages of this run.
    #[cold]
    pub(crate) fn skip(&mut self) {
        while *self.handled < self.limit
            && self.delivery.next(Some(self.slot), self.now, self.replies.frames(self.now), |_| {}).is_some()
        {
            *self.handled += 1;
        }
    }

    /// Ends the span of the message that was handled.
    #[cold]
    fn end_span(&mut self) {
        self.span = None;
    }
}
