//! Discovery of Python's NetworkZero: adverts in datagrams, and commands to the one beacon of each machine.
//!
//! According to its source, version 1.0b1: a beacon holds UDP port 9999, broadcasts the services of its machine every two
//! seconds, and stores received adverts for their lifetimes. The programs of the machine send it commands over ZeroMQ at
//! 127.0.0.1:9998. [`Beacon`] is such a beacon, [`Exchange`] selects the services exchanged between it and a mesh.

mod advert;
mod beacon;
mod command;
mod exchange;

pub use advert::{AdvertError, MAX_ADVERT_BYTES, ServiceAdvert};
pub use beacon::{Beacon, LIFETIME};
pub use command::{Command, CommandError};
pub use exchange::Exchange;

/// The UDP port of adverts.
pub const BEACON_PORT: u16 = 9_999;

/// The TCP port of commands, on loopback.
pub const COMMAND_PORT: u16 = 9_998;

#[cfg(test)]
mod tests;
