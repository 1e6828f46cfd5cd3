//! One direction of a link: a stream of bytes that continues when the connection that carries it is replaced.
//!
//! Every byte after the handshake is numbered. The writing end stores the bytes it has written until the other end has
//! acknowledged them ([`SendStream`], [`Unacked`]); on the next connection the reading end names the byte it needs next, and the
//! stream continues there. So nothing is lost, duplicated or reordered between two running processes, wherever a connection
//! breaks.

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
pub use self::recv::{ACK_BYTES, RecvCounter};
pub use self::send::SendStream;
pub use self::unacked::{InvalidAck, Unacked};
pub use self::write_batch::{SLICES, WriteBatch};

#[cfg(test)]
mod tests;
