//! The moving half of meshzero: sockets, mailboxes and the actors that own them.

pub mod dial;
