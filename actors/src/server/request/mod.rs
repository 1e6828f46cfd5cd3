//! The requests of one connection: delivery, deadlines, and the replies that are still due.

pub(crate) mod deadlines;
pub(crate) mod delivery;
pub(crate) mod in_progress;
pub mod inbound;
pub mod incoming_call;
pub(crate) mod pending;
pub(crate) mod reaper;
pub(crate) mod reply;
pub(crate) mod responder;
