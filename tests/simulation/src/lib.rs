//! A simulated network for nodes of a mesh: turmoil's hosts, latencies and clock, with connections that can be reset and that
//! notice a silent host as the system's do.
//!
//! All that happens follows from one seed. turmoil drops what is sent while two hosts are parted, and never sends it again,
//! which no network with TCP does; so hosts are parted here by holding what is between them.

mod connection;
mod wires;

pub use wires::{Ends, Wires};
