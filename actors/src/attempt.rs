//! One message tried at one instance after the other, with all the waiting that may take.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use meshzero_proto::calls::Fate;
use meshzero_proto::codec::{self, Encoding};
use meshzero_proto::name::TypeName;
use meshzero_proto::refusal::Refusal;
use tokio::sync::oneshot;

use crate::alarms::Alarm;
use crate::caller::{Caller, Fault, conclude, decode};
use crate::handler::{Door, Entering};
use crate::inbound::{Inbound, ReplyTo};
use crate::link::{Ended, Link, Unsent};
use crate::message::NetMessage;
use crate::node::Node;
use crate::outward::{Deadline, Outward};
use crate::quota::Taken;
use crate::route::Member;
use crate::service::Service;

/// Calls one instance after the other, until one has had the message or the deadline passes.
pub(crate) async fn call<M: NetMessage>(
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
pub(crate) async fn waker() -> Waker {
    poll_fn(|task| Poll::Ready(task.waker().clone())).await
}

/// Why a message did not set out, as its caller is told.
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

async fn call_here<M: NetMessage>(
    node: &Node,
    service: &Arc<Service>,
    name: Option<&TypeName>,
    message: M,
    alarm: &mut Alarm,
    deadline: Option<Instant>,
) -> Tried<M> {
    let place = match service.try_place() {
        Some(place) => Some(place),
        None => tokio::select! {
            place = service.place() => place,
            () = &mut *alarm => return Tried::Ended(Err(Fault::NotSent("the service was busy until the deadline".into()))),
        },
    };
    let Some(place) = place else { return Tried::Back(message) };
    // The place is held until the call has ended: so long the message is unfinished.
    let reply = match service.door::<M>(name) {
        Some(Door::Inbox(enter)) => {
            let (tell, told) = oneshot::channel();
            enter(message, Entering { reply: Some(tell), place: None });
            let reply = tokio::select! {
                reply = told => reply.map_err(|_| Fault::Refused(Refusal::Panicked)),
                () = alarm => Err(Fault::TimedOut),
            };
            drop(place);
            reply
        }
        Some(Door::Mailbox(recipient)) => {
            let reply = tokio::select! {
                reply = recipient.send(message) => reply.map_err(|_| Fault::Refused(Refusal::Panicked)),
                () = alarm => Err(Fault::TimedOut),
            };
            drop(place);
            reply
        }
        None => {
            let (tell, told) = oneshot::channel();
            let reply = ReplyTo::local(tell, node.limits().message_bytes);
            match enter_encoded(service, name, &message, Some((reply, deadline)), place) {
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
    place: Taken,
) -> Result<(), Fault> {
    let name = called::<M>(name);
    let slot = service.slot(name).ok_or_else(|| no_handler(name, service.handles()))?;
    let mut bytes = Vec::new();
    codec::encode(message, Encoding::MessagePack, service.limits().message_bytes, &mut bytes)
        .map_err(Fault::Encode)?;
    let (reply, deadline) = reply.map_or((None, None), |(reply, deadline)| (Some(reply), deadline));
    let payload = Bytes::from(bytes);
    let inbound = Inbound { payload, encoding: Encoding::MessagePack, reply, deadline, place };
    let there = Arc::clone(service);
    service
        .home
        .run(move || there.deliver_alone(slot, inbound))
        .map_err(|gone| Fault::NotSent(gone.to_string()))
}

fn no_handler(name: &str, handles: Vec<String>) -> Fault {
    Fault::Refused(Refusal::NoHandler { message: name.to_string(), handles })
}
