//! The messages that wait at one address until some thread takes them.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix::{Actor, Context, Handler};
use meshzero_actors::runtime::timer::Sleep;
use meshzero_actors::server::actor::handler::RawMessage;
use meshzero_actors::server::request::inbound::InboundMessage;
use meshzero_proto::wire::refusal::Refusal;
use tokio::sync::Notify;

use super::queue::{Queue, Sequenced};

/// The queue between the mesh and the waiting threads. Its length is bounded by the service's permits, one of which comes with every
/// message: while it is full, callers wait.
#[derive(Default)]
pub(super) struct Mailbox {
    state: Mutex<MailboxState>,
    changed: Notify,
}

#[derive(Default)]
struct MailboxState {
    waiting: Queue<RawMessage>,
    closed: bool,
}

/// The result of a wait.
pub(super) enum TakeOutcome {
    Message(Sequenced<RawMessage>),
    TimedOut,
    Closed,
}

impl Mailbox {
    fn push(&self, message: RawMessage) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return refuse(message.inbound, Refusal::Draining);
        }
        state.waiting.push(message);
        drop(state);
        self.changed.notify_one();
    }

    /// Takes a message that arrived before `other` and was given back, if there is one whose sender still waits for the reply.
    pub(super) fn take_before(&self, other: &Sequenced<RawMessage>) -> Option<Sequenced<RawMessage>> {
        loop {
            let mut first = self.lock().waiting.take_before(other)?;
            // Not under the lock: a refusal is logged, and dropping a message releases permits, which wakes others.
            if first.item.inbound.should_run(Instant::now()) {
                return Some(first);
            }
        }
    }

    /// Takes back a message whose taker is gone, to its place before all that arrived after it.
    pub(super) fn give_back(&self, message: Sequenced<RawMessage>) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return refuse(message.item.inbound, Refusal::Draining);
        }
        state.waiting.give_back(message);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the next message whose sender still waits for the reply, until `end`.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(super) async fn take(&self, end: Sleep) -> TakeOutcome {
        let mut end = pin!(end);
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the check, so that a message that arrives between that and the wait is noticed.
            changed.as_mut().enable();
            if let Some(taken) = self.take_now() {
                return taken;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = &mut end => return self.take_now().unwrap_or(TakeOutcome::TimedOut),
            }
        }
    }

    fn take_now(&self) -> Option<TakeOutcome> {
        loop {
            let (next, closed) = {
                let mut state = self.lock();
                (state.waiting.take(), state.closed)
            };
            let Some(mut next) = next else { return closed.then_some(TakeOutcome::Closed) };
            // Not under the lock, as in `take_before`.
            if next.item.inbound.should_run(Instant::now()) {
                return Some(TakeOutcome::Message(next));
            }
        }
    }

    /// Refuses the queued messages and those that arrive, and wakes all waiting threads.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.changed.notify_waiters();
        for waited in waiting {
            refuse(waited.inbound, Refusal::Draining);
        }
    }

    fn lock(&self) -> MutexGuard<'_, MailboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn refuse(inbound: InboundMessage, reason: Refusal) {
    match inbound.reply {
        Some(reply) => reply.refuse(reason),
        None => tracing::warn!(%reason, "a message without a reply was dropped"),
    }
}

/// The actor behind an address: it puts messages into the mailbox.
pub(super) struct MailboxActor(pub(super) Arc<Mailbox>);

impl Actor for MailboxActor {
    type Context = Context<Self>;
}

impl Handler<RawMessage> for MailboxActor {
    type Result = ();

    fn handle(&mut self, message: RawMessage, _: &mut Context<Self>) {
        self.0.push(message);
    }
}
