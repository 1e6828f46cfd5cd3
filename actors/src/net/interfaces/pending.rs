//! Chosen interfaces that this host does not have yet, or cannot use yet.

use std::fmt;

use meshzero_proto::shortened::at_most;

/// The most interfaces of this host that an error message names.
pub(crate) const MAX_NAMED: usize = 16;

/// A part of the choice that cannot be used yet. It is used as soon as it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingInterface {
    /// The choice.
    pub chosen: String,
    /// The part that is missing.
    pub lack: MissingPart,
    /// The interfaces that this host has, as `name (address)`: the choice may have a typo.
    pub existing: Vec<String>,
    /// The description of the interface, in words that follow "the" or "no".
    pub(crate) described: String,
}

/// The missing part of a chosen interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingPart {
    /// This host has no such interface, or none with such an address.
    Interface,
    /// The interface has no address.
    Address,
    /// The interface is down, or its cable is not plugged in.
    Connection,
}

impl fmt::Display for PendingInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lack, existing, described, .. } = self;
        match lack {
            MissingPart::Interface if existing.is_empty() => {
                write!(f, "this host has no {described} yet; waiting for it")
            }
            MissingPart::Interface => {
                write!(
                    f,
                    "this host has no {described} yet, only {}; waiting for it",
                    at_most(MAX_NAMED, existing)
                )
            }
            MissingPart::Address => write!(f, "the {described} has no address yet; waiting for one"),
            MissingPart::Connection => write!(f, "the {described} is not connected yet; waiting for that"),
        }
    }
}
