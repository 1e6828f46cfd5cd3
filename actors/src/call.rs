//! One message from a caller to an instance behind a route, and what comes of it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use meshzero_proto::calls::Fate;
use meshzero_proto::codec::{self, DecodeError, DecodeLimits, EncodeError, Encoding};
use meshzero_proto::description::Description;
use meshzero_proto::name::TypeName;
use meshzero_proto::refusal::Refusal;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::alarms::Alarm;
use crate::describe;
use crate::handler::{Door, Entering};
use crate::inbound::{Inbound, Outcome, ReplyTo};
use crate::link::{Ended, Link, Reply, Unsent};
use crate::message::NetMessage;
use crate::node::Node;
use crate::outward::{Deadline, Outward};
use crate::route::{Member, Route};
use crate::service::Service;

/// Why a call has no reply.
#[derive(Debug)]
pub enum Fault {
    /// The message did not leave, or was not handled for certain.
    NotSent(String),
    /// The deadline passed. The message may have been handled, or may still be.
    TimedOut,
    /// The connection or the process ended meanwhile. The message may have been handled.
    Lost,
    /// The service answered that it will not.
    Refused(Refusal),
    /// The message cannot be encoded.
    Encode(EncodeError),
    /// The reply does not decode.
    Decode(DecodeError),
}

/// Who calls: a node, by a route.
pub struct Caller {
    /// The node.
    pub node: Arc<Node>,
    /// Whom it calls.
    pub route: Arc<Route>,
}

/// A message under way to an instance behind a route, and its reply. Nothing happens before the first poll.
///
/// Where an instance is connected and has room, the message sets out in the first poll, and nothing is allocated for it.
/// Whatever may have to wait becomes a future in a box.
///
/// # Cancel safety
/// Dropping the future cancels the call: a message that still waits is not handled.
pub struct Call<M: NetMessage> {
    caller: Arc<Caller>,
    name: Option<TypeName>,
    timeout: Duration,
    state: State<M>,
}

enum State<M: NetMessage> {
    New(M),
    /// On its way to another process; the message is kept in case it never left.
    There {
        reply: Reply,
        message: M,
        deadline: Option<Instant>,
    },
    /// In the inbox of an actor of this process. It is unfinished as long as the permit is held.
    Here {
        told: oneshot::Receiver<M::Result>,
        /// Set when the reply does not come at once.
        alarm: Option<Alarm>,
        _permit: OwnedSemaphorePermit,
    },
    Waiting(Boxed<M::Result>),
    Ended,
}

/// How a message set out.
enum Begun<T> {
    There(Reply),
    Here(oneshot::Receiver<T>, OwnedSemaphorePermit),
    NotYet,
}

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

impl<M: NetMessage> Unpin for Call<M> {}

impl<M: NetMessage> Call<M> {
    /// Calls with the type's own name, until the time-out that the limits say.
    pub fn new(caller: Arc<Caller>, message: M) -> Self {
        let timeout = caller.node.limits().request_timeout;
        Self { caller, name: None, timeout, state: State::New(message) }
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// How long it may take, from the first poll.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Changes how long it may take. Without effect after the first poll.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Changes the name that the message travels under. Without effect after the first poll.
    pub fn set_name(&mut self, name: TypeName) {
        self.name = Some(name);
    }

    /// Lets the message set out, if that can be done at once.
    #[inline]
    fn begin(&mut self, message: M, task: &Context<'_>) -> State<M> {
        let (name, timeout) = (self.name.as_ref(), self.timeout);
        let mut deadline = None;
        let mut message = Some(message);
        let begun = self.caller.route.with_pick(|member| match (member, &message) {
            (Some(Member::Remote(link, _)), Some(out)) => {
                deadline = deadline_in(timeout);
                let deadline = deadline.map(|at| Deadline { at, within: timeout });
                let outward = Outward { message: out, name, deadline };
                link.try_call(outward, task.waker()).map_or(Begun::NotYet, Begun::There)
            }
            (Some(Member::Local(service, _)), _) => {
                if let Some(Door::Inbox(enter)) = service.door::<M>(name)
                    && let Some(permit) = service.try_permit()
                    && let Some(message) = message.take()
                {
                    let (tell, told) = oneshot::channel();
                    enter(message, Entering { reply: Some(tell), permit: None });
                    return Begun::Here(told, permit);
                }
                Begun::NotYet
            }
            _ => Begun::NotYet,
        });
        match (begun, message) {
            (Begun::Here(told, _permit), _) => {
                // The handler has its turn before this is polled again, and often that is all the time it takes.
                task.waker().wake_by_ref();
                State::Here { told, alarm: None, _permit }
            }
            (Begun::There(reply), Some(message)) => State::There { reply, message, deadline },
            // Why not is said with all that there is to say, where there is time for it.
            (_, Some(message)) => self.wait(message, deadline.or_else(|| deadline_in(timeout))),
            (_, None) => State::Ended,
        }
    }

    fn wait(&self, message: M, deadline: Option<Instant>) -> State<M> {
        let (caller, name) = (Arc::clone(&self.caller), self.name.clone());
        State::Waiting(Box::pin(async move { call(&caller, name.as_ref(), message, deadline).await }))
    }
}

impl<M: NetMessage> Future for Call<M> {
    type Output = Result<M::Result, Fault>;

    /// # Panics
    /// When it is polled after it has ended.
    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let State::New(_) = &this.state
            && let State::New(message) = std::mem::replace(&mut this.state, State::Ended)
        {
            this.state = this.begin(message, task);
            if let State::There { .. } | State::Here { .. } = &this.state {
                // The link knows whom to wake, and who calls in this process has been woken.
                return Poll::Pending;
            }
        }
        loop {
            let result = match &mut this.state {
                State::There { reply, .. } => {
                    let ended = ready!(reply.poll_ended(task));
                    let State::There { message, deadline, .. } =
                        std::mem::replace(&mut this.state, State::Ended)
                    else {
                        return Poll::Pending;
                    };
                    if let Ended::Lost(Fate::NotSent) = ended {
                        this.state = this.wait(message, deadline);
                        continue;
                    }
                    conclude::<M>(ended, this.caller.node.decode_limits())
                }
                State::Here { told, alarm, .. } => match Pin::new(told).poll(task) {
                    Poll::Ready(told) => told.map_err(|_| Fault::Refused(Refusal::Panicked)),
                    Poll::Pending => {
                        let alarms = this.caller.node.alarms();
                        let alarm = alarm.get_or_insert_with(|| alarms.at(deadline_in(this.timeout)));
                        ready!(Pin::new(alarm).poll(task));
                        Err(Fault::TimedOut)
                    }
                },
                State::Waiting(waiting) => ready!(waiting.as_mut().poll(task)),
                State::New(_) | State::Ended => panic!("a call was polled after it had ended"),
            };
            this.state = State::Ended;
            return Poll::Ready(result);
        }
    }
}

async fn call<M: NetMessage>(
    caller: &Caller,
    name: Option<&TypeName>,
    message: M,
    deadline: Option<Instant>,
) -> Result<M::Result, Fault> {
    let node = &caller.node;
    let mut alarm = node.alarms().at(deadline);
    let mut message = message;
    loop {
        let member = instance(caller, &mut alarm).await?;
        let tried = match member {
            Member::Local(service, _) => call_here(node, &service, name, message, &mut alarm, deadline).await,
            Member::Remote(link, _) => call_there(node, &link, name, message, &mut alarm, deadline).await,
        };
        match tried {
            Tried::Ended(result) => return result,
            // It cannot have been handled, so another instance may have it.
            Tried::Back(again) => message = again,
        }
    }
}

/// What became of an attempt.
enum Tried<M: NetMessage> {
    Ended(Result<M::Result, Fault>),
    /// The instance went away before the message did.
    Back(M),
}

/// Waits for an instance to call, until the alarm.
pub(crate) async fn instance(caller: &Caller, alarm: &mut Alarm) -> Result<Member, Fault> {
    let Caller { node, route } = caller;
    tokio::select! {
        biased;
        member = route.ready() => Ok(member),
        () = alarm => {
            let trouble = route.trouble().map(|trouble| format!(": {trouble}")).unwrap_or_default();
            Err(Fault::NotSent(format!("no instance of it is connected{trouble}")))
        }
        // With the node its alarm clock has gone.
        () = node.ending().come() => Err(Fault::NotSent("the mesh has been left".to_owned())),
    }
}

async fn call_there<M: NetMessage>(
    node: &Node,
    link: &Arc<Link>,
    name: Option<&TypeName>,
    message: M,
    alarm: &mut Alarm,
    deadline: Option<Instant>,
) -> Tried<M> {
    let caller = waker().await;
    let outward = |message| Outward { message, name, deadline: deadline.map(Deadline::at) };
    let mut set_out = link.try_call(outward(&message), &caller);
    if matches!(set_out, Err(Unsent::Full)) {
        let room = tokio::select! {
            room = link.room() => room,
            () = alarm => return Tried::Ended(Err(Fault::NotSent("the connection had no room in time".into()))),
        };
        set_out = match room {
            Some(turn) => link.call(turn, outward(&message), &caller),
            None => Err(Unsent::Closed),
        };
    }
    match set_out {
        Ok(reply) => match reply.ended().await {
            Ended::Lost(Fate::NotSent) => Tried::Back(message),
            ended => Tried::Ended(conclude::<M>(ended, node.decode_limits())),
        },
        Err(Unsent::Closed) => Tried::Back(message),
        Err(unsent) => Tried::Ended(Err(why::<M>(unsent, link, name))),
    }
}

/// The waker of the task that this runs in.
async fn waker() -> Waker {
    poll_fn(|task| Poll::Ready(task.waker().clone())).await
}

pub(crate) fn why<M: NetMessage>(unsent: Unsent, link: &Link, name: Option<&TypeName>) -> Fault {
    match unsent {
        Unsent::Closed => Fault::NotSent("the connection was lost".to_owned()),
        Unsent::Full => Fault::NotSent("too many calls are open on the connection".to_owned()),
        Unsent::NoHandler => no_handler(called::<M>(name), link.catalogue.names()),
        Unsent::Encode(error) => Fault::Encode(error),
    }
}

/// The name that a message is known by.
fn called<M: NetMessage>(name: Option<&TypeName>) -> &str {
    match name {
        Some(name) => name,
        None => codec::type_info::<M>().name(),
    }
}

fn conclude<M: NetMessage>(ended: Ended, limits: &DecodeLimits) -> Result<M::Result, Fault> {
    match ended {
        Ended::Answered(outcome) => decode::<M>(outcome, limits),
        Ended::TimedOut => Err(Fault::TimedOut),
        Ended::Lost(Fate::Unknown) => Err(Fault::Lost),
        Ended::Lost(Fate::NotSent) => Err(Fault::NotSent("the connection ended before it left".into())),
    }
}

fn decode<M: NetMessage>(outcome: Outcome, limits: &DecodeLimits) -> Result<M::Result, Fault> {
    match outcome {
        Outcome::Reply(encoding, bytes) => bytes.decode(encoding, limits).map_err(Fault::Decode),
        Outcome::Refused(Refusal::Expired) => {
            Err(Fault::NotSent("the deadline passed while it waited".into()))
        }
        Outcome::Refused(refusal) => Err(Fault::Refused(refusal)),
    }
}

async fn call_here<M: NetMessage>(
    node: &Node,
    service: &Arc<Service>,
    name: Option<&TypeName>,
    message: M,
    alarm: &mut Alarm,
    deadline: Option<Instant>,
) -> Tried<M> {
    let permit = match service.try_permit() {
        Some(permit) => Some(permit),
        None => tokio::select! {
            permit = service.permit() => permit,
            () = &mut *alarm => return Tried::Ended(Err(Fault::NotSent("the service was busy until the deadline".into()))),
        },
    };
    let Some(permit) = permit else { return Tried::Back(message) };
    // The permit is held until the call has ended: so long the message is unfinished.
    let reply = match service.door::<M>(name) {
        Some(Door::Inbox(enter)) => {
            let (tell, told) = oneshot::channel();
            enter(message, Entering { reply: Some(tell), permit: None });
            let reply = tokio::select! {
                reply = told => reply.map_err(|_| Fault::Refused(Refusal::Panicked)),
                () = alarm => Err(Fault::TimedOut),
            };
            drop(permit);
            reply
        }
        Some(Door::Mailbox(recipient)) => {
            let reply = tokio::select! {
                reply = recipient.send(message) => reply.map_err(|_| Fault::Refused(Refusal::Panicked)),
                () = alarm => Err(Fault::TimedOut),
            };
            drop(permit);
            reply
        }
        None => {
            let (tell, told) = oneshot::channel();
            let reply = ReplyTo::local(tell, node.limits().message_bytes);
            match enter_encoded(service, name, &message, Some((reply, deadline)), permit) {
                Ok(()) => tokio::select! {
                    outcome = told => match outcome {
                        Ok(outcome) => decode::<M>(outcome, node.decode_limits()),
                        Err(_) => Err(Fault::Refused(Refusal::Panicked)),
                    },
                    () = alarm => Err(Fault::TimedOut),
                },
                Err(fault) => Err(fault),
            }
        }
    };
    Tried::Ended(reply)
}

/// Hands a message to a service of this process that knows it as another Rust type: encoded, without a socket.
pub(crate) fn enter_encoded<M: NetMessage>(
    service: &Arc<Service>,
    name: Option<&TypeName>,
    message: &M,
    reply: Option<(ReplyTo, Option<Instant>)>,
    permit: OwnedSemaphorePermit,
) -> Result<(), Fault> {
    let name = called::<M>(name);
    let slot = service.slot(name).ok_or_else(|| no_handler(name, service.handles()))?;
    let mut bytes = Vec::new();
    codec::encode(message, Encoding::MessagePack, service.limits().message_bytes, &mut bytes)
        .map_err(Fault::Encode)?;
    let (reply, deadline) = reply.map_or((None, None), |(reply, deadline)| (Some(reply), deadline));
    let payload = Bytes::from(bytes);
    let inbound = Inbound { payload, encoding: Encoding::MessagePack, reply, deadline, permit };
    let there = Arc::clone(service);
    service
        .home
        .run(move || there.deliver_alone(slot, inbound))
        .map_err(|gone| Fault::NotSent(gone.to_string()))
}

fn no_handler(name: &str, handles: Vec<String>) -> Fault {
    Fault::Refused(Refusal::NoHandler { message: name.to_string(), handles })
}

/// Asks an instance behind `route` what it handles and publishes.
///
/// # Errors
/// [`Fault`].
///
/// # Cancel safety
/// Dropping the future asks no more.
pub async fn describe(caller: &Caller, deadline: Option<Instant>) -> Result<Description, Fault> {
    let mut alarm = caller.node.alarms().at(deadline);
    let member = instance(caller, &mut alarm).await?;
    let link = match member {
        Member::Local(service, _) => return Ok(describe::describe(&service)),
        Member::Remote(link, _) => link,
    };
    let asked = link.describe(deadline, &waker().await).map_err(|unsent| match unsent {
        Unsent::Encode(error) => Fault::Encode(error),
        Unsent::Closed => Fault::NotSent("the connection was lost".to_owned()),
        Unsent::Full | Unsent::NoHandler => Fault::NotSent("the connection had no room".to_owned()),
    })?;
    match asked.ended().await {
        Ended::Answered(Outcome::Reply(_, bytes)) => Description::from_bytes(&bytes)
            .map_err(|problem| Fault::Decode(DecodeError { path: String::new(), problem })),
        Ended::Answered(Outcome::Refused(refusal)) => Err(Fault::Refused(refusal)),
        Ended::TimedOut => Err(Fault::TimedOut),
        Ended::Lost(_) => Err(Fault::Lost),
    }
}

/// The deadline of a call that may take `timeout` from now; none where it would lie beyond what a clock can tell.
pub fn deadline_in(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
