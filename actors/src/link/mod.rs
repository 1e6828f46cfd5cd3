//! One resumable stream of frames, at either end: a link outlives its connections.
//!
//! The client's end is [`client::link`](crate::client::link), the server's end a session.

pub(crate) mod attempt_record;
pub(crate) mod config;
pub(crate) mod dial;
pub(crate) mod progress;
pub(crate) mod reader;
pub(crate) mod reconnect;
pub(crate) mod run;
pub(crate) mod send_queue;
pub(crate) mod standby;
pub(crate) mod stats;
