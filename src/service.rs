//! A service that this program advertises.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use actix::{Actor, Addr, Context};
use meshzero_actors::bound::Bound;
use meshzero_actors::node::Node;
use meshzero_actors::offer::{Offered, Only};
use meshzero_actors::place::address_of;
use meshzero_actors::publisher;
use meshzero_actors::service::ServiceEnd;
use meshzero_actors::stats::{NewsTotals, ServiceStats};
use meshzero_actors::unfinished::Abandoned;
use meshzero_proto::codec::Wire;
use meshzero_proto::directory::Instance;
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
/// println!("{} messages are unfinished, {} subscribe", weather.unfinished(), weather.publisher().subscribers());
/// weather.close().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "the service is withdrawn when this is dropped"]
pub struct Service<A: Actor<Context = Context<A>>> {
    node: Arc<Node>,
    offered: Offered<A>,
    publisher: Publisher,
}

impl<A: Actor<Context = Context<A>>> Service<A> {
    pub(crate) fn new(node: Arc<Node>, offered: Offered<A>) -> Self {
        let publisher = Publisher::new(offered.service.publisher.clone());
        Self { node, offered, publisher }
    }

    /// The service's name; its address as text if it is not listed.
    pub fn name(&self) -> &ServiceName {
        &self.offered.instance.service
    }

    /// The address at which others reach it. Written as text it can be passed around, and used in place of the name. Of several
    /// addresses it is the best one at the time of advertising; its IP address is unspecified if no chosen interface had one then.
    pub fn address(&self) -> SocketAddr {
        self.offered.address
    }

    /// The address at which others reach it now: this host may have got others since the service was advertised. `None` while this
    /// host has none that leads to others.
    pub fn address_now(&self) -> Option<SocketAddr> {
        let now = address_of(self.bound(), &self.node.config().interfaces).ok();
        now.filter(|now| !now.ip().is_unspecified() && !now.ip().is_loopback())
    }

    /// The instance as others see it: its identity, its node, its name and its addresses.
    pub fn instance(&self) -> &Instance {
        &self.offered.instance
    }

    /// The addresses that the endpoint listens at.
    pub(crate) fn bound(&self) -> &Bound {
        &self.offered.bound
    }

    /// Announces a name for a service that was offered unlisted, or fails if it must be the only one and is not.
    pub(crate) async fn announce(&self, name: &ServiceName, only: Only) -> Result<(), AdvertiseError> {
        Ok(self.offered.announce(&self.node, name, only).await?)
    }

    /// As [`Service::close`], also for a name that was announced later.
    pub(crate) async fn withdraw(&self) {
        self.offered.withdraw(&self.node).await;
    }

    /// The actor's address. After a panic the mesh has made a new actor with a new address.
    pub fn addr(&self) -> Addr<A> {
        self.offered.host.addr()
    }

    /// Publishes `item` to everybody who subscribed to a prefix of `topic`. Never waits: what a slow subscriber misses
    /// is its own policy's affair.
    ///
    /// # Errors
    /// [`PublishError`]; nobody has received the item. It is [`PublishError::Full`] while a subscriber has no room that asked
    /// to be [waited for](crate::Subscribe::wait), or calls of [`publish_all`](Service::publish_all) wait for that room. An item
    /// that nobody subscribed to, and that is not retained, is not encoded, and so does not fail.
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
    pub fn publish<T: Wire>(&self, topic: impl AsRef<str>, item: &T) -> Result<(), PublishError> {
        self.publisher.publish(topic, item)
    }

    /// Publishes `item` as soon as nobody misses an older one for it: it waits for the slowest of those who subscribed to a
    /// prefix of `topic`. Those who want the newest items only are not waited for, nor is, until it has caught up, one who has
    /// taken nothing for as long as [`Limits::news_patience`](crate::Limits::news_patience).
    ///
    /// Of several calls that wait for the same subscribers, whichever began first is first; one whose future is not polled when there is
    /// room holds up the others for 50 ms at most.
    ///
    /// This is the way to publish as fast as it is taken. What must not be held up by a slow subscriber is published with
    /// [`Service::publish`].
    ///
    /// # Errors
    /// [`PublishError`]; nobody has received the item.
    ///
    /// # Cancel safety
    /// Dropping the future before it has ended publishes nothing.
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
    pub async fn publish_all<T: Wire>(&self, topic: impl AsRef<str>, item: &T) -> Result<(), PublishError> {
        self.publisher.publish_all(topic, item).await
    }

    /// What to publish with, for an actor or a thread of its own.
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// How many messages the service has taken and not finished: those that wait, and those being handled. At most
    /// [`Limits::mailbox`](crate::Limits::mailbox).
    pub fn unfinished(&self) -> usize {
        self.offered.service.unfinished()
    }

    /// What the service has counted: messages that came over links and those of them that were not handled, connections,
    /// news, and how each link is now.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Weather;
    /// # impl Actor for Weather { type Context = Context<Self>; }
    /// # fn run(weather: meshzero::Service<Weather>) {
    /// let stats = weather.stats();
    /// println!("{} of {} messages came to nothing in time", stats.requests.expired, stats.messages);
    /// for link in stats.links {
    ///     println!("{} of {} bytes wait for {}", link.waiting, link.written + link.waiting, link.address);
    /// }
    /// # }
    /// ```
    pub fn stats(&self) -> ServiceStats {
        self.offered.service.stats()
    }

    /// Withdraws the service, and finishes what it has accepted.
    ///
    /// At first goodbye is said, and new messages are refused as *draining*. Then this waits until all messages that were
    /// accepted are handled, their replies have left, and subscribers have what was published:
    /// [`Limits::drain`](crate::Limits::drain) at most. Its address is free then. Returns what was not finished in time, if
    /// anything was left.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the closing.
    pub async fn close(self) -> Option<Abandoned> {
        self.offered.close(&self.node).await
    }

    /// How often the actor was made anew after a panic; 0 for an actor that the program runs.
    pub fn restarts(&self) -> u64 {
        self.offered.service.restarts()
    }

    /// Waits until the service has ended, whoever ended it, and says why. That it panicked too often is known here only:
    /// others see it withdrawn.
    ///
    /// # Cancel safety
    /// Loses nothing; it can be asked again.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Camera;
    /// # impl Actor for Camera { type Context = Context<Self>; }
    /// # async fn run(camera: meshzero::Service<Camera>) {
    /// use meshzero::ServiceEnd;
    ///
    /// match camera.ended().await {
    ///     ServiceEnd::GaveUp { panic, .. } => eprintln!("the camera needs a person: {panic}"),
    ///     end => println!("the camera is no longer offered: {end}"),
    /// }
    /// # }
    /// ```
    pub async fn ended(&self) -> ServiceEnd {
        let service = &self.offered.service;
        tokio::select! {
            biased;
            () = service.closed() => {}
            // A thread that ends with its node may not have come to close the service.
            () = self.node.ending().come() => {}
        }
        service.end().cloned().unwrap_or(ServiceEnd::Closed)
    }
}

impl<A: Actor<Context = Context<A>>> fmt::Debug for Service<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", self.name()).field("address", &self.address()).finish()
    }
}

/// Publishes the news of one service. Cheap to clone, usable from any thread. It does not keep the service advertised.
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

    /// Publishes `item` to everybody who subscribed to a prefix of `topic`, as [`Service::publish`].
    ///
    /// # Errors
    /// [`PublishError`]; nobody has received the item.
    pub fn publish<T: Wire>(&self, topic: impl AsRef<str>, item: &T) -> Result<(), PublishError> {
        self.publisher.publish(topic.as_ref(), item)
    }

    /// Publishes `item` as soon as every subscriber has room for it, as [`Service::publish_all`].
    ///
    /// # Errors
    /// [`PublishError`]; nobody has received the item.
    ///
    /// # Cancel safety
    /// Dropping the future before it has ended publishes nothing.
    pub async fn publish_all<T: Wire>(&self, topic: impl AsRef<str>, item: &T) -> Result<(), PublishError> {
        self.publisher.publish_all(topic.as_ref(), item).await
    }

    /// How many subscriptions there are at the moment, whatever their prefix.
    pub fn subscribers(&self) -> usize {
        self.publisher.subscribers()
    }

    /// What became of what the service has published so far: how much was delivered, and how much was missed and why.
    ///
    /// ```no_run
    /// # fn run(publisher: meshzero::Publisher) {
    /// let totals = publisher.totals();
    /// println!("{} published, {} delivered", totals.published, totals.delivered);
    /// println!("{} dropped for slow subscribers", totals.missed.overflow);
    /// # }
    /// ```
    pub fn totals(&self) -> NewsTotals {
        self.publisher.totals()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("subscribers", &self.subscribers()).finish()
    }
}
