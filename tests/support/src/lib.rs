//! The support library of the project's tests, one part a file: [`Lan`], a disposable network of Linux network namespaces;
//! [`Metered`], the traffic of its hosts; [`Process`], a program whose output is awaited with deadlines and which never outlives
//! its test; [`eventually`], waiting for a condition; [`FaultProxy`], a network that cuts, delays, stalls and corrupts;
//! [`Promises`], which checks the mesh's delivery promises; [`WallClock`], a clock that jumps; [`Avahi`] and [`zeroconf`], other
//! people's mDNS in such a network; [`python`], programs of that language; [`shut_down`], which ends connections of a process from outside; and [`require`], which reports the tests that are
//! skipped.
//!
//! Everything here panics with the reason when it fails, because all its callers are tests.

mod avahi;
mod faketime;
mod meter;
mod netns;
mod process;
mod promises;
mod proxy;
pub mod python;
pub mod require;
mod sockets;
mod wait;
pub mod zeroconf;

pub use avahi::Avahi;
pub use faketime::WallClock;
pub use meter::Metered;
pub use netns::{Host, Lan};
pub use process::{Process, binary, example};
pub use promises::{Broken, Kind, Links, Outcome, Promises, Record, Tally};
pub use proxy::{Cut, Direction, Event, Fault, FaultProxy, Faults};
pub use sockets::{Sockets, shut_down};
pub use wait::eventually;
