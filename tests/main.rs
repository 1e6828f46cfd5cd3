//! The tests of the whole mesh, over real sockets and with the public API only.
// Nothing is outside of a test binary, so `pub` is as good as `pub(crate)` and shorter.
#![allow(unreachable_pub)]

// The memory of a process is known on Linux only.
#[cfg(target_os = "linux")]
mod bounds;
mod called;
mod calls;
mod crowd;
mod deadlines;
mod describe;
mod draining;
mod endings;
mod evolution;
mod examples;
mod failures;
mod faults;
mod flow;
mod instances;
mod leaving;
mod limits;
mod logging;
mod mortal;
mod news;
mod pair;
mod pipelines;
mod pressure;
mod retries;
mod stats;
mod supervision;
mod threads;
mod trace;
#[cfg(target_os = "linux")]
mod unix_sockets;
mod zero;
mod zmtp;
