//! Networks that are not a quiet laboratory, each on namespaces and cables of its own.

mod air;
mod firewall;
mod sockets;
