//! The stand-in for `meshzero_actors::net`.

pub(crate) mod connection;
