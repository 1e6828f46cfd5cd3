//! The moving half of meshzero: sockets, mailboxes and the actors that own them.
//!
//! A [`node::Node`] has two actors: [`discovery`] knows who is there, [`router`] knows which of them are connected.
//! A service is offered by [`offer`]: its [`endpoint`] accepts connections, each becomes a `session`, and messages
//! go through an inbox ([`hosted`]) or a mailbox ([`foreign`]) into the user's actor. A caller's messages follow a
//! [`route`] over [`link`]s; news come over [`feed`]s.

// A library does not write to its program's output.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod actor_handle;
pub mod answers;
pub mod arrivals;
pub mod ask;
mod attempt;
mod balancer;
pub mod call;
pub mod called;
pub mod caller;
pub mod client;
pub mod config;
mod decoding;
pub mod delivery;
pub mod describe;
pub mod diagnose;
pub mod diagnosis;
pub mod discovery;
pub mod door;
mod drain;
mod driver;
pub mod due;
mod encoded;
pub mod endpoint;
pub mod entry;
mod environment;
pub mod establish;
mod expiry;
pub mod fault;
pub mod feed;
mod follow;
pub mod foreign;
mod guests;
mod handled;
pub mod handler;
mod handshake;
mod health;
pub mod hosted;
mod identity;
mod in_progress;
pub mod inbound;
mod inbox;
mod keeper;
mod line;
pub mod link;
mod links;
mod message;
mod message_types;
pub mod net;
pub mod networkzero;
mod newest;
pub mod node;
pub mod offer;
mod offload;
pub mod outward;
mod overdue;
pub mod owed;
pub mod own;
pub mod passages;
pub mod premises;
pub mod publisher;
mod readers;
mod readmit;
pub mod restart;
pub mod route;
pub mod router;
mod run;
pub mod runtime;
pub mod service;
mod session;
mod shelf;
pub mod subscribed;
pub mod subscriber;
pub mod target;
pub mod telemetry;
pub mod tell;
mod topics;
mod tries;
pub mod unfinished;
mod waiters;
mod watchdog;
mod zmtp;

pub use message::{Handles, NetMessage};
