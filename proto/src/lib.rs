//! The pure half of meshzero: bytes and `now` go in, bytes and events come out.
//!
//! Nothing here opens a socket, reads a clock or starts a task, so that every rule of the protocol can be tested
//! with two ends in memory and a clock of the test's own.

// A library does not write to its program's output.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod absence;
pub mod addresses;
pub mod advert;
pub mod buffer;
pub mod calls;
pub mod catalogue;
pub mod codec;
pub mod deadline_queue;
pub mod description;
pub mod diagnosis;
pub mod directory;
pub mod few;
pub mod frame;
pub mod hello;
pub mod id;
pub mod limits;
pub mod name;
pub mod networkzero;
pub mod news;
pub mod outlier;
pub mod peer;
pub mod pieces;
pub mod protocol;
pub mod query;
pub mod refusal;
pub mod retry;
pub mod rounded;
pub mod stall;
pub mod stream;
pub mod trace;
pub mod zmtp;
