//! One direction of a link: a stream of bytes that goes on when the connection that carries it is replaced.
//!
//! Every byte behind the handshake counts. The writing end keeps what it has written until the other has said that it has
//! it ([`Outflow`], [`Sent`]); on the next connection the reading end names the byte it wants next, and the stream goes on there. So
//! between two processes that live nothing is lost, doubled or reordered, wherever a connection is cut.

pub mod stall;

mod bulk;
mod outflow;
mod outgoing;
mod piece;
mod received;
mod sent;
mod spares;

pub use self::bulk::PIECE_BYTES;
pub use self::outflow::Outflow;
pub use self::outgoing::{Outgoing, SLICES};
pub use self::piece::Piece;
pub use self::received::{Received, TELL_BYTES};
pub use self::sent::{NotThere, Sent};
pub use self::spares::Spares;

#[cfg(test)]
mod tests;
