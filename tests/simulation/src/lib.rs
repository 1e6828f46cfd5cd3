//! A simulated network for nodes of a mesh: turmoil's hosts, latencies and clock, with connections that can be reset and that
//! detect a silent host as the system's do.
//!
//! Everything that happens follows from one seed. turmoil drops the packets between two partitioned hosts and never sends them
//! again, which no network with TCP does; so hosts are partitioned here by holding the packets between them.

mod connection;
mod wires;

pub use wires::{Ends, Wires};
