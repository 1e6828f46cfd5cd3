//! A program's membership of a mesh, and the way to everything that it can do there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context};
use meshzero_actors::diagnosis::diagnose;
use meshzero_actors::diagnosis::result::{Diagnosis, HiddenServices, Reachability};
use meshzero_actors::net::interfaces::PendingInterface;
use meshzero_actors::node::Node;
use meshzero_actors::node::advertise::ActorSource;
use meshzero_actors::runtime::executor::MeshClosed;
use meshzero_actors::server::drain_report::DrainReport;
use meshzero_actors::telemetry::stats::{Stats, Traffic};
use meshzero_proto::discovery::directory::Filter;
use meshzero_proto::id::NodeId;
use meshzero_proto::limits::Limits;
use meshzero_proto::name::MeshName;

use crate::advertise::Advertise;
use crate::discover::{Discover, DiscoverAll, DiscoverGroup};
use crate::service::Publisher;
use crate::watch::Watch;

/// A program's membership of a mesh. Cheap to clone, usable from any thread and any executor.
///
/// The program leaves the mesh, and notifies the others, when the last clone and the last handle made from it are dropped, or when
/// [`Mesh::close`] has run. A mesh that lives on the arbiter of an actix System ends with that System at the latest: pending
/// operations of other threads then end as after `close`, and new ones fail at once.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let mesh = meshzero::Mesh::join().await?;
/// println!("this is {} of {}", mesh.node(), mesh.name());
/// for instance in mesh.discover_all().await {
///     println!("{} at {:?}", instance.service, instance.address());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Mesh {
    pub(crate) node: Arc<Node>,
}

impl Mesh {
    /// The mesh's name, as it was chosen when this program joined.
    pub fn name(&self) -> &MeshName {
        &self.node.config().mesh
    }

    /// This program's identity on the mesh, a new one at every start.
    pub fn node(&self) -> NodeId {
        self.node.id()
    }

    /// The limits of this program, as they were chosen when it joined.
    ///
    /// ```no_run
    /// # fn run(mesh: meshzero::Mesh) {
    /// println!("a message has {} bytes at most", mesh.limits().message_bytes);
    /// # }
    /// ```
    pub fn limits(&self) -> &Limits {
        self.node.limits()
    }

    /// The [interfaces](crate::Join::interfaces) that were chosen and could not be used yet when this program joined, because they did
    /// not exist, had no address, or were not connected. The program starts to use them a few seconds after that has changed.
    ///
    /// ```no_run
    /// # fn run(mesh: meshzero::Mesh) {
    /// for interface in mesh.pending_interfaces() {
    ///     eprintln!("{interface}");
    /// }
    /// # }
    /// ```
    pub fn pending_interfaces(&self) -> &[PendingInterface] {
        self.node.pending_interfaces()
    }

    /// The bytes that this program has read and written for messages so far, and the system calls for them.
    ///
    /// ```no_run
    /// # fn run(mesh: meshzero::Mesh) {
    /// let traffic = mesh.traffic();
    /// println!("{} bytes in {} writes", traffic.bytes_written, traffic.writes);
    /// # }
    /// ```
    pub fn traffic(&self) -> Traffic {
        self.node.context().link_config.traffic.traffic()
    }

    /// Returns the statistics of this program since it joined: of each link, of each service, and in total. Waits for the node's
    /// actors, which takes no longer than a message to any actor.
    ///
    /// # Errors
    /// [`MeshClosed`] if the program has left the mesh.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    ///
    /// ```no_run
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::MeshClosed> {
    /// for service in mesh.stats().await?.services {
    ///     println!("{}: {} messages, {} unfinished", service.service, service.messages, service.unfinished);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stats(&self) -> Result<Stats, MeshClosed> {
        self.node.stats().await
    }

    /// Diagnoses why services whose names begin with `prefix` are not listed: the likeliest cause first, with a remedy. Takes a few
    /// milliseconds, and 250 at most.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    ///
    /// ```no_run
    /// # async fn run(mesh: meshzero::Mesh) {
    /// if mesh.discover_group("robot").await.is_empty() {
    ///     println!("{}", mesh.diagnose("robot/").await);
    /// }
    /// # }
    /// ```
    pub async fn diagnose(&self, prefix: impl AsRef<str>) -> Diagnosis {
        diagnose::of_list(self.node.context(), &Filter::Prefix(prefix.as_ref().to_owned())).await
    }

    /// Checks whether the services whose names begin with `prefix` answer. The result has the likeliest cause for each announced
    /// service that does not answer, listed or not, and the number of services that a limit keeps from being listed. Probes the
    /// endpoints that have not answered lately, which takes milliseconds, and 1.5 s at most where some do not answer.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    ///
    /// ```no_run
    /// # async fn run(mesh: meshzero::Mesh) {
    /// let answering = mesh.reachability("").await;
    /// for silent in &answering.unreachable {
    ///     println!("{}", silent.finding);
    /// }
    /// for instance in mesh.discover_all().await {
    ///     println!("{}: {:?}", instance.service, answering.answers(instance.id));
    /// }
    /// # }
    /// ```
    pub async fn reachability(&self, prefix: impl AsRef<str>) -> Reachability {
        diagnose::of_answering(self.node.context(), &Filter::Prefix(prefix.as_ref().to_owned())).await
    }

    /// Returns the number of services whose names begin with `prefix` that are known but neither listed nor reported to watchers
    /// because of a limit; `None` if there are none, or if the mesh has been left. Sends nothing to other programs.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    ///
    /// ```no_run
    /// # async fn run(mesh: meshzero::Mesh) {
    /// if let Some(hidden) = mesh.hidden("robot/").await {
    ///     println!("{} more: {}", hidden.services, hidden.finding);
    /// }
    /// # }
    /// ```
    pub async fn hidden(&self, prefix: impl AsRef<str>) -> Option<HiddenServices> {
        diagnose::of_hidden(self.node.context(), &Filter::Prefix(prefix.as_ref().to_owned())).await
    }

    /// Advertises an actor that the mesh creates with `factory` and runs. After a panic the mesh creates a new one, within the
    /// limits of [`Advertise::restart`].
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[rtype(result = "f32")]
    /// # struct Move(f32);
    /// # #[derive(Default)]
    /// # struct Arm { at: f32 }
    /// # impl Actor for Arm { type Context = Context<Self>; }
    /// # impl Handler<Move> for Arm {
    /// #     type Result = f32;
    /// #     fn handle(&mut self, Move(by): Move, _: &mut Context<Self>) -> f32 { self.at += by; self.at }
    /// # }
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// let arm = mesh.advertise("robot/arm", Arm::default).handles::<Move>().await?;
    /// println!("the arm is at {}", arm.address());
    /// # Ok(())
    /// # }
    /// ```
    pub fn advertise<A, F>(&self, name: impl AsRef<str>, mut factory: F) -> Advertise<A>
    where
        A: Actor<Context = Context<A>>,
        F: FnMut() -> A + Send + 'static,
    {
        self.advertise_with(name, move |_| factory())
    }

    /// Advertises an actor that publishes news itself: `factory` is given the service's [`Publisher`].
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use actix::prelude::*;
    /// # use meshzero::Publisher;
    /// struct Clock { news: Publisher }
    ///
    /// impl Actor for Clock {
    ///     type Context = Context<Self>;
    ///
    ///     fn started(&mut self, context: &mut Context<Self>) {
    ///         let mut second = 0u64;
    ///         context.run_interval(Duration::from_secs(1), move |clock, _| {
    ///             second += 1;
    ///             if let Err(error) = clock.news.publish("second", &second) {
    ///                 eprintln!("{error}");
    ///             }
    ///         });
    ///     }
    /// }
    ///
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// let clock = mesh.advertise_with("clock", |news| Clock { news }).publishes::<u64>("second").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn advertise_with<A, F>(&self, name: impl AsRef<str>, mut factory: F) -> Advertise<A>
    where
        A: Actor<Context = Context<A>>,
        F: FnMut(Publisher) -> A + Send + 'static,
    {
        let prepare = |publisher| {
            let publisher = Publisher::new(publisher);
            let make: Box<dyn FnMut() -> A + Send> = Box::new(move || factory(publisher.clone()));
            make
        };
        Advertise::new(Arc::clone(&self.node), name.as_ref(), ActorSource::Factory(Box::new(prepare)))
    }

    /// Advertises an actor that already runs. When it stops, or panics, the service is withdrawn.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # #[rtype(result = "()")]
    /// # struct Log(String);
    /// # struct Journal;
    /// # impl Actor for Journal { type Context = Context<Self>; }
    /// # impl Handler<Log> for Journal {
    /// #     type Result = ();
    /// #     fn handle(&mut self, Log(line): Log, _: &mut Context<Self>) { println!("{line}"); }
    /// # }
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// let journal = Journal.start();
    /// let service = mesh.advertise_addr("journal", journal.clone()).handles::<Log>().await?;
    /// journal.do_send(Log("advertised".into()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn advertise_addr<A>(&self, name: impl AsRef<str>, addr: Addr<A>) -> Advertise<A>
    where
        A: Actor<Context = Context<A>>,
    {
        Advertise::new(Arc::clone(&self.node), name.as_ref(), ActorSource::Addr(addr))
    }

    /// Finds a service by its name, or by a literal `ip:port` or `localhost:port`, and connects to it. See [`Discover`].
    ///
    /// ```no_run
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::DiscoverError> {
    /// let arm = mesh.discover("robot/arm").await?;
    /// let same = mesh.discover("192.168.1.7:9000").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn discover(&self, name: impl AsRef<str>) -> Discover {
        Discover::new(Arc::clone(&self.node), name.as_ref())
    }

    /// Lists all services of the mesh, one [`Instance`](crate::Instance) for each. See [`DiscoverAll`].
    pub fn discover_all(&self) -> DiscoverAll {
        DiscoverAll::new(Arc::clone(&self.node))
    }

    /// Lists the members of a group, or subscribes to them: the services whose names begin with `group` and `/`, or another
    /// separator. See [`DiscoverGroup`].
    pub fn discover_group(&self, group: impl AsRef<str>) -> DiscoverGroup {
        DiscoverGroup::new(Arc::clone(&self.node), group.as_ref())
    }

    /// Watches the services whose names begin with `prefix` come, move and go; the empty prefix watches all. The first events
    /// report the services that are there already. See [`Watch`].
    pub fn watch(&self, prefix: impl AsRef<str>) -> Watch {
        Watch::new(Arc::clone(&self.node), Filter::Prefix(prefix.as_ref().to_owned()))
    }

    /// Withdraws all services of this program, finishes the messages that they have accepted, and leaves the mesh.
    ///
    /// First the services are withdrawn, and new messages are refused as *draining*, so that callers use other instances. Then this
    /// waits until all accepted messages are handled, their replies are sent, and subscribers have received the published items:
    /// [`Limits::drain`](crate::Limits::drain) at most, 5 s by default. Handlers can still call other services. Last, all
    /// connections are closed, which takes another half second at most. Afterwards nothing can be advertised or discovered.
    ///
    /// Returns a report of unfinished work for each service that has any. A second call returns at once, with nothing.
    ///
    /// # Cancel safety
    /// This method is not cancel safe: dropping the future does not stop the closing; unfinished work is then only logged.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let mesh = meshzero::Mesh::join().await?;
    /// // ...
    /// for abandoned in mesh.close().await {
    ///     eprintln!("not finished in time: {abandoned}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&self) -> Vec<DrainReport> {
        self.node.leave(self.node.limits().drain).await
    }

    /// Closes like [`Mesh::close`], with `drain` in place of [`Limits::drain`](crate::Limits::drain).
    ///
    /// # Cancel safety
    /// This method is not cancel safe, as [`Mesh::close`] is not.
    pub async fn close_within(&self, drain: Duration) -> Vec<DrainReport> {
        self.node.leave(drain).await
    }
}

/// For programs that start the node themselves, on a network or with a clock of their own. Others call [`Mesh::join`].
#[doc(hidden)]
impl From<Arc<Node>> for Mesh {
    fn from(node: Arc<Node>) -> Self {
        Self { node }
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh").field("name", self.name()).field("node", &self.node()).finish()
    }
}
