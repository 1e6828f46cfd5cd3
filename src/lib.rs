//! Actors that find and call each other over a network with nothing to configure.

// A library does not write to its program's output.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod advertise;
mod block_on;
mod discover;
mod error;
mod join;
mod mesh;
mod recipient;
mod request;
mod service;
mod service_ref;
mod subscription;
pub mod value;
mod watch;
pub mod zero;

pub use advertise::Advertise;
pub use block_on::block_on;
pub use discover::{Discover, DiscoverAll, DiscoverGroup};
pub use error::{
    AdvertiseError, CallError, DiscoverError, JoinError, NewsError, NotFound, PublishError, SubscribeError,
    TrySendError, Uncertain,
};
pub use join::Join;
pub use mesh::Mesh;
pub use meshzero_actors::NetMessage;
pub use meshzero_actors::offer::OfferError;
pub use meshzero_actors::place::PlaceError;
pub use meshzero_proto::codec::Wire;
pub use meshzero_proto::description::{Description, MessageDescription, TopicDescription};
pub use meshzero_proto::directory::{DirectoryEvent as WatchEvent, Instance, Why};
pub use meshzero_proto::id::{InstanceId, NodeId};
pub use meshzero_proto::limits::Limits;
pub use meshzero_proto::name::{InvalidName, MeshName, ServiceName, Topic, TypeName};
pub use meshzero_proto::refusal::Refusal;
pub use request::Request;
pub use service::{Publisher, Service};
pub use service_ref::ServiceRef;
pub use subscription::{News, Subscribe, SubscribeTo, Subscription, SubscriptionGuard};
pub use value::Value;
pub use watch::Watch;
