//! The command line as its users meet it: real processes, on loopback only, each test on a mesh of its own.

mod advertise;
mod bad_input;
mod demo;
mod discover;
mod generated;
mod leaving;
mod news;
mod send;
mod support;
