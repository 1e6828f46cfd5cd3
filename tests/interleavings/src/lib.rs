//! Data structures that several threads share, under interleavings that the tests choose instead of the operating system.
//!
//! The files are those of the library, compiled once more with shuttle's atomics in place of the standard library's: at each
//! access the test decides which thread continues. A wait that could last forever is reported as a deadlock. The checks are a
//! library, and not tests themselves, because the library's own unit tests would be compiled with them.

mod link;
mod message;
mod net;
mod runtime;
mod server;
mod telemetry;

pub mod requests;
pub mod semaphores;
pub mod send_queues;
