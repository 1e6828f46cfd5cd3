//! The state of one thread: the messages that it has to reply to, and its subscriptions.
//!
//! Both belong to the thread that waited, as in NetworkZero, so that several threads can serve one address independently. When a thread
//! ends, its callers get an error and its subscriptions end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use meshzero_actors::server::request::inbound::InboundMessage;
use meshzero_proto::wire::refusal::Refusal;

use super::address::Address;
use super::error::ZeroError;
use super::listener::FilteredSubscription;
use super::mailbox;
use super::news_filter::NewsFilter;
use crate::value::Value;

/// The most subscriptions of one thread; the least recently used one is dropped for another.
const MAX_LISTENERS: usize = 64;

#[derive(Default)]
struct ThreadState {
    unanswered: HashMap<Address, InboundMessage>,
    /// In the order of their last use.
    listeners: Vec<FilteredSubscription<Value>>,
    /// Leaves the mesh, if the program ends with this thread.
    leave: Option<fn()>,
}

impl Drop for ThreadState {
    /// Drops the state, and leaves the mesh if the program ends: on another thread, because waking the mesh needs thread-locals that
    /// this thread does not have any more.
    fn drop(&mut self) {
        let left = (std::mem::take(&mut self.unanswered), std::mem::take(&mut self.listeners));
        let leave = self.leave;
        if leave.is_none() && left.0.is_empty() && left.1.is_empty() {
            return;
        }
        let left = Arc::new(Mutex::new(Some(left)));
        let taken = Arc::clone(&left);
        let clear = move || {
            drop(taken.lock().unwrap_or_else(PoisonError::into_inner).take());
            if let Some(leave) = leave {
                leave();
            }
        };
        match thread::Builder::new().name("meshzero exit".into()).spawn(clear) {
            // It does not panic, and this could not handle it.
            Ok(clearing) if leave.is_some() => drop(clearing.join()),
            Ok(_) => {}
            // Left to the end of the process: it must not be dropped here.
            Err(_) => std::mem::forget(left),
        }
    }
}

thread_local! {
    static STATE: RefCell<ThreadState> = RefCell::default();
}

fn with<T>(work: impl FnOnce(&mut ThreadState) -> T) -> Result<T, ZeroError> {
    // A thread that is past its end has no state.
    STATE.try_with(|state| work(&mut state.borrow_mut())).map_err(|_| ZeroError::Closed)
}

/// Stores a message until it is replied to, and refuses the one stored before.
pub(super) fn put_unanswered(address: Address, inbound: InboundMessage) -> Result<(), ZeroError> {
    let before = with(|state| state.unanswered.insert(address, inbound))?;
    if let Some(before) = before {
        leave_unanswered(address, before);
    }
    Ok(())
}

/// Takes out the message that this thread has taken at `address` and not replied to.
pub(super) fn take_unanswered(address: Address) -> Result<Option<InboundMessage>, ZeroError> {
    with(|state| state.unanswered.remove(&address))
}

/// Refuses a message that was not replied to.
pub(super) fn leave_unanswered(address: Address, inbound: InboundMessage) {
    tracing::warn!(%address, "a message was not replied to before the next was waited for");
    mailbox::refuse(inbound, Refusal::Unanswered);
}

/// Takes out this thread's subscription to `filter`, if there is one. The caller puts it back.
pub(super) fn take_listener(filter: &NewsFilter) -> Result<Option<FilteredSubscription<Value>>, ZeroError> {
    with(|state| {
        let place = state.listeners.iter().position(|listener| listener.filter() == filter)?;
        Some(state.listeners.remove(place))
    })
}

/// Stores a subscription for the next wait.
pub(super) fn put_back(listener: FilteredSubscription<Value>) -> Result<(), ZeroError> {
    let oldest = with(|state| {
        state.listeners.push(listener);
        (state.listeners.len() > MAX_LISTENERS).then(|| state.listeners.remove(0))
    })?;
    drop(oldest);
    Ok(())
}

/// Forgets the state of this thread without dropping it: it belongs to the process that this one was forked from.
pub(super) fn forget() {
    // A thread that is past its end has nothing.
    let _ = with(|state| std::mem::forget(std::mem::take(state)));
}

/// Calls `leave` at the end of the program, once this thread's state is dropped, if this is its main thread. Does nothing on Windows:
/// there the main thread's state is dropped while the loader is locked, if at all, and a thread that was waited for then could never
/// start.
pub(super) fn at_exit(leave: fn()) {
    if cfg!(windows) {
        return;
    }
    // A thread that is past its end has called it.
    let _ = with(|state| {
        if thread::current().name() == Some("main") {
            state.leave = Some(leave);
        }
    });
}
