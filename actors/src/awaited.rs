//! Chosen interfaces that this host has and that cannot be used yet.

use std::fmt;

/// A part of the choice that this host has, and that cannot be used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// What was chosen.
    pub chosen: String,
    /// What it lacks.
    pub lack: Lack,
}

/// What a chosen interface lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lack {
    /// It has no address.
    Address,
    /// It is down, or its cable is not plugged in.
    Connection,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chosen, lack } = self;
        match lack {
            Lack::Address => write!(f, "the interface \"{chosen}\" has no address yet; waiting for one"),
            Lack::Connection => {
                write!(f, "the interface \"{chosen}\" is not connected yet; waiting for that")
            }
        }
    }
}
