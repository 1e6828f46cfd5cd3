//! An actor that the user runs, known by its address: messages enter through its mailbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use actix::{Actor, Addr, Context};
use meshzero_proto::codec::DecodeLimits;
use meshzero_proto::name::TypeName;

use crate::delivery::{Arrived, Delivery};
use crate::due::Batch;
use crate::handler::{Hold, Known, Post, Registration};
use crate::inbound::Inbound;
use crate::service::Entry;

/// The entrance to an actor that the user runs.
pub struct Foreign<A: Actor> {
    addr: Addr<A>,
    table: Box<[Way<A>]>,
    limits: DecodeLimits,
    closed: AtomicBool,
}

/// The way of one message type into the mailbox.
struct Way<A: Actor> {
    name: TypeName,
    post: Post<A>,
    hold: Hold<A>,
}

impl<A: Actor<Context = Context<A>>> Foreign<A> {
    pub(crate) fn new(addr: Addr<A>, handlers: &[Registration<A>], limits: DecodeLimits) -> Self {
        let table = handlers.iter().map(|handler| Way {
            name: handler.name.clone(),
            post: handler.post,
            hold: handler.hold,
        });
        let table = table.collect();
        Self { addr, table, limits, closed: AtomicBool::new(false) }
    }

    /// The actor's address.
    pub fn addr(&self) -> Addr<A> {
        self.addr.clone()
    }
}

impl<A: Actor<Context = Context<A>>> Entry for Foreign<A> {
    fn deliver(&self, mut delivery: Delivery) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        // A mailbox is first in, first out: when the last tell has been handled, so have those before it. It is decoded
        // first, so that there is one, and only then are the others sent without hearing of them again.
        let mut last = delivery.last_tell(|slot, payload, encoding| {
            self.table.get(slot).and_then(|way| (way.hold)(payload, encoding, &self.limits))
        });
        let answers = Arc::clone(delivery.answers());
        let mut frames = Vec::new();
        let mut batch = Batch::new(&answers, &mut frames);
        let now = Instant::now();
        while let Some(arrived) = delivery.next(None, now, batch.frames(now)) {
            let after = arrived.after;
            if let Some((_, held)) = last.take_if(|(last, _)| *last == after) {
                held(&self.addr, arrived.place.keep_all(after));
            } else if let Some(Way { name, post, .. }) = self.table.get(arrived.slot) {
                post(&self.addr, arrived, &Known { name, limits: &self.limits });
            }
        }
    }

    fn deliver_alone(&self, slot: usize, mut inbound: Inbound) {
        if let Some(Way { name, post, .. }) = self.table.get(slot)
            && !self.closed.load(Ordering::Acquire)
            && inbound.is_due(Instant::now())
        {
            let payload = std::mem::take(&mut inbound.payload);
            post(&self.addr, Arrived::alone(slot, &payload, inbound), &Known { name, limits: &self.limits });
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn is_alive(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && self.addr.connected()
    }
}
