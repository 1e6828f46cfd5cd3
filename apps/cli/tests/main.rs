//! The command line as its users meet it: real processes, on loopback or in networks of their own.

mod hosts;
mod interop;
