//! What one thread has before it: the messages that it owes a reply, and the news that it listens to.
//!
//! Both belong to the thread that waited, as in NetworkZero, so that several threads may serve one address and none
//! takes another's. When a thread ends, its callers are told and its subscriptions end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use meshzero_actors::inbound::Inbound;
use meshzero_proto::refusal::Refusal;

use super::address::Address;
use super::error::ZeroError;
use super::listener::Listener;
use super::mailbox;
use super::subject::Subject;
use crate::value::Value;

/// Subscriptions of one thread; the one that was waited for least recently makes room.
const LISTENERS: usize = 64;

#[derive(Default)]
struct Desk {
    in_hand: HashMap<Address, Inbound>,
    /// The one used last comes last.
    listeners: Vec<Listener<Value>>,
    /// Has the program say goodbye, if it ends with this thread.
    goodbye: Option<fn()>,
}

impl Drop for Desk {
    /// Clears it away, and leaves the mesh if the program ends.
    ///
    /// On another thread, because this one is past its end, and waking the mesh needs what it does not have any more.
    fn drop(&mut self) {
        let left = (std::mem::take(&mut self.in_hand), std::mem::take(&mut self.listeners));
        let goodbye = self.goodbye;
        if goodbye.is_none() && left.0.is_empty() && left.1.is_empty() {
            return;
        }
        let left = Arc::new(Mutex::new(Some(left)));
        let taken = Arc::clone(&left);
        let clear = move || {
            drop(taken.lock().unwrap_or_else(PoisonError::into_inner).take());
            if let Some(goodbye) = goodbye {
                goodbye();
            }
        };
        match thread::Builder::new().name("meshzero goodbye".into()).spawn(clear) {
            // It does not panic, and nothing could be done about it here.
            Ok(clearing) if goodbye.is_some() => drop(clearing.join()),
            Ok(_) => {}
            // Left to the end of the process: nothing of it may be dropped here.
            Err(_) => std::mem::forget(left),
        }
    }
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::default();
}

fn with<T>(work: impl FnOnce(&mut Desk) -> T) -> Result<T, ZeroError> {
    // A thread that is past its end has no desk any more.
    DESK.try_with(|desk| work(&mut desk.borrow_mut())).map_err(|_| ZeroError::Closed)
}

/// Keeps a message until it is replied to. One that was there before is refused.
pub(super) fn keep(address: Address, inbound: Inbound) -> Result<(), ZeroError> {
    let before = with(|desk| desk.in_hand.insert(address, inbound))?;
    if let Some(before) = before {
        leave_unanswered(address, before);
    }
    Ok(())
}

/// The message that this thread has taken at `address` and not replied to.
pub(super) fn take(address: Address) -> Result<Option<Inbound>, ZeroError> {
    with(|desk| desk.in_hand.remove(&address))
}

/// Tells a caller that there will be no reply.
pub(super) fn leave_unanswered(address: Address, inbound: Inbound) {
    tracing::warn!(%address, "a message was not replied to before the next was waited for");
    mailbox::refuse(inbound, Refusal::Unanswered);
}

/// The subscription to `subject`, if this thread has it. Whoever takes it puts it back.
pub(super) fn take_listener(subject: &Subject) -> Result<Option<Listener<Value>>, ZeroError> {
    with(|desk| {
        let place = desk.listeners.iter().position(|listener| listener.subject() == subject)?;
        Some(desk.listeners.remove(place))
    })
}

/// Keeps a subscription for the next wait.
pub(super) fn put_back(listener: Listener<Value>) -> Result<(), ZeroError> {
    let oldest = with(|desk| {
        desk.listeners.push(listener);
        (desk.listeners.len() > LISTENERS).then(|| desk.listeners.remove(0))
    })?;
    drop(oldest);
    Ok(())
}

/// Leaves what this thread has as it is, for ever: it belongs to the process that this one was forked from.
pub(super) fn forget() {
    // A thread that is past its end has nothing.
    let _ = with(|desk| std::mem::forget(std::mem::take(desk)));
}

/// Has `goodbye` called at the end of the program, once this thread's desk is cleared, if this is its main thread. Not on Windows:
/// there the main thread's desk is cleared while the loader is locked, if it is at all, and a thread that was waited for then
/// could never begin.
pub(super) fn at_exit(goodbye: fn()) {
    if cfg!(windows) {
        return;
    }
    // A thread that is past its end has said it.
    let _ = with(|desk| {
        if thread::current().name() == Some("main") {
            desk.goodbye = Some(goodbye);
        }
    });
}
