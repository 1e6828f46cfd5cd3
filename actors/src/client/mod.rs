//! The calling side: calls and tells over links to instances, and subscriptions.

pub(crate) mod attempt;
pub mod call;
pub mod caller;
pub mod error;
pub(crate) mod fair_queue;
pub(crate) mod follow;
pub mod introspect;
pub(crate) mod link;
pub(crate) mod offload;
pub(crate) mod retry;
pub mod route;
pub mod subscription;
pub mod tell;
