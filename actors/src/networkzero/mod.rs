//! A gateway between a mesh and the programs of Python's NetworkZero on the same network: each side finds the other's services
//! by name.
//!
//! What the mesh offers is advertised as NetworkZero does it, and its programs reach the endpoints directly, which speak ZeroMQ
//! as well. What they advertise becomes a service of this node that stands in for theirs.

mod air;
mod clerk;
mod crossing;
mod gateway;
mod import;
mod orders;
mod other_beacon;
mod sides;
mod working;

pub use self::crossing::Crossing;
pub use self::gateway::{Gateway, GatewayError};
