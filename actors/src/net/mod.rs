//! The operating system's network: interfaces, addresses, sockets, listeners and connections, and the networks that can replace
//! it.

pub mod bind;
pub mod bound_addresses;
pub mod connection;
pub(crate) mod host;
pub(crate) mod ingress;
pub mod interfaces;
pub mod listeners;
pub mod naming;
pub mod network;
pub(crate) mod resolve;
pub(crate) mod socket;
pub mod system_listener;
#[cfg_attr(not(unix), path = "unix_sockets_absent.rs")]
pub(crate) mod unix_sockets;
pub mod zone;
