//! What the owner of a gateway is told.

use std::net::SocketAddrV4;

use meshzero_proto::name::ServiceName;

/// Something that has crossed, or does no more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Crossing {
    /// A service of NetworkZero is one of the mesh now.
    Brought {
        /// Its name.
        name: ServiceName,
        /// Where its program listens.
        address: SocketAddrV4,
    },
    /// It is no more.
    TakenBack {
        /// Its name.
        name: ServiceName,
    },
    /// A service of the mesh is advertised to NetworkZero now.
    Announced {
        /// Its name.
        name: String,
        /// Its endpoint.
        address: SocketAddrV4,
    },
    /// It is no more; it is forgotten there within 20 s.
    Unannounced {
        /// Its name.
        name: String,
    },
    /// This process is the beacon of its machine now.
    IsBeacon,
    /// Another process is the beacon of this machine, and is told and asked.
    OtherBeacon,
}
