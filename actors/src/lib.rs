//! The moving half of meshzero: sockets, mailboxes and the actors that own them.
//!
//! A [`node::Node`] has two actors: [`discovery`] knows who is there, [`router`] knows which of them are connected.
//! A service is offered by [`offer`]: its [`endpoint`] accepts connections, each becomes a `session`, and messages
//! go through an inbox ([`hosted`]) or a mailbox ([`foreign`]) into the user's actor. A caller's messages follow a
//! [`route`] over [`link`]s; news come over [`feed`]s.

// A library does not write to its program's output.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod alarms;
mod allocator;
pub mod answers;
pub mod arrivals;
pub mod ask;
mod attempt;
mod awaited;
pub mod backoff;
pub mod bound;
pub mod call;
pub mod caller;
mod carry;
mod choice;
mod clock;
pub mod config;
pub mod connection;
mod counts;
mod decoding;
pub mod delivery;
pub mod describe;
pub mod diagnose;
pub mod diagnosis;
pub mod dial;
pub mod discovery;
pub mod door;
mod drain;
pub mod due;
mod encoded;
pub mod ending;
pub mod endpoint;
mod enduring;
mod expiry;
pub mod fault;
pub mod feed;
pub mod foreign;
mod guests;
mod handled;
pub mod handler;
mod health;
pub mod home;
mod host;
mod host_changes;
pub mod hosted;
pub mod inbound;
mod inbox;
pub mod incoming;
mod ingress;
pub mod interfaces;
mod keeper;
mod kind;
mod line;
pub mod link;
mod links;
pub mod listeners;
pub mod mdns;
mod message;
mod neighbours;
pub mod network;
pub mod networkzero;
mod newest;
pub mod node;
pub mod offer;
mod offload;
pub mod outbox;
pub mod outward;
mod overdue;
pub mod owed;
pub mod own;
pub mod packed;
pub mod passages;
pub mod payload;
pub mod place;
pub mod premises;
mod progress;
pub mod publisher;
pub mod quota;
mod race;
mod readers;
mod readmit;
mod redial;
pub mod report;
pub mod restart;
pub mod route;
pub mod router;
mod routers;
mod run;
pub mod service;
mod serving;
mod session;
mod shelf;
pub mod socket;
pub mod stats;
pub mod subscribed;
pub mod subscriber;
mod sync;
mod sysfs;
pub mod target;
pub mod tell;
mod topics;
pub mod trace;
pub mod traffic;
mod trail;
mod tries;
pub mod unfinished;
mod watchdog;
mod zmtp;
pub mod zone;

pub use message::NetMessage;
