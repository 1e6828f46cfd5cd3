//! The part of `meshzero_actors::server` that several threads share.

pub(crate) mod request;
