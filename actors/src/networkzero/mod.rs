//! A gateway between a mesh and the programs of Python's NetworkZero on the same network: each side finds the other's services
//! by name.
//!
//! What the mesh offers is advertised as NetworkZero does it, and its programs reach the endpoints directly, which speak ZeroMQ
//! as well. What they advertise becomes a service of this node that stands in for theirs.

mod bridge;
mod command_service;
mod commands;
mod event;
mod external_beacon;
mod gateway;
mod import;
mod socket;
mod task;

pub use self::event::GatewayEvent;
pub use self::gateway::{Gateway, GatewayError};
