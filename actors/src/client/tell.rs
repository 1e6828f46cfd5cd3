//! One message without a reply, from a caller to an instance behind a route.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use meshzero_proto::trace::TraceContext;

use crate::client::attempt;
use crate::client::caller::{Caller, deadline_in};
use crate::client::error::Fault;
use crate::client::line;
use crate::client::link::Unsent;
use crate::client::link::outgoing::Outward;
use crate::client::offload::{Offload, SetOut};
use crate::client::route::Member;
use crate::message::NetMessage;
use crate::runtime::blocking;
use crate::runtime::semaphore::Taken;
use crate::server::actor::local::{Door, Entering};
use crate::server::service::Service;
use crate::telemetry::trace::{Outgoing, Part};

/// A message without a reply on its way to an instance behind a route: it ends when the message is among those that leave
/// next, or in the inbox of a service of this process. Nothing happens before the first poll.
///
/// # Cancel safety
/// Dropping the future before it has ended sends nothing.
pub struct Tell<'a, M: NetMessage> {
    caller: &'a Arc<Caller>,
    timeout: Duration,
    state: State<M>,
    part: Part,
}

enum State<M: NetMessage> {
    New(Option<M>),
    /// The message is on its way, and others on this thread have their turn first.
    Told,
    Waiting(Offload<Result<(), Fault>>),
    Ended,
}

impl<M: NetMessage> Unpin for Tell<'_, M> {}

impl<'a, M: NetMessage> Tell<'a, M> {
    /// Tells under the type's own name, until the time-out that the limits say, for what the running code works for.
    #[inline(always)]
    pub fn new(caller: &'a Arc<Caller>, message: M) -> Self {
        let (part, timeout) = (Part::here(), caller.context.limits().request_timeout);
        Self { caller, timeout, state: State::New(Some(message)), part }
    }

    /// Who tells.
    pub fn caller(&self) -> &Caller {
        self.caller
    }

    /// How long it may take, from the first poll.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Changes how long it may take. Without effect after the first poll.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Changes what it is told for. Without effect after the first poll.
    pub fn set_trace(&mut self, parent: TraceContext) {
        self.part.belong_to(parent);
    }

    /// Goes on with a message that has not simply set out.
    #[inline(never)]
    fn go_on(&mut self, begun: Option<Begun>, task: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match (&mut self.state, begun) {
            (State::New(_), Some(Begun::Busy)) => {
                self.state = State::Told;
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            (State::New(_), Some(Begun::TurnedAway)) => {
                return Poll::Ready(self.end(Err(turned_away())));
            }
            (State::New(message), _) => {
                let message = message.take().expect("it is taken only when it is told");
                let (caller, deadline) = (Arc::clone(self.caller), deadline_in(self.timeout));
                let trace = self.part.context().copied();
                let home = &self.caller.context.home;
                let told = Box::pin(async move { tell(&caller, message, deadline, trace).await });
                // It waits for nothing once it has set out.
                self.state = State::Waiting(Offload::new(told, home, SetOut::default()));
            }
            (State::Told, _) => {
                return Poll::Ready(self.end(Ok(())));
            }
            (State::Waiting(_), _) => {}
            (State::Ended, _) => panic!("a tell was polled after it had ended"),
        }
        let State::Waiting(waiting) = &mut self.state else { return Poll::Pending };
        let result = std::task::ready!(waiting.poll(task));
        Poll::Ready(self.end(result))
    }

    #[inline(always)]
    fn end(&mut self, result: Result<(), Fault>) -> Result<(), Fault> {
        self.state = State::Ended;
        self.part.end(result.as_ref().err().map(|fault| fault as _), "told");
        result
    }

    /// Lets the message set out, if that can be done at once.
    #[inline(always)]
    fn begin(message: &mut Option<M>, member: Option<&Member>, trace: Option<&TraceContext>) -> Begun {
        match (member, &message) {
            (Some(Member::Remote(link, _)), Some(message)) => {
                match link.tell_ahead(Outward { message, name: None, deadline: None, trace }) {
                    Ok(placed) if placed.wrote_batch => Begun::Busy,
                    Ok(_) => Begun::Told,
                    // Said with all that there is to say where there is time for it.
                    Err(_) => Begun::NotYet,
                }
            }
            (Some(Member::Local(service, _)), _) => {
                if let Some(Door::Inbox(inlet)) = service.types.door::<M>(None)
                    && let Some(place) = service.try_place()
                    && let Some(message) = message.take()
                {
                    let entering = Entering { reply: None, place };
                    let ticket = attempt::enter(inlet.as_ref(), message, entering, trace);
                    return if ticket.is_turned_away() { Begun::TurnedAway } else { Begun::Told };
                }
                Begun::NotYet
            }
            _ => Begun::NotYet,
        }
    }
}

/// How a message set out.
enum Begun {
    Told,
    /// Together with a whole batch, which took a while.
    Busy,
    /// The service has closed this very moment.
    TurnedAway,
    NotYet,
}

impl<M: NetMessage> Future for Tell<'_, M> {
    type Output = Result<(), Fault>;

    /// # Panics
    /// When it is polled after it has ended.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let begun = match &mut this.state {
            State::New(message) => {
                this.part.set_out::<M>(this.caller.route.target(), None);
                let trace = this.part.context();
                Some(match this.caller.route.is_awaited() {
                    true => Begun::NotYet,
                    false => this.caller.route.with_pick(|member| Self::begin(message, member, trace)),
                })
            }
            _ => None,
        };
        if let Some(Begun::Told) = begun {
            return Poll::Ready(this.end(Ok(())));
        }
        this.go_on(begun, task)
    }
}

async fn tell<M: NetMessage>(
    caller: &Caller,
    message: M,
    deadline: Option<Instant>,
    trace: Option<TraceContext>,
) -> Result<(), Fault> {
    let mut alarm = caller.context.alarms.at(deadline);
    let mut turn = match caller.until(&mut alarm, caller.route.turn()).await {
        Ok(turn) => turn,
        Err(nobody) => return Err(caller.explain(nobody).await),
    };
    loop {
        let member = caller.instance(&mut alarm).await?;
        match member {
            Member::Remote(link, _) => {
                let room = tokio::select! {
                    biased;
                    room = line::until_room(&mut turn, link.room_to_tell()) => room,
                    () = blocking::notice(&caller.context.home) => None,
                    () = &mut alarm => return Err(Fault::NotSent("the connection had no room in time".to_owned())),
                };
                let Some(room) = room else { continue };
                let outward =
                    Outward { message: &message, name: None, deadline: None, trace: trace.as_ref() };
                match link.tell(room, outward) {
                    Ok(_) => return Ok(()),
                    Err(Unsent::Closed) => {}
                    Err(unsent) => return Err(attempt::why::<M>(unsent, &link, None)),
                }
            }
            Member::Local(service, _) => {
                let room = tokio::select! {
                    biased;
                    room = line::until_room(&mut turn, service.turn()) => room,
                    () = blocking::notice(&service.home) => None,
                    () = &mut alarm => {
                        return Err(Fault::NotSent("the service was busy until the deadline".to_owned()));
                    }
                };
                // Without a place the service has closed meanwhile, and so it will where the node has ended.
                let Some(room) = room.filter(|_| !caller.context.ending.has_come()) else { continue };
                let (place, _in_turn) = room.divide();
                return match tell_here(&service, message, place, trace) {
                    Ok(()) => Ok(()),
                    Err(Untold::Fault(fault)) => Err(fault),
                    Err(Untold::Full(_) | Untold::Nobody(_)) => {
                        Err(Fault::NotSent("the actor has stopped".to_owned()))
                    }
                };
            }
        }
    }
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
pub fn try_tell<M: NetMessage>(caller: &Caller, message: M) -> Result<(), Untold<M>> {
    let mut part = Part::here();
    part.set_out::<M>(caller.route.target(), None);
    let told = try_tell_for(caller, message, part.context());
    if let Part::As(span) = &mut part {
        record(span, &told);
    }
    told
}

#[cold]
fn record<M>(span: &mut Outgoing, told: &Result<(), Untold<M>>) {
    match told {
        Ok(()) => span.end("told"),
        Err(Untold::Full(_)) => span.end("failed: no room"),
        Err(Untold::Nobody(_)) => span.end("failed: no instance is connected"),
        Err(Untold::Fault(fault)) => span.end(format_args!("failed: {fault:?}")),
    }
}

#[inline]
fn try_tell_for<M: NetMessage>(
    caller: &Caller,
    message: M,
    trace: Option<&TraceContext>,
) -> Result<(), Untold<M>> {
    match caller.route.pick() {
        Some(_) if caller.route.is_awaited() => Err(Untold::Full(message)),
        None => Err(Untold::Nobody(message)),
        Some(Member::Remote(link, _)) => {
            let outward = Outward { message: &message, name: None, deadline: None, trace };
            match link.try_tell(outward) {
                Ok(_) => Ok(()),
                Err(Unsent::Closed) => Err(Untold::Nobody(message)),
                Err(Unsent::Full) => Err(Untold::Full(message)),
                Err(unsent) => Err(Untold::Fault(attempt::why::<M>(unsent, &link, None))),
            }
        }
        Some(Member::Local(service, _)) => match service.try_place() {
            Some(place) => tell_here(&service, message, place, trace.copied()),
            None => Err(Untold::Full(message)),
        },
    }
}

/// What a tell ends in that came when the service had just closed.
fn turned_away() -> Fault {
    Fault::NotSent("the service has closed".to_owned())
}

fn tell_here<M: NetMessage>(
    service: &Arc<Service>,
    message: M,
    place: Taken,
    trace: Option<TraceContext>,
) -> Result<(), Untold<M>> {
    match service.types.door::<M>(None) {
        Some(Door::Inbox(inlet)) => {
            let entering = Entering { reply: None, place };
            match attempt::enter(inlet.as_ref(), message, entering, trace.as_ref()).is_turned_away() {
                true => Err(Untold::Fault(turned_away())),
                false => Ok(()),
            }
        }
        Some(Door::Mailbox(mailbox)) if mailbox.is_open() => {
            mailbox.enter(message, Entering { reply: None, place }, &service.home);
            Ok(())
        }
        Some(Door::Mailbox(_)) => Err(Untold::Nobody(message)),
        None => attempt::enter_encoded(service, None, &message, trace, None, place).map_err(Untold::Fault),
    }
}
