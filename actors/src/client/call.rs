//! One call: a message sent to an instance behind a route, and its reply.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use meshzero_proto::call::retry::{FailureClass, Idempotency};
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::TypeName;
use meshzero_proto::trace::TraceContext;
use tokio::sync::oneshot;

use crate::client::attempt::{AttemptedCall, CallAttempts, TypedMessage, local};
use crate::client::caller::{Caller, conclude, deadline_in};
use crate::client::error::CallErrorKind;
use crate::client::link::ReplyFuture;
use crate::client::link::outgoing::{Deadline, OutgoingMessage};
use crate::client::offload::Offload;
use crate::client::route::Member;
use crate::message::NetMessage;
use crate::runtime::blocking::BlockingCheck;
use crate::runtime::timer::Sleep;
use crate::server::actor::inbox::JobId;
use crate::server::actor::local::{LocalEntry, LocalEnvelope};
use crate::server::service::Service;
use crate::telemetry::trace::OutgoingSpanState;

/// A message sent to an instance behind a route, and its reply. Nothing happens before the first poll.
///
/// Where an instance is connected and has room, the message is sent in the first poll without an allocation. A call
/// that may have to wait becomes a boxed future.
///
/// # Cancel safety
/// This future is cancel safe: dropping it cancels the call, and a message that still waits is not handled.
pub struct OutgoingCall<M: NetMessage> {
    caller: Arc<Caller>,
    name: Option<TypeName>,
    timeout: Duration,
    idempotency: Idempotency,
    /// The number of attempts, once the call has failed.
    attempts: u32,
    /// The message, while it may have to be sent again.
    message: Option<M>,
    state: CallState<M::Result>,
    span: OutgoingSpanState,
    blocking: BlockingCheck,
}

enum CallState<R> {
    New,
    /// The message was sent to another process.
    Remote {
        reply: ReplyFuture,
        deadline: Option<Instant>,
    },
    /// The message is in the inbox of an actor of this process, or with its handler.
    Local {
        reply: oneshot::Receiver<R>,
        /// The service, because a closing service is found nowhere else.
        service: Arc<Service>,
        job: JobId,
        /// The timer of the deadline, set when the reply does not come at once.
        expiry: Option<Sleep>,
    },
    Waiting(Offload<AttemptedCall>),
    /// The call has ended, with the instance that replied, if one did.
    Ended(Option<InstanceId>),
}

impl<M: NetMessage> Unpin for OutgoingCall<M> {}

impl<M: NetMessage> OutgoingCall<M> {
    /// A call under the type's own name, with the default timeout of the limits, as part of the current trace.
    #[inline(always)]
    pub fn new(caller: Arc<Caller>, message: M) -> Self {
        let (span, timeout) = (OutgoingSpanState::for_current(), caller.context.limits().request_timeout);
        let (idempotency, message) = (Idempotency::default(), Some(message));
        Self {
            caller,
            name: None,
            timeout,
            idempotency,
            attempts: 0,
            message,
            state: CallState::New,
            span,
            blocking: BlockingCheck::default(),
        }
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The timeout, from the first poll.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Changes the timeout. Has no effect after the first poll.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Changes the name under which the message is sent. Has no effect after the first poll.
    pub fn set_name(&mut self, name: TypeName) {
        self.name = Some(name);
    }

    /// Changes the trace that the call is part of. Has no effect after the first poll.
    pub fn set_trace(&mut self, parent: TraceContext) {
        self.span.set_parent(parent);
    }

    /// Declares that handling the message twice does no harm. Has no effect after the first poll.
    pub fn set_idempotent(&mut self) {
        self.idempotency = Idempotency::Idempotent;
    }

    /// The number of attempts, once the call has failed.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The instance that replied, once one has, if it is still connected.
    pub fn replied_by(&self) -> Option<Member> {
        match self.state {
            CallState::Ended(Some(instance)) => self.caller.route.member(instance),
            _ => None,
        }
    }

    /// Sends the message if that is possible at once, and returns whether it was sent.
    #[inline]
    fn try_send(&mut self, task: &Context<'_>) -> bool {
        let Self { caller, name, timeout, message, state, span, .. } = self;
        let (name, timeout) = (name.as_ref(), *timeout);
        if caller.route.health.has_ejected() || caller.route.has_waiters() {
            // This call may have to probe an ejected instance, or to wait for calls before it.
            return false;
        }
        caller.route.with_pick(|member| match member {
            Some(Member::Remote(link, _)) => {
                let deadline = deadline_in(timeout);
                let outgoing_deadline = deadline.map(|at| Deadline { at, remaining: timeout });
                let trace = span.context();
                // The slower path reports the reason, if the call fails there as well.
                if let Some(message) = &*message
                    && let Ok(reply) = link.try_call(
                        OutgoingMessage { message, name, deadline: outgoing_deadline, trace },
                        task.waker(),
                    )
                {
                    *state = CallState::Remote { reply, deadline };
                    return true;
                }
                false
            }
            Some(Member::Local(service, _)) => {
                if let Some(LocalEntry::Inbox(inbox)) = service.types.local_entry::<M>(name)
                    && let Some(permit) = service.try_acquire()
                    && let Some(message) = message.take()
                {
                    let (tx, reply) = oneshot::channel();
                    let trace = span.context();
                    let envelope = LocalEnvelope { reply: Some(tx), permit };
                    let job = local::push_local(inbox.as_ref(), message, envelope, trace);
                    *state = CallState::Local { reply, service: Arc::clone(service), job, expiry: None };
                    // The handler runs before this future is polled again, which often is all the time it takes.
                    task.waker().wake_by_ref();
                    return true;
                }
                false
            }
            None => false,
        })
    }

    /// Continues on the path that may wait, after an attempt that has failed, or without one.
    #[inline(never)]
    fn start_waiting(
        &mut self,
        deadline: Option<Instant>,
        first_failure: Option<(InstanceId, CallErrorKind)>,
    ) {
        if let Some(message) = self.message.take() {
            let message = Box::new(TypedMessage::new(message));
            let call = CallAttempts {
                caller: Arc::clone(&self.caller),
                name: self.name.clone(),
                deadline,
                idempotency: self.idempotency,
                trace: self.span.context().copied(),
            };
            self.state = CallState::Waiting(call.start(message, first_failure));
        }
    }

    /// Returns the error of a call to another process that has failed; `None` if it is tried again.
    #[cold]
    fn handle_failure(
        &mut self,
        instance: InstanceId,
        error: CallErrorKind,
        deadline: Option<Instant>,
    ) -> Option<CallErrorKind> {
        if error.is_failure() {
            self.caller.route.record_failure(instance);
        }
        self.attempts = 1;
        let may_retry = match error.retry_class() {
            FailureClass::NotSent | FailureClass::Refused | FailureClass::Closing => true,
            FailureClass::Late | FailureClass::Unknown => self.idempotency == Idempotency::Idempotent,
            FailureClass::Final => false,
        };
        if !may_retry || self.message.is_none() {
            return Some(error);
        }
        self.start_waiting(deadline, Some((instance, error)));
        None
    }

    /// Returns whether only this thread can complete the call.
    #[cold]
    fn waits_for_this_thread(&self) -> bool {
        match &self.state {
            CallState::Remote { .. } => self.caller.context.executor.is_here(),
            CallState::Local { service, .. } => service.executor.is_here(),
            // A waiting call checks that itself.
            CallState::New | CallState::Waiting(_) | CallState::Ended(_) => false,
        }
    }
}

impl<M: NetMessage> Drop for OutgoingCall<M> {
    #[inline]
    fn drop(&mut self) {
        if let CallState::Local { service, job, .. } = &self.state {
            local::withdraw::<M>(service, self.name.as_ref(), *job);
        }
    }
}

impl<M: NetMessage> Future for OutgoingCall<M> {
    type Output = Result<M::Result, CallErrorKind>;

    /// # Panics
    /// If it is polled after it has ended, or again while it blocks the thread that has to deliver the reply.
    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let CallState::New = this.state {
            this.blocking = BlockingCheck::begin(task);
            this.span.start::<M>(this.caller.route.target(), this.name.as_ref());
            if this.try_send(task) {
                // The link has the waker, and a caller in this process has been woken.
                return Poll::Pending;
            }
            this.start_waiting(deadline_in(this.timeout), None);
        }
        let polled = this.poll_end(task);
        if polled.is_pending() {
            let mut blocking = this.blocking;
            blocking.check(task, || this.waits_for_this_thread());
            this.blocking = blocking;
        }
        polled
    }
}

impl<M: NetMessage> OutgoingCall<M> {
    /// Polls a call that has begun.
    #[inline(always)]
    fn poll_end(&mut self, task: &mut Context<'_>) -> Poll<Result<M::Result, CallErrorKind>> {
        let mut replied_by = None;
        loop {
            let result = match &mut self.state {
                CallState::Remote { reply, deadline } => {
                    let end = ready!(reply.poll_ended(task));
                    let (instance, deadline) = (reply.instance(), *deadline);
                    match conclude::<M>(end, &self.caller.context.decode_limits) {
                        Ok(reply) => {
                            self.caller.route.record_success(instance);
                            replied_by = Some(instance);
                            Ok(reply)
                        }
                        Err(error) => match self.handle_failure(instance, error, deadline) {
                            Some(error) => Err(error),
                            None => continue,
                        },
                    }
                }
                CallState::Local { reply, expiry, service, job } => match Pin::new(reply).poll(task) {
                    Poll::Ready(Ok(reply)) => {
                        let instance = service.identity.instance;
                        self.caller.route.record_success(instance);
                        self.state = CallState::Ended(Some(instance));
                        self.span.end(None, "replied");
                        return Poll::Ready(Ok(reply));
                    }
                    Poll::Ready(Err(_)) => {
                        let (service, job) = (Arc::clone(service), *job);
                        self.caller.route.record_failure(service.identity.instance);
                        self.attempts = 1;
                        Err(local::unanswered_error::<M>(
                            &self.caller.context,
                            &service,
                            self.name.as_ref(),
                            job,
                        ))
                    }
                    Poll::Pending if self.caller.context.shutdown.is_triggered() => {
                        self.attempts = 1;
                        Err(CallErrorKind::Lost)
                    }
                    Poll::Pending => {
                        let timers = &self.caller.context.timers;
                        let expiry =
                            expiry.get_or_insert_with(|| timers.sleep_until(deadline_in(self.timeout)));
                        ready!(Pin::new(expiry).poll(task));
                        let (service, job) = (Arc::clone(service), *job);
                        self.caller.route.record_failure(service.identity.instance);
                        self.attempts = 1;
                        Err(local::expire_queued::<M>(&service, self.name.as_ref(), job))
                    }
                },
                CallState::Waiting(waiting) => {
                    let AttemptedCall { result, message } = ready!(waiting.poll(task));
                    match result {
                        Ok(instance) => {
                            replied_by = Some(instance);
                            Ok(TypedMessage::<M>::reply_of(message))
                        }
                        Err(failure) => {
                            self.attempts = failure.attempts;
                            Err(failure.error)
                        }
                    }
                }
                CallState::New | CallState::Ended(_) => panic!("a call was polled after it had ended"),
            };
            self.state = CallState::Ended(replied_by);
            self.span.end(result.as_ref().err().map(|error| error as _), "replied");
            return Poll::Ready(result);
        }
    }
}
