//! What the project's tests stand on, each file one thing: [`Lan`], a throw-away network of Linux network
//! namespaces; [`Process`], a program whose every answer has a deadline and which never outlives its test;
//! [`eventually`], waiting for a condition; [`Avahi`] and [`zeroconf`], other people's mDNS in such a
//! network; and [`require`], which says aloud what a test skips.
//!
//! Everything here panics with the reason when it cannot do its part, because all its callers are tests.

mod avahi;
mod netns;
mod process;
pub mod require;
mod wait;
pub mod zeroconf;

pub use avahi::Avahi;
pub use netns::{Host, Lan};
pub use process::{Process, binary, example};
pub use wait::eventually;
