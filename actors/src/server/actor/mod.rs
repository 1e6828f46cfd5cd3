//! The path of messages into the user's actor, and its supervision.

pub(crate) mod batch;
pub(crate) mod decoding;
pub(crate) mod dispatch;
pub(crate) mod driver;
pub(crate) mod entry;
pub(crate) mod external;
pub mod handler;
pub(crate) mod inbox;
pub(crate) mod local;
pub(crate) mod message_types;
pub mod restart_policy;
pub(crate) mod supervised;
