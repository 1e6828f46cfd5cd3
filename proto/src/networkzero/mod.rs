//! How programs of Python's NetworkZero find each other: by adverts in datagrams, and by what they tell the one beacon of their
//! machine.
//!
//! Read from its source, version 1.0b1: a beacon holds UDP port 9999, broadcasts what is advertised on its machine every two
//! seconds, and keeps what it hears for as long as each advert says. The programs of the machine give it commands over ZeroMQ
//! at 127.0.0.1:9998. [`Beacon`] is such a beacon, [`Exchange`] decides what crosses between it and a mesh.

mod advert;
mod beacon;
mod command;
mod exchange;

pub use advert::{AdvertError, MAX_ADVERT_BYTES, ServiceAdvert};
pub use beacon::{Beacon, LIFETIME};
pub use command::{Command, CommandError};
pub use exchange::Exchange;

/// The port of datagrams.
pub const BEACON_PORT: u16 = 9_999;

/// The port of commands, on loopback.
pub const COMMAND_PORT: u16 = 9_998;

#[cfg(test)]
mod tests;
