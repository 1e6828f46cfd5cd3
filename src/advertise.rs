//! Advertising: what an actor handles and publishes, and where, before it is announced.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use actix::{Actor, ArbiterHandle, Context};
use meshzero_actors::called::Call;
#[cfg(feature = "schemars")]
use meshzero_actors::handler::Documented;
use meshzero_actors::handler::Registration;
use meshzero_actors::{Handles, NetMessage};

use meshzero_actors::node::Node;
use meshzero_actors::offer::{self, Declared, Offer, Only, Source};
use meshzero_actors::place::Place;
use meshzero_actors::restart::Restart;
use meshzero_proto::codec::{TypeInfo, Wire, type_info};
use meshzero_proto::name::{ServiceName, Topic, TypeName};

use crate::error::AdvertiseError;
use crate::service::Service;
use crate::value::Value;

/// A service about to be advertised. It is announced when this is awaited, and what it handles is fixed then.
///
/// Awaiting it waits until the actor is made, its endpoint listens and the announcement is on its way, but not until
/// others know of it.
///
/// # Errors
/// [`AdvertiseError`]: an impossible name, address or topic, an address that is taken, two messages of one name, a factory
/// that panics, or a mesh that has been left. Nothing is left behind.
///
/// # Cancel safety
/// Dropping the future may leave the service advertised until the mesh is left.
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
    offer: Result<Offer<A>, AdvertiseError>,
}

impl<A: Actor<Context = Context<A>>> Advertise<A> {
    pub(crate) fn new(node: Arc<Node>, name: &str, source: Source<A>) -> Self {
        let offer = ServiceName::new(name).map_err(AdvertiseError::Name).map(|name| Offer {
            name: Some(name),
            source,
            handlers: Vec::new(),
            place: Place::default(),
            arbiter: None,
            only: Only::OneOfMany,
            topics: Vec::new(),
            restart: Restart::default(),
        });
        Self { node, offer }
    }

    /// Messages of type `M` reach the actor, under the type's own name without its module: `arm::Move` is `Move`.
    pub fn handles<M: NetMessage>(self) -> Self
    where
        A: Handles<M>,
    {
        self.handles_as::<M>(type_info::<M>().name())
    }

    /// Messages of type `M` reach the actor under `name`, for two types of one name, or a name that is to stay when the
    /// type's changes. Callers say [`Request::named`](crate::Request::named).
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
            offer.handlers.push(Registration::of::<M>(TypeName::new(name)?));
            Ok(())
        })
    }

    /// As [`Advertise::handles`], and describes the message and its reply with the JSON schemas that schemars derives:
    /// with their documentation and constraints, which the shape of a type does not have.
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
            offer.handlers.push(Registration::of::<M>(name).documented(Documented { message, reply }));
            Ok(())
        })
    }

    /// Messages without a Rust type reach the actor as [`Value`]s: all that callers send as `Value` and not under another
    /// name.
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

    /// Messages of type `M` reach the actor as [`Call`]s, each with the way back for its reply: for one that replies later and from
    /// anywhere, that has to say why it cannot, or that wants to know whether anybody still waits.
    ///
    /// A service that hands out results as they come, or passes them through other actors, needs no other handler; for most a
    /// [`ResponseFuture`](actix::ResponseFuture) is simpler. A reply of the type `Result` is a reply like any other: a caller is told
    /// of a failure by [`Call::fail`] only. Callers in this process are served as all others, so the message is encoded on its way.
    /// Work that goes on after the handler does not belong to the [trace](crate::trace) of the message by itself: see
    /// [`Call::trace`].
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

    /// Listens there instead of on every interface at a free port: a port (`"9000"`), an address (`"192.168.1.7"`), a
    /// pattern (`"192.168.*"`) or a host name (`"localhost"`), the last three also with a port (`"192.168.1.7:9000"`).
    pub fn at(self, address: impl AsRef<str>) -> Self {
        self.change(|offer| {
            offer.place = address.as_ref().parse().map_err(offer::OfferError::Place)?;
            Ok(())
        })
    }

    /// Fails with [`OfferError::Exists`](offer::OfferError::Exists) if somebody advertises the name already, after a look
    /// around of 0.6 s. Two that start at the same moment may both succeed.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Referee;
    /// # impl Actor for Referee { type Context = Context<Self>; }
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::AdvertiseError> {
    /// use meshzero::{AdvertiseError, OfferError};
    ///
    /// match mesh.advertise("referee", || Referee).fail_if_exists().await {
    ///     Err(AdvertiseError::Offer(OfferError::Exists { address, .. })) => println!("there is one at {address}"),
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
            offer.only = Only::One;
            Ok(())
        })
    }

    /// Keeps the last item of a topic for those who subscribe later: it is the first that they get. The topic is the whole
    /// one, not a prefix; of more than [`Limits::topics`](crate::Limits::topics) the rest is not kept.
    pub fn retains(self, topic: impl AsRef<str>) -> Self {
        self.declare(topic.as_ref(), None, true)
    }

    /// Declares a topic and the type of its items, so that the service describes it before anything is published. Items
    /// can be published on any topic, declared or not.
    pub fn publishes<T: Wire>(self, topic: impl AsRef<str>) -> Self {
        self.declare(topic.as_ref(), Some(type_info::<T>()), false)
    }

    /// Does not announce the service: it is reached by its address only.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Game;
    /// # impl Actor for Game { type Context = Context<Self>; }
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), Box<dyn std::error::Error>> {
    /// let game = mesh.advertise("game", || Game).unlisted().await?;
    /// // In a program that was told the address:
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

    /// Runs the actor and its connections on an arbiter of yours instead of the mesh's thread, for a service that should
    /// have a core to itself. Calls from this process then cross threads, which takes longer. An actor that runs already
    /// stays where it is, and its connections should be there as well.
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

    /// Says what becomes of the service when its actor panics: by default it is made anew ten times within a minute, and
    /// one panic more ends the service, see [`Service::ended`]. An actor that runs already is not made anew.
    ///
    /// ```no_run
    /// # use actix::prelude::*;
    /// # struct Camera;
    /// # impl Actor for Camera { type Context = Context<Self>; }
    /// # async fn run(mesh: meshzero::Mesh) -> Result<(), meshzero::AdvertiseError> {
    /// use std::time::Duration;
    ///
    /// use meshzero::Restart;
    ///
    /// let restart = Restart::Limited { restarts: 3, within: Duration::from_secs(3_600) };
    /// let camera = mesh.advertise("camera", || Camera).restart(restart).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn restart(self, restart: Restart) -> Self {
        self.change(|offer| {
            offer.restart = restart;
            Ok(())
        })
    }

    fn declare(self, topic: &str, item: Option<&'static TypeInfo>, retains: bool) -> Self {
        self.change(|offer| {
            offer.topics.push(Declared { topic: Topic::new(topic)?, item, retains });
            Ok(())
        })
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Offer<A>) -> Result<(), AdvertiseError>) -> Self {
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
            let offered = offer::offer(&self.node, self.offer?).await?;
            Ok(Service::new(self.node, offered))
        })
    }
}
