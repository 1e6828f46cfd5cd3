//! The requests of one connection: delivery, deadlines, and pending replies.

pub(crate) mod delivery;
pub(crate) mod expiry;
pub(crate) mod in_progress;
pub mod inbound;
pub mod incoming_call;
pub(crate) mod next_deadline;
pub(crate) mod pending;
pub(crate) mod reply;
pub(crate) mod responder;
