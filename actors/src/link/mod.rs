//! TODO header of link.

pub mod config;
pub mod dial;
pub(crate) mod progress;
pub(crate) mod race;
pub mod reader;
pub(crate) mod reconnect;
pub(crate) mod run;
pub mod send_queue;
pub(crate) mod stats;
pub(crate) mod trail;
