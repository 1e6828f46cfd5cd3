//! The builder of an advertised service: its actor, messages, topics and address.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use actix::{Actor, ArbiterHandle, Context};
use meshzero_actors::Handles;
use meshzero_actors::NetMessage;
#[cfg(feature = "schemars")]
use meshzero_actors::server::actor::handler::DocumentedSchema;
use meshzero_actors::server::actor::handler::Registration;
use meshzero_actors::server::request::incoming_call::Call;

use meshzero_actors::net::bind::BindAddress;
use meshzero_actors::node::Node;
use meshzero_actors::node::advertise::{self, ActorSource, DeclaredTopic, ServiceSpec, Uniqueness};
use meshzero_actors::server::actor::restart_policy::RestartPolicy;
use meshzero_proto::codec::{TypeInfo, WireType, type_info};
use meshzero_proto::name::{ServiceName, Topic, TypeName};

use crate::error::AdvertiseError;
use crate::service::Service;
use crate::value::Value;

/// A builder of an advertised service. The service is announced when this is awaited; the messages that it handles are fixed then.
///
/// Awaiting it waits until the actor is created, its endpoint listens and the announcement has begun, but not until other programs
/// have received it.
///
/// # Errors
/// [`AdvertiseError`]: a name, address or topic that is not valid, an address in use, two messages with one name, a factory that panics,
/// or a mesh that has been left. Nothing is left behind.
///
/// # Cancel safety
/// This future is not cancel safe: dropping it may leave the service advertised until the mesh is left.
///
/// ```no_run
/// # use actix::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Message, Serialize, Deserialize)]
/// # #[rtype(result = "()")]
/// # struct Move(f32);
/// # #[derive(Message, Serialize, Deserialize)]
/// # #[rtype(result = "()")]
/// # struct Stop;
/// # #[derive(Default)]
/// # struct Arm;
/// # impl Actor for Arm { type Context = Context<Self>; }
/// # impl Handler<Move> for Arm { type Result = (); fn handle(&mut self, _: Move, _: &mut Context<Self>) {} }
/// # impl Handler<Stop> for Arm { type Result = (); fn handle(&mut self, _: Stop, _: &mut Context<Self>) {} }
/// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::AdvertiseError> {
/// let arm = mesh
///     .advertise("robot/arm", Arm::default)
///     .handles::<Move>()
///     .handles::<Stop>()
///     .publishes::<(f32, f32)>("pose")
///     .retains("pose")
///     .at("192.168.*")
///     .fail_if_exists()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a service is advertised when this is awaited"]
pub struct Advertise<A: Actor> {
    node: Arc<Node>,
    offer: Result<ServiceSpec<A>, AdvertiseError>,
}

impl<A: Actor<Context = Context<A>>> Advertise<A> {
    pub(crate) fn new(node: Arc<Node>, name: &str, source: ActorSource<A>) -> Self {
        let offer = ServiceName::new(name).map_err(AdvertiseError::Name).map(|name| ServiceSpec {
            name: Some(name),
            source,
            handlers: Vec::new(),
            bind: BindAddress::default(),
            arbiter: None,
            uniqueness: Uniqueness::OneOfMany,
            topics: Vec::new(),
            restart: RestartPolicy::default(),
        });
        Self { node, offer }
    }

    /// Registers the handler of messages of type `M`, under the type's own name without its module: `arm::Move` is `Move`.
    pub fn handles<M: NetMessage>(self) -> Self
    where
        A: Handles<M>,
    {
        self.handles_as::<M>(type_info::<M>().name())
    }

    /// Registers the handler of messages of type `M` under `name`, for two types of one name, or for a name that stays the same when
    /// the type's name changes. Callers use [`Request::named`](crate::Request::named).
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// mod arm {
    /// #   use actix::prelude::*;
    /// #   use serde::{Deserialize, Serialize};
    ///     #[derive(Message, Serialize, Deserialize)]
    ///     #[rtype(result = "()")]
    ///     pub struct Move(pub f32);
    /// }
    /// mod base {
    /// #   use actix::prelude::*;
    /// #   use serde::{Deserialize, Serialize};
    ///     #[derive(Message, Serialize, Deserialize)]
    ///     #[rtype(result = "()")]
    ///     pub struct Move(pub [f32; 2]);
    /// }
    /// # struct Robot;
    /// # impl Actor for Robot { type Context = Context<Self>; }
    /// # impl Handler<arm::Move> for Robot { type Result = (); fn handle(&mut self, _: arm::Move, _: &mut Context<Self>) {} }
    /// # impl Handler<base::Move> for Robot { type Result = (); fn handle(&mut self, _: base::Move, _: &mut Context<Self>) {} }
    ///
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// let service = mesh
    ///     .advertise("robot", || Robot)
    ///     .handles::<arm::Move>()
    ///     .handles_as::<base::Move>("drive")
    ///     .await?;
    /// let robot = mesh.discover("robot").await?;
    /// robot.send(base::Move([1.0, 0.5])).named("drive").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn handles_as<M: NetMessage>(self, name: impl AsRef<str>) -> Self
    where
        A: Handles<M>,
    {
        self.change(|offer| {
            offer.handlers.push(Registration::new::<M>(TypeName::new(name)?));
            Ok(())
        })
    }

    /// Registers a handler like [`Advertise::handles`], and describes the message and its reply with the JSON schemas that schemars
    /// derives: with documentation and constraints, which the shape of a type does not have.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// /// Moves the arm.
    /// #[derive(Message, Serialize, Deserialize, schemars::JsonSchema)]
    /// #[rtype(result = "()")]
    /// struct Move {
    ///     /// Metres per second.
    ///     speed: f32,
    /// }
    /// # struct Arm;
    /// # impl Actor for Arm { type Context = Context<Self>; }
    /// # impl Handler<Move> for Arm { type Result = (); fn handle(&mut self, _: Move, _: &mut Context<Self>) {} }
    ///
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::AdvertiseError> {
    /// let arm = mesh.advertise("robot/arm", || Arm).handles_documented::<Move>().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "schemars")]
    pub fn handles_documented<M>(self) -> Self
    where
        A: Handles<M>,
        M: NetMessage<Result: schemars::JsonSchema> + schemars::JsonSchema,
    {
        self.change(|offer| {
            let name = TypeName::new(type_info::<M>().name())?;
            let message = schemars::schema_for!(M).to_value();
            let reply = schemars::schema_for!(M::Result).to_value();
            offer.handlers.push(Registration::new::<M>(name).documented(DocumentedSchema { message, reply }));
            Ok(())
        })
    }

    /// Registers the handler of messages without a Rust type, which arrive as [`Value`]s: all that callers send as `Value` and not
    /// under another name.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use meshzero::Value;
    /// # struct Echo;
    /// # impl Actor for Echo { type Context = Context<Self>; }
    /// # impl Handler<Value> for Echo {
    /// #     type Result = Value;
    /// #     fn handle(&mut self, message: Value, _: &mut Context<Self>) -> Value { message }
    /// # }
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// let service = mesh.advertise("echo", || Echo).handles_values().await?;
    /// let reply = mesh.discover("echo").await?.send(Value::from("hello")).await?;
    /// assert_eq!(reply, Value::from("hello"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn handles_values(self) -> Self
    where
        A: Handles<Value>,
    {
        self.handles::<Value>()
    }

    /// Registers the handler of messages of type `M` as [`Call`]s. A [`Call`] is a message with its reply handle, for an actor that
    /// replies later or from elsewhere, reports why it cannot reply, or checks whether the caller still waits.
    ///
    /// Use it for a service that hands out results as they become available, or passes them through other actors; for most others a
    /// [`ResponseFuture`](actix::ResponseFuture) is simpler. A reply of the type `Result` is a reply like any other: only
    /// [`Call::fail`] reports a failure to the caller. Callers in this process are served like all others, so the message is encoded.
    /// Work that continues after the handler has returned does not automatically belong to the [trace](crate::trace) of the message:
    /// see [`Call::trace`].
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # use meshzero::{Call, Value};
    /// # struct Clerk;
    /// # impl Actor for Clerk { type Context = Context<Self>; }
    /// impl Handler<Call<Value>> for Clerk {
    ///     type Result = ();
    ///
    ///     fn handle(&mut self, call: Call<Value>, _: &mut Context<Self>) {
    ///         match call.message().as_u64() {
    ///             Some(number) => call.reply(&Value::from(number + 1)),
    ///             None => call.fail("only numbers are counted"),
    ///         }
    ///     }
    /// }
    ///
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::AdvertiseError> {
    /// let clerk = mesh.advertise("clerk", || Clerk).handles_calls::<Value>().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn handles_calls<M: NetMessage>(self) -> Self
    where
        A: Handles<Call<M>>,
    {
        self.change(|offer| {
            offer.handlers.push(Registration::calls::<M>(TypeName::new(type_info::<M>().name())?));
            Ok(())
        })
    }

    /// Sets the address to listen at. Default: every interface, at a free port. It is a port (`"9000"`), an address
    /// (`"192.168.1.7"`), a pattern (`"192.168.*"`) or a host name (`"localhost"`), the last three also with a port
    /// (`"192.168.1.7:9000"`).
    pub fn at(self, address: impl AsRef<str>) -> Self {
        self.change(|offer| {
            offer.bind = address.as_ref().parse().map_err(AdvertiseError::Bind)?;
            Ok(())
        })
    }

    /// Fails with [`AdvertiseError::Exists`] if the name is advertised already, after a search of 0.6 s. Two
    /// programs that start at the same moment may both succeed.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Referee;
    /// # impl Actor for Referee { type Context = Context<Self>; }
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::AdvertiseError> {
    /// use meshzero::AdvertiseError;
    ///
    /// match mesh.advertise("referee", || Referee).fail_if_exists().await {
    ///     Err(AdvertiseError::Exists { address, .. }) => println!("there is one at {address}"),
    ///     referee => {
    ///         let referee = referee?;
    ///         println!("this one is it, at {}", referee.address());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn fail_if_exists(self) -> Self {
        self.change(|offer| {
            offer.uniqueness = Uniqueness::One;
            Ok(())
        })
    }

    /// Retains the last item of a topic for later subscribers, who receive it first. The topic is the whole one, not a prefix. At most
    /// [`Limits::topics`](crate::Limits::topics) topics are retained.
    pub fn retains(self, topic: impl AsRef<str>) -> Self {
        self.declare(topic.as_ref(), None, true)
    }

    /// Declares a topic and the type of its items, so that the service's description has it before anything is published. Items can be
    /// published on any topic, declared or not.
    pub fn publishes<T: WireType>(self, topic: impl AsRef<str>) -> Self {
        self.declare(topic.as_ref(), Some(type_info::<T>()), false)
    }

    /// Leaves the service unannounced: it is reached by its address only.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Game;
    /// # impl Actor for Game { type Context = Context<Self>; }
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// let game = mesh.advertise("game", || Game).unlisted().await?;
    /// // In a program that has received the address:
    /// let game = mesh.discover(game.address().to_string()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn unlisted(self) -> Self {
        self.change(|offer| {
            offer.name = None;
            Ok(())
        })
    }

    /// Runs the actor and its connections on the given arbiter instead of the mesh's thread, for a service that should have a core to
    /// itself. Calls from this process then cross threads, which takes longer. An actor that runs already stays on its own arbiter,
    /// where its connections should be as well.
    ///
    /// When the arbiter stops, so does the service.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Camera;
    /// # impl Actor for Camera { type Context = Context<Self>; }
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::AdvertiseError> {
    /// let arbiter = Arbiter::new();
    /// let camera = mesh.advertise("camera", || Camera).on(&arbiter.handle()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on(self, arbiter: &ArbiterHandle) -> Self {
        self.change(|offer| {
            offer.arbiter = Some(arbiter.clone());
            Ok(())
        })
    }

    /// Sets the restart policy for an actor that panics. By default it is restarted up to ten times within a minute, and one more panic
    /// ends the service, see [`Service::ended`]. An actor that the program runs itself is not restarted.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Camera;
    /// # impl Actor for Camera { type Context = Context<Self>; }
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::AdvertiseError> {
    /// use std::time::Duration;
    ///
    /// use meshzero::RestartPolicy;
    ///
    /// let restart = RestartPolicy::Limited { restarts: 3, within: Duration::from_secs(3_600) };
    /// let camera = mesh.advertise("camera", || Camera).restart(restart).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn restart(self, restart: RestartPolicy) -> Self {
        self.change(|offer| {
            offer.restart = restart;
            Ok(())
        })
    }

    fn declare(self, topic: &str, item: Option<&'static TypeInfo>, retains: bool) -> Self {
        self.change(|offer| {
            offer.topics.push(DeclaredTopic { topic: Topic::new(topic)?, item, retains });
            Ok(())
        })
    }

    pub(crate) fn change(
        mut self,
        change: impl FnOnce(&mut ServiceSpec<A>) -> Result<(), AdvertiseError>,
    ) -> Self {
        self.offer = self.offer.and_then(|mut offer| {
            change(&mut offer)?;
            Ok(offer)
        });
        self
    }
}

impl<A: Actor<Context = Context<A>>> IntoFuture for Advertise<A> {
    type Output = Result<Service<A>, AdvertiseError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let offered = advertise::advertise(&self.node, self.offer?).await?;
            Ok(Service::new(self.node, offered))
        })
    }
}
