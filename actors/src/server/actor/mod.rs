//! The way of messages into the user's actor, and its supervision.

pub(crate) mod batch;
pub(crate) mod decoding;
pub(crate) mod dispatch;
pub(crate) mod driver;
pub mod entry;
pub mod external;
pub mod handler;
pub(crate) mod inbox;
pub mod local;
pub(crate) mod message_types;
pub mod restart;
pub mod supervised;
