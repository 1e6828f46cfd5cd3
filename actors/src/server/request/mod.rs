//! The requests of one connection: delivery, deadlines, and the replies that are still due.

pub(crate) mod deadlines;
pub mod delivery;
pub(crate) mod in_progress;
pub mod inbound;
pub mod incoming_call;
pub mod pending;
pub(crate) mod reaper;
pub mod reply;
pub mod responder;
