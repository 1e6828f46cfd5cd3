//! What the project's tests stand on, each file one thing: [`Lan`], a throw-away network of Linux network
//! namespaces; [`Metered`], what its hosts send; [`Process`], a program whose every answer has a deadline and which never outlives its test;
//! [`eventually`], waiting for a condition; [`FaultProxy`], a network that cuts, delays, holds up and damages;
//! [`Promises`], which checks whether the mesh keeps its word; [`WallClock`], a clock that jumps; [`Avahi`] and
//! [`zeroconf`], other people's mDNS in such a network; [`python`], programs of that language; and [`require`], which says aloud what a test skips.
//!
//! Everything here panics with the reason when it cannot do its part, because all its callers are tests.

mod avahi;
mod faketime;
mod meter;
mod netns;
mod process;
mod promises;
mod proxy;
pub mod python;
pub mod require;
mod wait;
pub mod zeroconf;

pub use avahi::Avahi;
pub use faketime::WallClock;
pub use meter::Metered;
pub use netns::{Host, Lan};
pub use process::{Process, binary, example};
pub use promises::{Broken, Kind, Links, Outcome, Promises, Record, Tally};
pub use proxy::{Cut, Fault, FaultProxy, Faults, Then, Way};
pub use wait::eventually;
