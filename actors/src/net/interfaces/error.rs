//! The errors of choosing interfaces, with the interfaces that this host has instead.

use meshzero_proto::shortened::at_most;

use crate::net::interfaces::pending::MAX_NAMED;

/// Errors of a choice of interfaces.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterfacesError {
    /// A part of the text is neither a name, an address, a network nor a pattern.
    #[error(
        "\"{part}\" is not an interface: write names, addresses, networks or patterns, such as \"lo\", \"eth*\", \"192.168.1.5\", \"192.168.1.0/24\" or \"192.168.*\""
    )]
    Unreadable {
        /// The part.
        part: String,
    },
    /// The text chooses nothing.
    #[error(
        "\"{text}\" names no interface: write names, addresses, networks or patterns, such as \"lo\", \"eth*\" or \"192.168.*\", or \"all\""
    )]
    Empty {
        /// The text.
        text: String,
    },
    /// No interface of this host matches the choice.
    #[error("this host has no interface \"{chosen}\"; it has {}", at_most(MAX_NAMED, existing))]
    NoSuchInterface {
        /// The choice.
        chosen: String,
        /// The interfaces of this host, as `name (address)`.
        existing: Vec<String>,
    },
    /// The system does not list its interfaces.
    #[error("the network interfaces cannot be listed: {0}")]
    Unlisted(String),
}
