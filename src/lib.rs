//! Actors that find and call each other over a network with nothing to configure.
//!
//! A program joins a [`Mesh`], advertises [`actix`] actors under names, and discovers those of others. Any actix message
//! that serde knows can be sent to them; there is nothing of ours to derive.
//!
//! ```no_run
//! use actix::prelude::*;
//! use meshzero::Mesh;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Message, Serialize, Deserialize)]
//! #[rtype(result = "String")]
//! struct Hello(String);
//!
//! struct Greeter;
//!
//! impl Actor for Greeter {
//!     type Context = Context<Self>;
//! }
//!
//! impl Handler<Hello> for Greeter {
//!     type Result = String;
//!
//!     fn handle(&mut self, Hello(name): Hello, _: &mut Context<Self>) -> String {
//!         format!("Hello, {name}!")
//!     }
//! }
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mesh = Mesh::join().await?;
//!     let _service = mesh.advertise("greeter", || Greeter).handles::<Hello>().await?;
//!
//!     // In this program or in any other on the network:
//!     let greeter = mesh.discover("greeter").await?;
//!     println!("{}", greeter.send(Hello("mesh".into())).await?);
//!     Ok(())
//! }
//! ```
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | join, choose a mesh, its interfaces, peers, ports and limits | [`Mesh::join`], [`Join`], [`Limits`] |
//! | offer an actor | [`Mesh::advertise`], [`Advertise`], [`Service`] |
//! | find services, list them, watch them come and go | [`Mesh::discover`], [`Mesh::discover_all`], [`Mesh::discover_group`], [`Mesh::watch`] |
//! | call an actor | [`ServiceRef::send`], [`Request`], [`CallError`] |
//! | publish news, and listen to them | [`Service::publish`], [`Publisher`], [`ServiceRef::subscribe`], [`Subscription`] |
//! | send and receive without Rust types | [`Value`], [`Advertise::handles_values`], [`Request::named`] |
//! | see what was refused, dropped, retried, restarted and resumed | [`Mesh::stats`], [`ServiceRef::ask_stats`], [`Stats`] |
//! | see which call caused which, through several programs | [`trace`] |
//! | write a program without async or actors | [`zero`] |
//!
//! Everything works under `#[actix::main]`, under `#[tokio::main]`, and in a plain `fn main` with [`block_on`]. What happens
//! out of sight, such as a connection that is refused, is told to [`tracing`](https://docs.rs/tracing).
//!
//! # Features
//!
//! `prometheus`, off by default: what a program has counted as text for Prometheus.
//!
//! `schemars`, off by default: `Advertise::handles_documented` describes messages with the JSON schemas that schemars
//! derives, and with their documentation.

// A library does not write to its program's output.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod advertise;
mod block_on;
pub mod diagnosis;
mod discover;
mod error;
mod join;
mod listening;
mod mesh;
pub mod networkzero;
#[cfg(feature = "prometheus")]
pub mod prometheus;
mod recipient;
mod request;
mod service;
mod service_ref;
mod subscribe;
mod subscription;
pub mod trace;
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
pub use listening::SubscriptionGuard;
pub use mesh::Mesh;
pub use meshzero_actors::called::Call;
pub use meshzero_actors::feed::FeedError;
pub use meshzero_actors::home::Gone;
pub use meshzero_actors::interfaces::{Awaited as AwaitedInterface, InterfacesError, Lack};
pub use meshzero_actors::naming::InvalidAddress;
pub use meshzero_actors::node::StartError;
pub use meshzero_actors::{Handles, NetMessage};
// For `mz`, so that there is one rule.
#[doc(hidden)]
pub use meshzero_actors::naming;
pub use meshzero_actors::offer::OfferError;
#[doc(hidden)]
pub use meshzero_actors::offer::check_name;
pub use meshzero_actors::place::PlaceError;
pub use meshzero_actors::restart::Restart;
pub use meshzero_actors::service::ServiceEnd;
pub use meshzero_actors::stats::{
    CallCounts, Carries, ConnectionCounts, DiscoveryStats, LinkStats, NewsTotals, RequestCounts, RouteStats,
    ServiceStats, Stats, SubscriptionStats, Traffic,
};
pub use meshzero_actors::unfinished::Abandoned;
pub use meshzero_actors::zone::ZoneError;
pub use meshzero_proto::codec::{Blob, EncodeError, Wire};
pub use meshzero_proto::description::{Description, MessageDescription, TopicDescription};
pub use meshzero_proto::directory::{DirectoryEvent as WatchEvent, Instance, Why};
pub use meshzero_proto::id::{InstanceId, InvalidId, NodeId};
pub use meshzero_proto::limits::{Limits, MAX_MESSAGE_BYTES};
pub use meshzero_proto::name::{
    DEFAULT_MESH, InvalidName, MAX_NAME_BYTES, MeshName, ServiceName, Topic, TypeName,
};
pub use meshzero_proto::news::{GapReason, Missed};
pub use meshzero_proto::refusal::Refusal;
pub use request::{Request, Tell};
pub use service::{Publisher, Service};
pub use service_ref::ServiceRef;
pub use subscribe::{Subscribe, SubscribeTo};
pub use subscription::{News, Subscription};
pub use value::Value;
pub use watch::Watch;
