//! TODO header of client.

pub mod link;
