//! ZMTP, the protocol of ZeroMQ sockets: bytes in, events out, and the bytes to answer with.
//!
//! Versions 3.0 and 3.1, [RFC 23](https://rfc.zeromq.org/spec/23/) and [RFC 37](https://rfc.zeromq.org/spec/37/), with the NULL
//! mechanism. Both ends send a greeting, then a READY command with their socket types, and then messages of one or more frames.

mod command;
mod conversation;
mod envelope;
mod frame;
mod greeting;

pub use command::{SocketType, write_error, write_pong, write_ready, write_subscription};
pub use conversation::{ZmtpError, ZmtpEvent, ZmtpMachine};
pub use envelope::{Envelope, split_envelope};
pub use frame::write_message;
pub use greeting::greeting;

/// The first byte of a greeting.
pub const FIRST_BYTE: u8 = greeting::SIGNATURE[0];

#[cfg(test)]
mod tests;
