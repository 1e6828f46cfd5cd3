//! Messages of one type that arrived one after the other, for a handler that takes them in one go.

use std::time::Instant;

use crate::clock;
use crate::delivery::{Arrived, Delivery};
use crate::due::Batch;

/// The messages of a delivery, as runs of the same type, as many as there are turns for.
pub(crate) struct Run<'a> {
    delivery: &'a mut Delivery,
    batch: Batch<'a>,
    /// Messages that have been taken up, and as many as may be.
    handled: &'a mut u64,
    turn: u64,
    slot: usize,
    now: Instant,
    is_first: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(delivery: &'a mut Delivery, batch: Batch<'a>, handled: &'a mut u64, turn: u64) -> Self {
        Self { delivery, batch, handled, turn, slot: 0, now: clock::now(), is_first: true }
    }

    /// Goes on to the next run: the number of its handler; `None` when the turn is over, or nothing is left.
    pub(crate) fn slot(&mut self) -> Option<usize> {
        self.slot = self.delivery.slot().filter(|_| *self.handled < self.turn)?;
        Some(self.slot)
    }

    /// The next message of this run.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Arrived<'_>> {
        if *self.handled >= self.turn {
            return None;
        }
        // Requests have deadlines, and each handler may have taken a while.
        if self.delivery.has_requests() && !std::mem::take(&mut self.is_first) {
            self.now = clock::now();
        }
        let arrived = self.delivery.next(Some(self.slot), self.now, self.batch.frames(self.now))?;
        *self.handled += 1;
        Some(arrived)
    }
}
