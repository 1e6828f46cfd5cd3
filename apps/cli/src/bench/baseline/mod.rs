//! The baseline: the same traffic without a mesh, over the same transport and in the same run.
//!
//! `peer` is the server of bare TCP, `ping` measures round trips over it, `calls` many calls at once, `bulk` one-way
//! frames, and `local` a bare actix actor in this process. `frames` is the form of messages over bare TCP, `threads` the
//! runtimes, and `window` the measured time. Packets have the numbers and bytes that they have in the mesh, and the same
//! counter checks them.

pub(super) mod bulk;
pub(super) mod calls;
mod frames;
pub(super) mod local;
mod mode;
mod peer;
pub(super) mod round_trips;
pub(super) mod threads;
mod window;

pub(crate) use peer::BaselineServer;

use std::io;
use std::net::SocketAddr;

use crate::failure::Failure;

fn failed(address: SocketAddr) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::Local(format!("bare TCP with {address}, for the baseline, failed: {error}"))
}

/// Returns the error of packets that were lost or did not arrive as they were sent.
fn not_whole(what: impl std::fmt::Debug) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not everything arrived as it was sent: {what:?}"))
}
