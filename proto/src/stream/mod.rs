//! One direction of a link: a stream of bytes that goes on when the connection that carries it is replaced.
//!
//! Every byte behind the handshake counts. The writing end keeps what it has written until the other has said that it has
//! it ([`SendStream`], [`Unacked`]); on the next connection the reading end names the byte it wants next, and the stream goes on there. So
//! between two processes that live nothing is lost, doubled or reordered, wherever a connection is cut.

pub mod stall;

mod buffer_pool;
mod chunk;
mod fragments;
mod recv;
mod send;
mod unacked;
mod write_batch;

pub use self::buffer_pool::BufferPool;
pub use self::chunk::Chunk;
pub use self::fragments::PIECE_BYTES;
pub use self::recv::{RecvCounter, TELL_BYTES};
pub use self::send::SendStream;
pub use self::unacked::{InvalidAck, Unacked};
pub use self::write_batch::{SLICES, WriteBatch};

#[cfg(test)]
mod tests;
