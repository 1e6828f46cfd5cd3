//! An actor that the user runs, known by its address: messages enter through its mailbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::{Actor, Addr, Context};
use meshzero_proto::codec::DecodeLimits;
use meshzero_proto::name::TypeName;

use crate::handler::Registration;
use crate::inbound::Inbound;
use crate::service::Entry;

type Post<A> = fn(&Addr<A>, Inbound, &TypeName, &DecodeLimits);

/// The entrance to an actor that the user runs.
pub struct Foreign<A: Actor> {
    addr: Addr<A>,
    table: Arc<[(TypeName, Post<A>)]>,
    limits: DecodeLimits,
    closed: AtomicBool,
}

impl<A: Actor<Context = Context<A>>> Foreign<A> {
    pub(crate) fn new(addr: Addr<A>, handlers: &[Registration<A>], limits: DecodeLimits) -> Self {
        let table = handlers.iter().map(|handler| (handler.name.clone(), handler.post)).collect();
        Self { addr, table, limits, closed: AtomicBool::new(false) }
    }

    /// The actor's address.
    pub fn addr(&self) -> Addr<A> {
        self.addr.clone()
    }
}

impl<A: Actor<Context = Context<A>>> Entry for Foreign<A> {
    fn deliver(&self, slot: usize, mut inbound: Inbound) {
        if let Some((name, post)) = self.table.get(slot)
            && !self.closed.load(Ordering::Acquire)
            && inbound.is_due(std::time::Instant::now())
        {
            post(&self.addr, inbound, name, &self.limits);
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn is_alive(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && self.addr.connected()
    }
}
