//! The part of `meshzero_actors::link` that several threads share.

#[path = "../../../actors/src/link/send_queue/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the library uses more of it than is checked here"
)]
pub(crate) mod send_queue;
