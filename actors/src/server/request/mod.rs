//! TODO header of server/request.

pub(crate) mod deadlines;
pub mod delivery;
pub(crate) mod in_progress;
pub mod inbound;
pub mod incoming_call;
pub mod pending;
pub(crate) mod reaper;
pub mod reply;
pub mod responder;
