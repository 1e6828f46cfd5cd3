//! The moving half of meshzero: sockets, mailboxes and the actors that own them.
//!
//! A [`node::Node`] has two actors: [`discovery`] knows the instances of the mesh, the [router](node::router) the connected ones.
//! A service is [advertised](node::advertise): its [endpoint](server::endpoint) accepts connections, each becomes a session, and
//! messages go through an inbox or a mailbox into the user's actor. A caller's messages follow a [route](client::route) over
//! [links](client::link); items of news come over [feeds](client::subscription::feed).
//!
//! The modules form a stair. From the top: `networkzero`, `node`, `client`, `diagnosis`, `context`, `server`, `discovery`, `link`,
//! `message`, `config`, `net`, `telemetry`, `runtime`. Each depends on those below it only.

// Whoever reads the documentation of this crate works on it, with `--document-private-items`.
#![allow(rustdoc::private_intra_doc_links)]
// A library does not write to its program's output.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod client;
pub mod config;
pub(crate) mod context;
pub mod diagnosis;
pub mod discovery;
pub mod link;
pub mod message;
pub mod net;
pub mod networkzero;
pub mod node;
pub mod runtime;
pub mod server;
pub mod telemetry;

pub use message::{Handles, NetMessage};
