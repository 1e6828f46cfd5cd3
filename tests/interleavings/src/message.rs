//! The part of `meshzero_actors::message` that the send queue needs.

#[path = "../../../actors/src/message/turn.rs"]
pub(crate) mod turn;
#[path = "../../../actors/src/message/written.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library uses more of it than is checked here")]
pub(crate) mod written;
