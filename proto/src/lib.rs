//! The sans-I/O half of meshzero: bytes and `now` go in, bytes and events come out.
//!
//! Nothing here opens a socket, reads a clock or starts a task, so that every rule of the protocol can be tested
//! with two ends in memory and a clock of the test's own.

// A library does not write to its program's output.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod buffer;
pub mod call;
pub mod codec;
pub mod diagnosis;
pub mod discovery;
pub mod id;
pub mod limits;
pub mod name;
pub mod networkzero;
pub mod news;
pub mod rounded;
pub mod shortened;
pub mod stream;
pub mod trace;
pub mod wire;
pub mod zmtp;
