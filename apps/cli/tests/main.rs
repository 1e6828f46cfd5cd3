//! The command line as its users meet it: real processes, on loopback or in networks of their own.

mod advertise;
mod bad_input;
mod bench;
mod bench_input;
mod bench_page;
mod demo;
mod discover;
mod faults;
#[cfg(target_os = "linux")]
mod field;
mod generated;
#[cfg(target_os = "linux")]
mod hostile;
mod hosts;
mod interop;
mod leaving;
mod lines;
mod namesakes;
mod networkzero;
mod news;
mod numbers;
mod paused;
mod programs;
mod send;
mod signals;
mod stats;
mod support;
mod typed;
