//! The mesh as a program sees it that has joined.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context};
use meshzero_actors::diagnose;
use meshzero_actors::diagnosis::{Answering, Diagnosis, Hidden};
use meshzero_actors::home::Gone;
use meshzero_actors::interfaces::Awaited as AwaitedInterface;
use meshzero_actors::node::Node;
use meshzero_actors::offer::Source;
use meshzero_actors::stats::{Stats, Traffic};
use meshzero_actors::unfinished::Abandoned;
use meshzero_proto::directory::Filter;
use meshzero_proto::id::NodeId;
use meshzero_proto::limits::Limits;
use meshzero_proto::name::MeshName;

use crate::advertise::Advertise;
use crate::discover::{Discover, DiscoverAll, DiscoverGroup};
use crate::service::Publisher;
use crate::watch::Watch;

/// A program's membership of a mesh. Cheap to clone, usable from any thread and any executor.
///
/// The program leaves, and says goodbye, when the last clone and the last handle made from it are dropped, or when
/// [`Mesh::close`] has run. A mesh that lives on the arbiter of an actix System ends with that at the latest: what other threads wait
/// for then ends as after `close`, and what they begin later fails at once.
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

    /// This program's identity on the mesh, another one at every start.
    pub fn node(&self) -> NodeId {
        self.node.id()
    }

    /// The bounds that this program keeps, as they were chosen when it joined.
    ///
    /// ```no_run
    /// # fn run(mesh: meshzero::Mesh) {
    /// println!("a message has {} bytes at most", mesh.limits().message_bytes);
    /// # }
    /// ```
    pub fn limits(&self) -> &Limits {
        self.node.limits()
    }

    /// The [interfaces](crate::Join::interfaces) that were chosen and could not be used yet when this program joined: they did not
    /// exist, had no address, or were not connected. It listens, announces and asks there a few seconds after that has changed.
    ///
    /// ```no_run
    /// # fn run(mesh: meshzero::Mesh) {
    /// for interface in mesh.awaited_interfaces() {
    ///     eprintln!("{interface}");
    /// }
    /// # }
    /// ```
    pub fn awaited_interfaces(&self) -> &[AwaitedInterface] {
        self.node.awaited()
    }

    /// How many bytes this program's messages have taken so far, both ways, and how many system calls.
    ///
    /// ```no_run
    /// # fn run(mesh: meshzero::Mesh) {
    /// let traffic = mesh.traffic();
    /// println!("{} bytes in {} writes", traffic.bytes_written, traffic.writes);
    /// # }
    /// ```
    pub fn traffic(&self) -> Traffic {
        self.node.context().carrying.meter.traffic()
    }

    /// What this program has counted since it joined: of each link, each service, and for all of it. Waits for the node's
    /// actors, which takes no longer than a message to any actor.
    ///
    /// # Errors
    /// [`Gone`]: it has left the mesh.
    ///
    /// # Cancel safety
    /// Dropping the future does no harm.
    ///
    /// ```no_run
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::Gone> {
    /// for service in mesh.stats().await?.services {
    ///     println!("{}: {} messages, {} unfinished", service.service, service.messages, service.unfinished);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stats(&self) -> Result<Stats, Gone> {
        self.node.stats().await
    }

    /// Looks for the reason why services whose names begin with `prefix` are not listed: the likeliest cause first, with what to
    /// do about it. Takes a few milliseconds, and 250 at most.
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

    /// Finds out whether the services answer whose names begin with `prefix`, the likeliest cause for each that was announced and
    /// does not, whether or not it is listed, and how many a limit keeps from being listed. Endpoints that have not answered lately are
    /// asked, which takes milliseconds, and a second and a half at most where some do not answer.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    ///
    /// ```no_run
    /// # async fn run(mesh: meshzero::Mesh) {
    /// let answering = mesh.answering("").await;
    /// for silent in &answering.unanswering {
    ///     println!("{}", silent.finding);
    /// }
    /// for instance in mesh.discover_all().await {
    ///     println!("{}: {:?}", instance.service, answering.answers(instance.id));
    /// }
    /// # }
    /// ```
    pub async fn answering(&self, prefix: impl AsRef<str>) -> Answering {
        diagnose::of_answering(self.node.context(), &Filter::Prefix(prefix.as_ref().to_owned())).await
    }

    /// Returns how many services whose names begin with `prefix` are known of, and neither listed nor told to watchers because of a
    /// limit; `None` if there are none, or the mesh has been left. Nobody else is asked.
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
    pub async fn hidden(&self, prefix: impl AsRef<str>) -> Option<Hidden> {
        diagnose::of_hidden(self.node.context(), &Filter::Prefix(prefix.as_ref().to_owned())).await
    }

    /// Advertises an actor that the mesh makes with `factory` and runs; after a panic it makes a new one, unless there are too
    /// many, see [`Advertise::restart`].
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

    /// Advertises an actor that publishes news itself: `factory` is given what to publish with.
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
        Advertise::new(Arc::clone(&self.node), name.as_ref(), Source::Factory(Box::new(prepare)))
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
        Advertise::new(Arc::clone(&self.node), name.as_ref(), Source::Addr(addr))
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

    /// Lists, or listens to, the members of a group: the services whose name begins with `group` and `/`, or another
    /// separator. See [`DiscoverGroup`].
    pub fn discover_group(&self, group: impl AsRef<str>) -> DiscoverGroup {
        DiscoverGroup::new(Arc::clone(&self.node), group.as_ref())
    }

    /// Watches services come, move and go whose name begins with `prefix`; the empty prefix watches all. The first
    /// events tell of those that are there already. See [`Watch`].
    pub fn watch(&self, prefix: impl AsRef<str>) -> Watch {
        Watch::new(Arc::clone(&self.node), Filter::Prefix(prefix.as_ref().to_owned()))
    }

    /// Withdraws all services of this program, finishes what they have accepted, and leaves.
    ///
    /// At first goodbye is said, and new messages are refused as *draining*, so that callers go elsewhere. Then this waits
    /// until all messages that were accepted are handled, their replies have left, and subscribers have what was published:
    /// [`Limits::drain`](crate::Limits::drain) at most, 5 s by default. Handlers may call others meanwhile. Last all
    /// connections end, which takes another half second at most. Afterwards nothing can be advertised and nobody is found.
    ///
    /// Returns what was not finished in time, for each service that left something. A second call returns at once, and
    /// nothing.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the leaving; what was not finished is then told to `tracing` only.
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
    pub async fn close(&self) -> Vec<Abandoned> {
        self.node.leave(self.node.limits().drain).await
    }

    /// As [`Mesh::close`], with another time for what is to be finished than the limits say.
    ///
    /// # Cancel safety
    /// As [`Mesh::close`].
    pub async fn close_within(&self, drain: Duration) -> Vec<Abandoned> {
        self.node.leave(drain).await
    }
}

/// For programs that make the node by themselves, on a network or a clock of their own. Users join.
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
