//! One message from a caller to an instance behind a route, and what comes of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use meshzero_proto::id::InstanceId;
use meshzero_proto::name::TypeName;
use meshzero_proto::refusal::Refusal;
use meshzero_proto::retry::{Repeats, Tried};
use meshzero_proto::trace::TraceContext;
use tokio::sync::oneshot;

use crate::alarms::Alarm;
use crate::attempt::{self, Order};
use crate::caller::{Caller, conclude, deadline_in};
use crate::door::{Door, Entering};
use crate::fault::{Failed, Fault};
use crate::inbox::Ticket;
use crate::link::Reply;
use crate::message::NetMessage;
use crate::outward::{Deadline, Outward};
use crate::quota::Taken;
use crate::route::Member;
use crate::trace::Part;

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
    repeats: Repeats,
    /// How often it was tried, once it has failed.
    tries: u32,
    /// Kept while it may have to be sent again.
    message: Option<M>,
    state: State<M::Result>,
    part: Part,
}

/// A call with all the waiting that there may be, and which instance replied.
type Waited<R> = Pin<Box<dyn Future<Output = Result<(R, InstanceId), Failed>> + Send>>;

enum State<R> {
    New,
    /// On its way to another process.
    There {
        reply: Reply,
        deadline: Option<Instant>,
    },
    /// In the inbox of an actor of this process. It is unfinished as long as its place is held.
    Here {
        told: oneshot::Receiver<R>,
        instance: InstanceId,
        ticket: Ticket,
        /// Set when the reply does not come at once.
        alarm: Option<Alarm>,
        _place: Taken,
    },
    Waiting(Waited<R>),
    /// With the instance that replied, if one did.
    Ended(Option<InstanceId>),
}

impl<M: NetMessage> Unpin for Call<M> {}

impl<M: NetMessage> Call<M> {
    /// Calls with the type's own name, until the time-out that the limits say, for what the running code works for.
    #[inline(always)]
    pub fn new(caller: Arc<Caller>, message: M) -> Self {
        let (part, timeout) = (Part::here(), caller.node.limits().request_timeout);
        let (repeats, message) = (Repeats::default(), Some(message));
        Self { caller, name: None, timeout, repeats, tries: 0, message, state: State::New, part }
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

    /// Changes what it is called for. Without effect after the first poll.
    pub fn set_trace(&mut self, parent: TraceContext) {
        self.part.belong_to(parent);
    }

    /// Says that handling the message twice does no harm. Without effect after the first poll.
    pub fn set_idempotent(&mut self) {
        self.repeats = Repeats::Idempotent;
    }

    /// How often it was tried, once it has failed.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// The instance that replied, once one has, if it is still connected.
    pub fn replied_by(&self) -> Option<Member> {
        match self.state {
            State::Ended(Some(instance)) => self.caller.route.member(instance),
            _ => None,
        }
    }

    /// Lets the message set out, if that can be done at once, and says whether it has.
    #[inline]
    fn begin(&mut self, task: &Context<'_>) -> bool {
        let Self { caller, name, timeout, message, state, part, .. } = self;
        let (name, timeout) = (name.as_ref(), *timeout);
        if caller.route.health.has_aside() {
            // This may be the one that finds out whether an instance works again.
            return false;
        }
        caller.route.with_pick(|member| match member {
            Some(Member::Remote(link, _)) => {
                let deadline = deadline_in(timeout);
                let within = deadline.map(|at| Deadline { at, within: timeout });
                let trace = part.context();
                // Why not is said with all that there is to say, where there is time for it.
                if let Some(message) = &*message
                    && let Ok(reply) =
                        link.try_call(Outward { message, name, deadline: within, trace }, task.waker())
                {
                    *state = State::There { reply, deadline };
                    return true;
                }
                false
            }
            Some(Member::Local(service, instance)) => {
                if let Some(Door::Inbox(inlet)) = service.door::<M>(name)
                    && let Some(place) = service.try_place()
                    && let Some(message) = message.take()
                {
                    let (tell, told) = oneshot::channel();
                    let trace = part.context();
                    let entering = Entering { reply: Some(tell), place: None };
                    let ticket = attempt::enter(inlet.as_ref(), message, entering, trace);
                    *state = State::Here { told, instance: instance.id, ticket, alarm: None, _place: place };
                    // The handler has its turn before this is polled again, and often that is all the time it takes.
                    task.waker().wake_by_ref();
                    return true;
                }
                false
            }
            None => false,
        })
    }

    /// Goes on where there may be waiting, after a try that has failed, or without one.
    #[inline(never)]
    fn wait(&mut self, deadline: Option<Instant>, before: Option<(InstanceId, Fault)>) {
        if let Some(message) = self.message.take() {
            let (caller, name, repeats) = (Arc::clone(&self.caller), self.name.clone(), self.repeats);
            let trace = self.part.context().copied();
            self.state = State::Waiting(Box::pin(async move {
                let order = Order { name: name.as_ref(), deadline, repeats, trace };
                attempt::call(&caller, order, message, before).await
            }));
        }
    }

    /// What a call to another process ended in that had no reply; `None` if it is tried again.
    #[cold]
    fn no_reply(&mut self, instance: InstanceId, fault: Fault, deadline: Option<Instant>) -> Option<Fault> {
        if fault.is_failure() {
            self.caller.route.failed(instance);
        }
        self.tries = 1;
        let repeated = match fault.tried() {
            Tried::NotSent | Tried::TurnedAway | Tried::Closing => true,
            Tried::Late | Tried::Unknown => self.repeats == Repeats::Idempotent,
            Tried::Final => false,
        };
        if !repeated || self.message.is_none() {
            return Some(fault);
        }
        self.wait(deadline, Some((instance, fault)));
        None
    }

    /// What a call to an actor of this process ends in when its deadline has passed.
    #[cold]
    fn late(&self, instance: InstanceId, ticket: Ticket) -> Fault {
        match self.caller.route.member(instance) {
            Some(Member::Local(service, _)) => match service.door::<M>(self.name.as_ref()) {
                Some(Door::Inbox(inlet)) => attempt::late(&service, inlet.as_ref(), ticket),
                _ => Fault::TimedOut,
            },
            _ => Fault::TimedOut,
        }
    }
}

impl<M: NetMessage> Future for Call<M> {
    type Output = Result<M::Result, Fault>;

    /// # Panics
    /// When it is polled after it has ended.
    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let State::New = this.state {
            this.part.set_out::<M>(this.caller.route.target(), this.name.as_ref());
            if this.begin(task) {
                // The link knows whom to wake, and who calls in this process has been woken.
                return Poll::Pending;
            }
            this.wait(deadline_in(this.timeout), None);
        }
        let mut by = None;
        loop {
            let result = match &mut this.state {
                State::There { reply, deadline } => {
                    let ended = ready!(reply.poll_ended(task));
                    let (instance, deadline) = (reply.instance(), *deadline);
                    match conclude::<M>(ended, this.caller.node.decode_limits()) {
                        Ok(reply) => {
                            this.caller.route.note_success(instance);
                            by = Some(instance);
                            Ok(reply)
                        }
                        Err(fault) => match this.no_reply(instance, fault, deadline) {
                            Some(fault) => Err(fault),
                            None => continue,
                        },
                    }
                }
                State::Here { told, alarm, instance, ticket, .. } => match Pin::new(told).poll(task) {
                    Poll::Ready(Ok(reply)) => {
                        this.caller.route.note_success(*instance);
                        this.state = State::Ended(Some(*instance));
                        this.part.end(None, "replied");
                        return Poll::Ready(Ok(reply));
                    }
                    Poll::Ready(Err(_)) => {
                        this.caller.route.failed(*instance);
                        this.tries = 1;
                        Err(Fault::Refused(Refusal::Panicked))
                    }
                    Poll::Pending => {
                        let alarms = this.caller.node.alarms();
                        let alarm = alarm.get_or_insert_with(|| alarms.at(deadline_in(this.timeout)));
                        ready!(Pin::new(alarm).poll(task));
                        let (instance, ticket) = (*instance, *ticket);
                        this.caller.route.failed(instance);
                        this.tries = 1;
                        Err(this.late(instance, ticket))
                    }
                },
                State::Waiting(waiting) => match ready!(waiting.as_mut().poll(task)) {
                    Ok((reply, instance)) => {
                        by = Some(instance);
                        Ok(reply)
                    }
                    Err(failed) => {
                        this.tries = failed.tries;
                        Err(failed.fault)
                    }
                },
                State::New | State::Ended(_) => panic!("a call was polled after it had ended"),
            };
            this.state = State::Ended(by);
            this.part.end(result.as_ref().err(), "replied");
            return Poll::Ready(result);
        }
    }
}
