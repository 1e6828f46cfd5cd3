//! A gateway between a mesh and the programs of Python's NetworkZero on the same network: each side finds the other's services
//! by name.
//!
//! Services of the mesh are advertised as NetworkZero does it, and its programs connect directly to the endpoints,
//! which speak ZeroMQ as well. For each service that they advertise, this node offers a proxy service.

mod beacon_socket;
mod bridge;
mod command_service;
mod commands;
mod event;
mod external_beacon;
mod gateway;
mod import;
mod task;

pub use self::event::GatewayEvent;
pub use self::gateway::{Gateway, GatewayError};
