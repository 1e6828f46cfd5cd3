//! The messages that wait at one address until some thread takes them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix::{Actor, Context, Handler};
use meshzero_actors::handler::Encoded;
use meshzero_actors::inbound::Inbound;
use meshzero_proto::refusal::Refusal;

/// The queue between the mesh and the threads that wait. Its length is bounded by the service's permits, one of which
/// comes with every message: while it is full, callers wait.
#[derive(Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Inbound>,
    closed: bool,
}

/// What came of waiting.
pub(super) enum Taken {
    Message(Inbound),
    TimedOut,
    Closed,
}

impl Mailbox {
    fn push(&self, inbound: Inbound) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return refuse(inbound, Refusal::Draining);
        }
        state.waiting.push_back(inbound);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the next message whose sender still waits for the reply, until `deadline`.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Taken {
        let mut state = self.lock();
        loop {
            while let Some(mut inbound) = state.waiting.pop_front() {
                if inbound.is_due(Instant::now()) {
                    return Taken::Message(inbound);
                }
            }
            if state.closed {
                return Taken::Closed;
            }
            state = match deadline {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Taken::TimedOut;
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Refuses what waits and whatever comes, and wakes all who wait.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.changed.notify_all();
        for inbound in waiting {
            refuse(inbound, Refusal::Draining);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn refuse(inbound: Inbound, why: Refusal) {
    match inbound.reply {
        Some(reply) => reply.refuse(why),
        None => tracing::warn!(%why, "a message without a reply was dropped"),
    }
}

/// The actor behind an address: it puts what comes into the mailbox.
pub(super) struct Intake(pub(super) Arc<Mailbox>);

impl Actor for Intake {
    type Context = Context<Self>;
}

impl Handler<Encoded> for Intake {
    type Result = ();

    fn handle(&mut self, Encoded(inbound): Encoded, _: &mut Context<Self>) {
        self.0.push(inbound);
    }
}
