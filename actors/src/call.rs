//! One message from a caller to an instance behind a route, and what comes of it.

use std::sync::Arc;
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
use crate::link::{Ended, Link, Unsent};
use crate::message::NetMessage;
use crate::node::Node;
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

/// Sends `message` under `name` to an instance behind `route` and waits for the reply, at most until `deadline`.
///
/// # Errors
/// [`Fault`].
///
/// # Cancel safety
/// Dropping the future cancels the call: a message that still waits is not handled.
pub async fn call<M: NetMessage>(
    node: &Node,
    route: &Route,
    name: &TypeName,
    message: M,
    deadline: Option<Instant>,
) -> Result<M::Result, Fault> {
    let mut alarm = node.alarms().at(deadline);
    let mut message = message;
    loop {
        let member = match route.pick() {
            Some(member) => member,
            None => tokio::select! {
                member = route.ready() => member,
                () = &mut alarm => return Err(nobody(route)),
                // With the node its alarm clock has gone.
                () = node.ending().come() => return Err(left()),
            },
        };
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

fn left() -> Fault {
    Fault::NotSent("the mesh has been left".to_owned())
}

fn nobody(route: &Route) -> Fault {
    let trouble = route.trouble().map(|trouble| format!(": {trouble}")).unwrap_or_default();
    Fault::NotSent(format!("no instance of it is connected{trouble}"))
}

async fn call_there<M: NetMessage>(
    node: &Node,
    link: &Arc<Link>,
    name: &TypeName,
    message: M,
    alarm: &mut Alarm,
    deadline: Option<Instant>,
) -> Tried<M> {
    let Some(passage) = link.passage::<M>(name) else {
        return Tried::Ended(Err(no_handler(name, link.catalogue.names())));
    };
    let mut set_out = link.try_call(passage, &message, deadline);
    if matches!(set_out, Err(Unsent::Full)) {
        let room = tokio::select! {
            room = link.room() => room,
            () = alarm => return Tried::Ended(Err(Fault::NotSent("the connection had no room in time".into()))),
        };
        set_out = match room {
            Some(room) => link.call(room, passage, &message, deadline),
            None => Err(Unsent::Closed),
        };
    }
    match set_out {
        Ok(reply) => match reply.ended().await {
            Ended::Lost(Fate::NotSent) => Tried::Back(message),
            ended => Tried::Ended(conclude::<M>(ended, node.decode_limits())),
        },
        Err(Unsent::Closed) => Tried::Back(message),
        Err(Unsent::Full) => {
            Tried::Ended(Err(Fault::NotSent("too many calls are open on the connection".into())))
        }
        Err(Unsent::Encode(error)) => Tried::Ended(Err(Fault::Encode(error))),
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
        Outcome::Reply(encoding, bytes) => codec::decode(&bytes, encoding, limits).map_err(Fault::Decode),
        Outcome::Refused(Refusal::Expired) => {
            Err(Fault::NotSent("the deadline passed while it waited".into()))
        }
        Outcome::Refused(refusal) => Err(Fault::Refused(refusal)),
    }
}

async fn call_here<M: NetMessage>(
    node: &Node,
    service: &Arc<Service>,
    name: &TypeName,
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
            match enter_encoded(node, service, name, &message, Some((reply, deadline)), permit) {
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
fn enter_encoded<M: NetMessage>(
    node: &Node,
    service: &Arc<Service>,
    name: &TypeName,
    message: &M,
    reply: Option<(ReplyTo, Option<Instant>)>,
    permit: OwnedSemaphorePermit,
) -> Result<(), Fault> {
    let slot = service.slot(name).ok_or_else(|| no_handler(name, service.handles()))?;
    let mut bytes = Vec::new();
    codec::encode(message, Encoding::MessagePack, service.limits.message_bytes, &mut bytes)
        .map_err(Fault::Encode)?;
    let (reply, deadline) = reply.map_or((None, None), |(reply, deadline)| (Some(reply), deadline));
    let payload = Bytes::from(bytes);
    let inbound = Inbound { payload, encoding: Encoding::MessagePack, reply, deadline, permit };
    let service = Arc::clone(service);
    node.home().run(move || service.deliver(slot, inbound)).map_err(|gone| Fault::NotSent(gone.to_string()))
}

fn no_handler(name: &TypeName, handles: Vec<String>) -> Fault {
    Fault::Refused(Refusal::NoHandler { message: name.to_string(), handles })
}

/// Why a tell did not set out; the message comes back.
#[derive(Debug)]
pub enum Untold<M> {
    /// As much is under way as may be.
    Full(M),
    /// No instance is connected.
    Nobody(M),
    /// The service does not handle it, or it cannot be encoded.
    Fault(Fault),
}

/// Sends `message` without a reply, if there is room at once.
///
/// # Errors
/// [`Untold`]; no instance will see the message.
pub fn tell<M: NetMessage>(node: &Node, route: &Route, name: &TypeName, message: M) -> Result<(), Untold<M>> {
    match route.pick() {
        None => Err(Untold::Nobody(message)),
        Some(Member::Remote(link, _)) => {
            let passage = link
                .passage::<M>(name)
                .ok_or_else(|| Untold::Fault(no_handler(name, link.catalogue.names())))?;
            link.try_tell(passage, &message).map_err(|error| match error {
                Unsent::Closed => Untold::Nobody(message),
                Unsent::Full => Untold::Full(message),
                Unsent::Encode(error) => Untold::Fault(Fault::Encode(error)),
            })
        }
        Some(Member::Local(service, _)) => tell_here(node, &service, name, message),
    }
}

fn tell_here<M: NetMessage>(
    node: &Node,
    service: &Arc<Service>,
    name: &TypeName,
    message: M,
) -> Result<(), Untold<M>> {
    let Some(permit) = service.try_permit() else { return Err(Untold::Full(message)) };
    match service.door::<M>(name) {
        Some(Door::Inbox(enter)) => {
            enter(message, Entering { reply: None, permit: Some(permit) });
            Ok(())
        }
        Some(Door::Mailbox(recipient)) => recipient.try_send(message).map_err(|error| match error {
            actix::prelude::SendError::Full(message) => Untold::Full(message),
            actix::prelude::SendError::Closed(message) => Untold::Nobody(message),
        }),
        None => enter_encoded(node, service, name, &message, None, permit).map_err(Untold::Fault),
    }
}

/// Asks an instance behind `route` what it handles and publishes.
///
/// # Errors
/// [`Fault`].
///
/// # Cancel safety
/// Dropping the future asks no more.
pub async fn describe(node: &Node, route: &Route, deadline: Option<Instant>) -> Result<Description, Fault> {
    let mut alarm = node.alarms().at(deadline);
    let member = tokio::select! {
        member = route.ready() => member,
        () = &mut alarm => return Err(nobody(route)),
        () = node.ending().come() => return Err(left()),
    };
    let link = match member {
        Member::Local(service, _) => return Ok(describe::describe(&service)),
        Member::Remote(link, _) => link,
    };
    let asked = link.describe(deadline).map_err(|unsent| match unsent {
        Unsent::Full => Fault::NotSent("the connection had no room".to_owned()),
        Unsent::Closed => Fault::NotSent("the connection was lost".to_owned()),
        Unsent::Encode(error) => Fault::Encode(error),
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
