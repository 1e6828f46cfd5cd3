//! Actors that find and call each other over a network with nothing to configure.

pub mod value;
