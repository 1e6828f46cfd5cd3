//! The serving side: an endpoint accepts connections, each becomes a session, and its messages enter the actor of a service.

pub mod actor;
pub(crate) mod admission;
pub(crate) mod describe;
pub(crate) mod drain;
pub mod drain_report;
pub(crate) mod endpoint;
pub(crate) mod handshake;
pub mod publisher;
pub(crate) mod registry;
pub mod request;
pub mod service;
pub(crate) mod session;
pub(crate) mod session_table;
pub(crate) mod zmtp;
