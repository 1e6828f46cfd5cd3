//! The two sides of a measurement: the service that receives, and the transport that reaches it.

mod child;
pub(super) mod serve;
pub(super) mod service;
mod subscriber;
pub(super) mod transport;
