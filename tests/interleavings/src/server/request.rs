//! The part of `meshzero_actors::server::request` that several threads share.

#[path = "../../../../actors/src/server/request/pending.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library uses more of it than is checked here")]
pub(crate) mod pending;
