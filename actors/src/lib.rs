//! The moving half of meshzero: sockets, mailboxes and the actors that own them.

pub mod dial;
pub mod interfaces;
pub mod mdns;
pub mod query;
