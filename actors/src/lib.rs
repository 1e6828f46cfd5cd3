//! The moving half of meshzero: sockets, mailboxes and the actors that own them.
//!
//! A [`node::Node`] has two actors: [`discovery`] knows who is there, [`router`] knows which of them are connected.
//! A service is offered by [`offer`]: its [`endpoint`] accepts connections, each becomes a `session`, and messages
//! go through an inbox ([`hosted`]) or a mailbox ([`foreign`]) into the user's actor. A caller's messages follow a
//! [`route`] over [`link`]s; news come over [`feed`]s.

// A library does not write to its program's output.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod arrivals;
pub mod ask;
mod attempt;
mod balancer;
pub mod call;
pub mod caller;
pub mod client;
pub mod config;
pub mod diagnose;
pub mod diagnosis;
pub mod discovery;
pub mod establish;
pub mod fault;
pub mod feed;
mod follow;
mod health;
mod keeper;
mod line;
pub mod link;
mod message;
pub mod net;
pub mod networkzero;
mod newest;
pub mod node;
pub mod offer;
mod offload;
pub mod outward;
pub mod passages;
pub mod premises;
pub mod route;
pub mod router;
pub mod runtime;
pub mod server;
pub mod subscribed;
pub mod subscriber;
pub mod target;
pub mod telemetry;
pub mod tell;
mod tries;
mod watchdog;

pub use message::{Handles, NetMessage};
