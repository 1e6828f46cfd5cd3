//! Networks that are not a quiet laboratory, each on namespaces and cables of its own.

mod addresses;
mod air;
mod firewall;
mod sockets;
mod translation;
