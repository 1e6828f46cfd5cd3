//! The moving half of meshzero: sockets, mailboxes and the actors that own them.
//!
//! A [`node::Node`] has two actors: [`discovery`] knows who is there, [`router`] knows which of them are connected.
//! A service is offered by [`offer`]: its [`endpoint`] accepts connections, each becomes a `session`, and messages
//! go through an inbox ([`hosted`]) or a mailbox ([`foreign`]) into the user's actor. A caller's messages follow a
//! [`route`] over [`link`]s; news come over [`feed`]s.

// A library does not write to its program's output.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod client;
pub mod config;
pub mod diagnosis;
pub mod discovery;
pub mod link;
pub mod message;
pub mod net;
pub mod networkzero;
pub mod node;
pub mod premises;
pub mod runtime;
pub mod server;
pub mod telemetry;

pub use message::{Handles, NetMessage};
