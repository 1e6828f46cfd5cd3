//! A publisher that waits for slow subscribers, where by default it drops what they cannot take.

use std::ffi::{c_int, c_void};

use peers_common::Result;
use zmq::Socket;

/// Sets `ZMQ_XPUB_NODROP`, for which the `zmq` crate has no name.
///
/// # Errors
/// The socket is no XPUB.
#[expect(unsafe_code, reason = "the crate offers this option in no other way")]
pub(crate) fn wait_for_subscribers(socket: &mut Socket) -> Result {
    let on: c_int = 1;
    // SAFETY: the pointer to the socket is valid while it is borrowed, and libzmq copies the integer within the call.
    let failed = unsafe {
        zmq_sys::zmq_setsockopt(
            socket.as_mut_ptr(),
            zmq_sys::ZMQ_XPUB_NODROP as c_int,
            (&raw const on).cast::<c_void>(),
            size_of::<c_int>(),
        )
    };
    if failed == 0 { Ok(()) } else { Err("ZMQ_XPUB_NODROP cannot be set".into()) }
}
