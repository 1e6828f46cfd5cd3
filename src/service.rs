//! The handle of a service that this program advertises, and the publisher of its news.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use actix::{Actor, Addr, Context};
use meshzero_actors::net::bind::address_of;
use meshzero_actors::net::bound_addresses::BoundAddresses;
use meshzero_actors::node::Node;
use meshzero_actors::node::advertise::{AdvertisedService, Uniqueness};
use meshzero_actors::server::drain_report::DrainReport;
use meshzero_actors::server::publisher;
use meshzero_actors::server::service::ServiceEnd;
use meshzero_actors::telemetry::stats::{NewsCounts, ServiceStats};
use meshzero_proto::codec::WireType;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::name::ServiceName;

use crate::error::{AdvertiseError, PublishError};

/// An advertised service. It is withdrawn when this is dropped or closed.
///
/// ```no_run
/// # use actix::prelude::*;
/// # struct Weather;
/// # impl Actor for Weather { type Context = Context<Self>; }
/// # async fn run(mesh: meshzero::Mesh) -> Result<(), Box<dyn std::error::Error>> {
/// let weather = mesh.advertise("weather", || Weather).await?;
/// println!("{} is at {}", weather.name(), weather.address());
/// weather.publish("london/temperature", &18.5)?;
/// println!("{} unfinished messages, {} subscribers", weather.unfinished(), weather.publisher().subscribers());
/// weather.close().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "the service is withdrawn when this is dropped"]
pub struct Service<A: Actor<Context = Context<A>>> {
    node: Arc<Node>,
    offered: AdvertisedService<A>,
    publisher: Publisher,
}

impl<A: Actor<Context = Context<A>>> Service<A> {
    pub(crate) fn new(node: Arc<Node>, offered: AdvertisedService<A>) -> Self {
        let publisher = Publisher::new(offered.service.publisher.clone());
        Self { node, offered, publisher }
    }

    /// The service's name; its address as text if it is not listed.
    pub fn name(&self) -> &ServiceName {
        &self.offered.instance.service
    }

    /// The address at which other programs reach the service. As text it can be passed around and used in place of the name. If there
    /// are several, it is the best one at the time of advertising; its IP address is unspecified if no chosen interface had one then.
    pub fn address(&self) -> SocketAddr {
        self.offered.address
    }

    /// The address at which other programs reach the service now: the addresses of this host may have changed since it was
    /// advertised. `None` while this host has no address that other hosts can reach.
    pub fn address_now(&self) -> Option<SocketAddr> {
        let now = address_of(self.bound(), &self.node.config().interfaces).ok();
        now.filter(|now| !now.ip().is_unspecified() && !now.ip().is_loopback())
    }

    /// The instance as other programs see it: its identity, node, name and addresses.
    pub fn instance(&self) -> &Instance {
        &self.offered.instance
    }

    /// The addresses that the endpoint listens at.
    pub(crate) fn bound(&self) -> &BoundAddresses {
        &self.offered.bound
    }

    /// Announces a name for a service that was offered unlisted; fails if it must be the only one and is not.
    pub(crate) async fn announce(&self, name: &ServiceName, only: Uniqueness) -> Result<(), AdvertiseError> {
        self.offered.announce(&self.node, name, only).await
    }

    /// Closes like [`Service::close`], also for a name that was announced later, and without taking the handle.
    pub(crate) async fn withdraw(&self) {
        self.offered.withdraw(&self.node).await;
    }

    /// The actor's address. After a panic the mesh creates a new actor, with a new address.
    pub fn addr(&self) -> Addr<A> {
        self.offered.actor.addr()
    }

    /// Publishes `item` to all subscribers of a prefix of `topic`. Never blocks; each subscription's policy decides what a
    /// slow subscriber misses.
    ///
    /// # Errors
    /// [`PublishError`]; no subscriber has received the item. It is [`PublishError::Full`] while a subscriber that asked to be
    /// [waited for](crate::Subscribe::wait) has no room, or calls of [`publish_all`](Service::publish_all) wait for that room. An
    /// item that nobody subscribed to, and that is not retained, is not encoded, and so does not fail.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # struct Robot;
    /// # impl Actor for Robot { type Context = Context<Self>; }
    /// #[derive(Serialize, Deserialize)]
    /// struct Pose { x: f32, y: f32 }
    ///
    /// # fn run(robot: meshzero::Service<Robot>) -> Result<(), meshzero::PublishError> {
    /// robot.publish("pose/left", &Pose { x: 1.0, y: 0.5 })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish<T: WireType>(&self, topic: impl AsRef<str>, item: &T) -> Result<(), PublishError> {
        self.publisher.publish(topic, item)
    }

    /// Publishes `item` as soon as no subscriber would lose an older item to it: waits for the slowest subscriber to a prefix of
    /// `topic`. It does not wait for subscribers that want only the newest items, nor for one that has taken nothing for
    /// [`Limits::news_patience`](crate::Limits::news_patience), until that has caught up.
    ///
    /// Calls that wait for the same subscribers complete in the order in which they began; one whose future is not polled when there
    /// is room delays the others by 50 ms at most.
    ///
    /// Use this to publish as fast as the subscribers take the items, and [`Service::publish`] where a slow subscriber must not
    /// delay the publisher.
    ///
    /// # Errors
    /// [`PublishError`]; no subscriber has received the item.
    ///
    /// # Cancel safety
    /// This method is cancel safe: a future that is dropped before it has completed publishes nothing.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Robot;
    /// # impl Actor for Robot { type Context = Context<Self>; }
    /// # async fn run(robot: meshzero::Service<Robot>, film: Vec<[u8; 16]>) -> Result<(), meshzero::PublishError> {
    /// for picture in film {
    ///     robot.publish_all("film", &picture).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish_all<T: WireType>(
        &self,
        topic: impl AsRef<str>,
        item: &T,
    ) -> impl Future<Output = Result<(), PublishError>> {
        self.publisher.publish_all(topic, item)
    }

    /// The publisher of the service's news, for an actor or a thread of its own.
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// The number of messages that the service has accepted and not finished: queued, or being handled. At most
    /// [`Limits::mailbox`](crate::Limits::mailbox).
    pub fn unfinished(&self) -> usize {
        self.offered.service.unfinished()
    }

    /// The statistics of the service: messages that arrived over links and those of them that were not handled, connections, news,
    /// and the state of each link.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Weather;
    /// # impl Actor for Weather { type Context = Context<Self>; }
    /// # fn run(weather: meshzero::Service<Weather>) {
    /// let stats = weather.stats();
    /// println!("{} of {} messages expired", stats.requests.expired, stats.messages);
    /// for link in stats.links {
    ///     println!("{} of {} bytes are queued for {}", link.waiting, link.written + link.waiting, link.address);
    /// }
    /// # }
    /// ```
    pub fn stats(&self) -> ServiceStats {
        self.offered.service.stats()
    }

    /// Withdraws the service, and finishes the messages that it has accepted.
    ///
    /// First the service is withdrawn, and new messages are refused as *draining*. Then this waits until all accepted messages are
    /// handled, their replies are sent, and subscribers have received the published items: [`Limits::drain`](crate::Limits::drain)
    /// at most. Then its address is free. Returns a report of the work that was not finished in time, if there is any.
    ///
    /// # Cancel safety
    /// This method is not cancel safe: dropping the future does not stop the closing.
    pub async fn close(self) -> Option<DrainReport> {
        self.offered.close(&self.node).await
    }

    /// The number of times that the actor was restarted after a panic; 0 for an actor that the program runs itself.
    pub fn restarts(&self) -> u64 {
        self.offered.service.restarts()
    }

    /// Waits until the service has ended, for whatever reason, and returns that reason. Only this reports that the actor panicked too
    /// often; other programs just see that the service was withdrawn.
    ///
    /// # Cancel safety
    /// This method is cancel safe, and can be called again.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Camera;
    /// # impl Actor for Camera { type Context = Context<Self>; }
    /// # async fn run(camera: meshzero::Service<Camera>) {
    /// use meshzero::ServiceEnd;
    ///
    /// match camera.ended().await {
    ///     ServiceEnd::GaveUp { panic, .. } => eprintln!("the camera keeps panicking: {panic}"),
    ///     end => println!("the camera has ended: {end}"),
    /// }
    /// # }
    /// ```
    pub async fn ended(&self) -> ServiceEnd {
        let service = &self.offered.service;
        tokio::select! {
            biased;
            () = service.closed() => {}
            // A thread that ends with its node may not have come to close the service.
            () = self.node.shutdown().triggered() => {}
        }
        service.end().cloned().unwrap_or(ServiceEnd::Closed)
    }
}

impl<A: Actor<Context = Context<A>>> fmt::Debug for Service<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", self.name()).field("address", &self.address()).finish()
    }
}

/// A handle that publishes the news of one service. Cheap to clone, usable from any thread. It does not keep the service advertised.
///
/// ```no_run
/// # use std::time::Duration;
/// # use actix::prelude::*;
/// # struct Robot;
/// # impl Actor for Robot { type Context = Context<Self>; }
/// # fn run(robot: &meshzero::Service<Robot>) {
/// let publisher = robot.publisher();
/// std::thread::spawn(move || {
///     let mut beat = 0u64;
///     // Ends when the service is closed.
///     while publisher.publish("heartbeat", &beat).is_ok() {
///         beat += 1;
///         std::thread::sleep(Duration::from_secs(1));
///     }
/// });
/// # }
/// ```
#[derive(Clone)]
pub struct Publisher {
    publisher: publisher::Publisher,
}

impl Publisher {
    pub(crate) fn new(publisher: publisher::Publisher) -> Self {
        Self { publisher }
    }

    /// Publishes `item` to all subscribers of a prefix of `topic`, as [`Service::publish`] does.
    ///
    /// # Errors
    /// [`PublishError`]; no subscriber has received the item.
    pub fn publish<T: WireType>(&self, topic: impl AsRef<str>, item: &T) -> Result<(), PublishError> {
        self.publisher.publish(topic.as_ref(), item)
    }

    /// Publishes `item` as soon as every subscriber has room for it, as [`Service::publish_all`] does.
    ///
    /// # Errors
    /// [`PublishError`]; no subscriber has received the item.
    ///
    /// # Cancel safety
    /// This method is cancel safe: a future that is dropped before it has completed publishes nothing.
    pub fn publish_all<T: WireType>(
        &self,
        topic: impl AsRef<str>,
        item: &T,
    ) -> impl Future<Output = Result<(), PublishError>> {
        self.publisher.publish_all(topic, item)
    }

    /// The number of subscriptions at the moment, whatever their prefix.
    pub fn subscribers(&self) -> usize {
        self.publisher.subscribers()
    }

    /// The totals of the items that the service has published so far: how many were delivered, and how many were missed and why.
    ///
    /// ```no_run
    /// # fn run(publisher: meshzero::Publisher) {
    /// let totals = publisher.totals();
    /// println!("{} published, {} delivered", totals.published, totals.delivered);
    /// println!("{} dropped for slow subscribers", totals.missed.overflow);
    /// # }
    /// ```
    pub fn totals(&self) -> NewsCounts {
        self.publisher.totals()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("subscribers", &self.subscribers()).finish()
    }
}
