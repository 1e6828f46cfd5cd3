//! Actors that find and call each other over a local network with nothing to configure.
//!
//! A program joins a [`Mesh`], advertises [`actix`] actors under names, and discovers those of others. Any actix message
//! that serde can encode can be sent to them; there is no trait or macro of this crate to derive.
//!
//! # A service
//!
//! [`Mesh::advertise`] takes a factory, because an actor that panics is restarted. [`Mesh::advertise_with`] also gives
//! the factory the [`Publisher`] of the service, for actors that publish news. An item of news is any type that serde can
//! encode.
//!
//! ```no_run
//! use actix::prelude::*;
//! use meshzero::{Mesh, Publisher};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Message, Serialize, Deserialize)]
//! #[rtype(result = "String")]
//! struct Hello(String);
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Greeted {
//!     name: String,
//!     times: u32,
//! }
//!
//! struct Greeter {
//!     news: Publisher,
//!     times: u32,
//! }
//!
//! impl Actor for Greeter {
//!     type Context = Context<Self>;
//! }
//!
//! impl Handler<Hello> for Greeter {
//!     type Result = String;
//!
//!     fn handle(&mut self, Hello(name): Hello, _: &mut Context<Self>) -> String {
//!         self.times += 1;
//!         let item = Greeted { name: name.clone(), times: self.times };
//!         if let Err(error) = self.news.publish("greeted", &item) {
//!             eprintln!("not published: {error}");
//!         }
//!         format!("Hello, {name}!")
//!     }
//! }
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mesh = Mesh::join().await?;
//!     let greeter = mesh
//!         .advertise_with("greeter", |news| Greeter { news, times: 0 })
//!         .handles::<Hello>()
//!         .publishes::<Greeted>("greeted")
//!         .await?;
//!     println!("greeter is at {}", greeter.address());
//!     // The service is withdrawn when `greeter` is dropped.
//!     println!("{}", greeter.ended().await);
//!     Ok(())
//! }
//! ```
//!
//! # A caller
//!
//! [`Mesh::discover`] returns a [`ServiceRef`], which stays usable while instances of the service come and go. In this
//! program or in any other on the network:
//!
//! ```no_run
//! # use actix::prelude::*;
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Message, Serialize, Deserialize)]
//! # #[rtype(result = "String")]
//! # struct Hello(String);
//! # #[derive(Debug, Serialize, Deserialize)]
//! # struct Greeted { name: String, times: u32 }
//! use meshzero::{CallError, Mesh};
//!
//! #[actix::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mesh = Mesh::join().await?;
//!     let greeter = mesh.discover("greeter").await?;
//!     let mut greeted = greeter.subscribe::<Greeted>("greeted").await?;
//!
//!     match greeter.send(Hello("World".into())).await {
//!         Ok(reply) => println!("{reply}"),
//!         // It was certainly not handled: safe to repeat.
//!         Err(error @ CallError::NotSent { .. }) => println!("{error}"),
//!         // No reply in time, or a lost connection: it may have been handled.
//!         Err(error @ CallError::Unknown { .. }) => println!("{error}"),
//!         // The service answered that it has no reply: no such handler, a panic, a full queue.
//!         Err(error @ CallError::Refused { .. }) => println!("{error}"),
//!         // It was handled, and its reply is not a `String`: the programs disagree about the type.
//!         Err(error @ CallError::BadReply { .. }) => println!("{error}"),
//!     }
//!     if let Some(news) = greeted.next().await.transpose()? {
//!         println!("{} has greeted {:?}", news.from, news.item);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Two programs that are built separately put their messages into a crate that both depend on; the example `weather` of the
//! repository is one. The types need not be identical: fields that a `#[serde(default)]` covers may be missing.
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | join, choose a mesh, its interfaces, peers, ports and limits | [`Mesh::join`], [`Join`], [`Limits`] |
//! | offer an actor | [`Mesh::advertise`], [`Advertise`], [`Service`] |
//! | find services, list them, watch them come and go | [`Mesh::discover`], [`Mesh::discover_all`], [`Mesh::discover_group`], [`Mesh::watch`] |
//! | call an actor | [`ServiceRef::send`], [`Request`], [`CallError`] |
//! | publish news, and subscribe to it | [`Mesh::advertise_with`], [`Service::publish`], [`Publisher`], [`ServiceRef::subscribe`], [`Subscription`] |
//! | send and receive without Rust types | [`Value`], [`Advertise::handles_values`], [`Request::named`] |
//! | count what was refused, dropped, retried, restarted and resumed | [`Mesh::stats`], [`ServiceRef::ask_stats`], [`Stats`] |
//! | follow a call through several programs | [`trace`] |
//! | write a program without async or actors | [`zero`] |
//!
//! Everything works under `#[actix::main]`, under `#[tokio::main]`, and in a plain `fn main` with [`block_on`]. Events that no
//! caller sees, such as a refused connection, are recorded with [`tracing`](https://docs.rs/tracing).
//!
//! Nothing is encrypted yet, and everybody on the network can join a mesh: use it on networks that you trust.
//!
//! # Features
//!
//! `prometheus`, off by default: the statistics of a program as text for Prometheus.
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
mod mesh;
pub mod networkzero;
#[cfg(feature = "prometheus")]
pub mod prometheus;
mod recipient;
mod request;
mod service;
mod service_ref;
mod subscribe;
pub mod trace;
pub mod value;
mod watch;
pub mod zero;

pub use advertise::Advertise;
pub use block_on::block_on;
pub use discover::{Discover, DiscoverAll, DiscoverGroup};
pub use error::{
    AdvertiseError, CallError, DiscoverError, JoinError, NewsError, NotFound, PublishError, SubscribeError,
    TrySendError, UnknownReason,
};
pub use join::Join;
pub use mesh::Mesh;
pub use meshzero_actors::client::subscription::feed::FeedError;
pub use meshzero_actors::net::interfaces::{InterfacesError, MissingPart, PendingInterface};
pub use meshzero_actors::net::naming::InvalidAddress;
pub use meshzero_actors::node::StartError;
pub use meshzero_actors::runtime::executor::MeshClosed;
pub use meshzero_actors::server::request::incoming_call::Call;
pub use meshzero_actors::{Handles, NetMessage};
// For `mz`, so that both apply the same rules.
pub use meshzero_actors::net::bind::BindError;
#[doc(hidden)]
pub use meshzero_actors::net::naming;
pub use meshzero_actors::net::zone::ZoneError;
#[doc(hidden)]
pub use meshzero_actors::node::advertise::check_name;
pub use meshzero_actors::server::actor::restart_policy::RestartPolicy;
pub use meshzero_actors::server::drain_report::DrainReport;
pub use meshzero_actors::server::service::ServiceEnd;
pub use meshzero_actors::telemetry::stats::{
    CallCounts, ConnectionCounts, DiscoveryStats, LinkPurpose, LinkStats, LinkTransport, NewsCounts,
    RequestCounts, RouteStats, ServiceStats, Stats, SubscriptionStats, Traffic,
};
pub use meshzero_proto::codec::{Blob, EncodeError, WireType};
pub use meshzero_proto::discovery::directory::{DirectoryEvent as WatchEvent, DownReason, Instance};
pub use meshzero_proto::id::{InstanceId, InvalidId, NodeId};
pub use meshzero_proto::limits::{Limits, MAX_MESSAGE_BYTES};
pub use meshzero_proto::name::{
    DEFAULT_MESH, InvalidName, MAX_NAME_BYTES, MeshName, ServiceName, Topic, TypeName,
};
pub use meshzero_proto::news::{GapReason, Missed};
pub use meshzero_proto::wire::description::{Description, MessageDescription, TopicDescription};
pub use meshzero_proto::wire::refusal::Refusal;
pub use request::{Request, Tell};
pub use service::{Publisher, Service};
pub use service_ref::ServiceRef;
pub use subscribe::{News, Subscribe, SubscribeTo, Subscription, SubscriptionGuard};
pub use value::Value;
pub use watch::Watch;

/// The examples of the README and of `docs/`, which are tested as documentation.
#[cfg(doctest)]
mod documentation {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/guide.md")]
    mod guide {}
    #[doc = include_str!("../docs/blocking.md")]
    mod blocking {}
}
