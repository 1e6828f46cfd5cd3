//! One message without a reply, from a caller to an instance behind a route.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use meshzero_proto::codec;
use meshzero_proto::trace::TraceContext;

use crate::client::attempt::{self, local};
use crate::client::caller::{Caller, deadline_in};
use crate::client::error::CallErrorKind;
use crate::client::fair_queue;
use crate::client::link::outgoing::OutgoingMessage;
use crate::client::link::{Link, SendError};
use crate::client::offload::{Offload, SentFlag};
use crate::client::route::Member;
use crate::link::send_queue::{SendPermit, SpaceNeeded};
use crate::message::NetMessage;
use crate::runtime::blocking;
use crate::runtime::rare::Rare;
use crate::runtime::semaphore::Permits;
use crate::server::actor::local::{LocalEntry, LocalEnvelope};
use crate::server::service::Service;
use crate::telemetry::trace::{OutgoingSpan, OutgoingSpanState};

/// A message without a reply, sent to an instance behind a route: done once the message is in the send queue, or in the inbox
/// of a service of this process.
///
/// A poll of it is two functions, so that no error is moved where there is none: [`Tell::start`], and unless that has sent
/// the message, [`Tell::poll_slow`].
///
/// # Cancel safety
/// Dropping it before it is done gives up the message, unless that has been sent already: a tell that waits is sent in its
/// turn even if it is not polled, and one that has filled a batch yields afterwards.
pub struct Tell<'a, M: NetMessage> {
    caller: &'a Arc<Caller>,
    /// The timeout; `None` for that of the limits.
    timeout: Option<Duration>,
    /// The message, until it is sent or waits.
    message: Option<M>,
    /// Set if the first poll was not the last.
    pending: Rare<PendingTell>,
    span: OutgoingSpanState,
}

/// A tell after its first poll.
enum PendingTell {
    /// The message has been sent, and other tasks on this thread run first.
    Sent,
    Waiting(Offload<Result<(), CallErrorKind>>),
}

impl<M: NetMessage> Unpin for Tell<'_, M> {}

impl<'a, M: NetMessage> Tell<'a, M> {
    /// A tell under the type's own name, with the default timeout of the limits, as part of the current trace.
    #[inline(always)]
    pub fn new(caller: &'a Arc<Caller>, message: M) -> Self {
        let span = OutgoingSpanState::for_current();
        Self { caller, timeout: None, message: Some(message), pending: Rare::NONE, span }
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        self.caller
    }

    /// The timeout, from the first poll.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or_else(|| self.caller.context.limits().request_timeout)
    }

    /// Changes the timeout. Has no effect after the first poll.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    /// Changes the trace that the message is part of. Has no effect after the first poll.
    pub fn set_trace(&mut self, parent: TraceContext) {
        self.span.set_parent(parent);
    }

    /// Sends the message if that is possible at once.
    #[inline(always)]
    pub fn start(&mut self) -> TellStart {
        if self.message.is_none() {
            return TellStart::Started;
        }
        let route = &self.caller.route;
        self.span.start::<M>(route.target(), None);
        let (message, trace) = (&mut self.message, self.span.context());
        let started = match route.has_waiters() {
            true => TellStart::NotSent,
            false => route.with_pick(|member| Self::try_send(message, member, trace)),
        };
        if started == TellStart::Sent {
            self.message = None;
            self.span.end(None, "told");
        }
        started
    }

    /// Continues after a [`Tell::start`] with this result.
    ///
    /// # Panics
    /// If the tell had ended before.
    #[cold]
    #[inline(never)]
    pub fn poll_slow(
        &mut self,
        started: TellStart,
        task: &mut Context<'_>,
    ) -> Poll<Result<(), CallErrorKind>> {
        match started {
            TellStart::Sent => return Poll::Ready(Ok(())),
            TellStart::Closed => return Poll::Ready(self.end(Err(closed_error()))),
            TellStart::Started => {}
            TellStart::TurnOver => {
                self.message = None;
                self.pending = Rare::some(PendingTell::Sent);
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            TellStart::NotSent => {
                let message = self.message.take().expect("it was not sent");
                let (caller, deadline) = (Arc::clone(self.caller), deadline_in(self.timeout()));
                let trace = self.span.context().copied();
                let executor = &self.caller.context.executor;
                let message: Box<dyn UnsentMessage> = Box::new(message);
                let future = Box::pin(async move { tell(&caller, message, deadline, trace).await });
                // It waits for nothing once the message has been sent.
                let waiting = Offload::new(future, executor, SentFlag::default());
                self.pending = Rare::some(PendingTell::Waiting(waiting));
            }
        }
        let result = match self.pending.as_deref_mut().expect("a tell was polled after it had ended") {
            PendingTell::Sent => Ok(()),
            PendingTell::Waiting(waiting) => std::task::ready!(waiting.poll(task)),
        };
        Poll::Ready(self.end(result))
    }

    fn end(&mut self, result: Result<(), CallErrorKind>) -> Result<(), CallErrorKind> {
        self.message = None;
        self.pending = Rare::NONE;
        self.span.end(result.as_ref().err().map(|error| error as _), "told");
        result
    }

    /// Sends the message if that is possible at once.
    #[inline(always)]
    fn try_send(message: &mut Option<M>, member: Option<&Member>, trace: Option<&TraceContext>) -> TellStart {
        match (member, &message) {
            (Some(Member::Remote(link, _)), Some(message)) => {
                match link.try_tell(
                    OutgoingMessage { message, name: None, deadline: None, trace },
                    SpaceNeeded::Ahead,
                ) {
                    Ok(range) if range.ends_turn => TellStart::TurnOver,
                    Ok(_) => TellStart::Sent,
                    // The slower path reports the reason, if the tell fails there as well.
                    Err(_) => TellStart::NotSent,
                }
            }
            (Some(Member::Local(service, _)), _) => {
                if let Some(LocalEntry::Inbox(inbox)) = service.types.local_entry::<M>(None)
                    && let Some(permit) = service.try_acquire()
                    && let Some(message) = message.take()
                {
                    let envelope = LocalEnvelope { reply: None, permit };
                    let ticket = local::push_local(inbox.as_ref(), message, envelope, trace);
                    return if ticket.is_rejected() { TellStart::Closed } else { TellStart::Sent };
                }
                TellStart::NotSent
            }
            _ => TellStart::NotSent,
        }
    }
}

/// The result of [`Tell::start`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TellStart {
    /// The message has been sent.
    Sent,
    /// Sent, and other tasks on the thread have to run.
    TurnOver,
    /// The service has just closed.
    Closed,
    /// Not sent: [`Tell::poll_slow`] waits, or returns the reason.
    NotSent,
    /// An earlier call has sent the message, or it waits.
    Started,
}

/// A message that has not been sent, without its type: the waits for room are compiled once, and not for each type of message.
trait UnsentMessage: Send {
    /// Returns the name of its type.
    fn type_name(&self) -> &str;

    /// Sends it to another process.
    fn send(
        &self,
        link: &Link,
        permit: SendPermit<'_>,
        trace: Option<&TraceContext>,
    ) -> Result<(), SendError>;

    /// Hands it to an actor of this process.
    fn deliver(
        self: Box<Self>,
        service: &Arc<Service>,
        permit: Permits,
        trace: Option<TraceContext>,
    ) -> Result<(), CallErrorKind>;
}

impl<M: NetMessage> UnsentMessage for M {
    fn type_name(&self) -> &str {
        codec::type_info::<M>().name()
    }

    fn send(
        &self,
        link: &Link,
        permit: SendPermit<'_>,
        trace: Option<&TraceContext>,
    ) -> Result<(), SendError> {
        link.tell(permit, OutgoingMessage { message: self, name: None, deadline: None, trace }).map(drop)
    }

    fn deliver(
        self: Box<Self>,
        service: &Arc<Service>,
        permit: Permits,
        trace: Option<TraceContext>,
    ) -> Result<(), CallErrorKind> {
        tell_local(service, *self, permit, trace).map_err(|error| match error {
            TellError::Impossible(error) => error,
            TellError::Full(_) | TellError::NotConnected(_) => {
                CallErrorKind::NotSent("the actor has stopped".to_owned())
            }
        })
    }
}

async fn tell(
    caller: &Caller,
    message: Box<dyn UnsentMessage>,
    deadline: Option<Instant>,
    trace: Option<TraceContext>,
) -> Result<(), CallErrorKind> {
    let mut expiry = caller.context.timers.sleep_until(deadline);
    let mut turn = match caller.wait_for(&mut expiry, caller.route.turn()).await {
        Ok(turn) => turn,
        Err(error) => return Err(caller.explain(error).await),
    };
    loop {
        let member = caller.wait_for_instance(&mut expiry).await?;
        match member {
            Member::Remote(link, _) => {
                let permit = tokio::select! {
                    biased;
                    permit = fair_queue::hold_turn_until_queued(&mut turn, link.reserve_tell()) => permit,
                    () = blocking::detect_blocking(&caller.context.executor) => None,
                    () = &mut expiry => return Err(CallErrorKind::NotSent("the connection had no room in time".to_owned())),
                };
                let Some(permit) = permit else { continue };
                match message.send(&link, permit, trace.as_ref()) {
                    Ok(()) => return Ok(()),
                    Err(SendError::Closed) => {}
                    Err(error) => return Err(attempt::send_error(error, &link, message.type_name())),
                }
            }
            Member::Local(service, _) => {
                let permit = tokio::select! {
                    biased;
                    permit = fair_queue::hold_turn_until_queued(&mut turn, service.acquire_in_turn()) => permit,
                    () = blocking::detect_blocking(&service.executor) => None,
                    () = &mut expiry => {
                        return Err(CallErrorKind::NotSent("the service was busy until the deadline".to_owned()));
                    }
                };
                // Without a permit the service has closed meanwhile; if the node has ended, the next attempt returns
                // the error.
                let Some(permit) = permit.filter(|_| !caller.context.shutdown.is_triggered()) else {
                    continue;
                };
                let (permit, _turn) = permit.into_parts();
                return message.deliver(&service, permit, trace);
            }
        }
    }
}

/// The reason why a message was not sent, with the message.
#[derive(Debug)]
pub enum TellError<M> {
    /// The service's queue, or the send queue to it, is full.
    Full(M),
    /// No instance is connected.
    NotConnected(M),
    /// The service does not handle the message or has been closed, or the message cannot be encoded.
    Impossible(CallErrorKind),
}

/// Sends `message` without a reply, if there is room at once.
///
/// # Errors
/// [`TellError`]; no instance will see the message.
pub fn try_tell<M: NetMessage>(caller: &Caller, message: M) -> Result<(), TellError<M>> {
    let mut span_state = OutgoingSpanState::for_current();
    span_state.start::<M>(caller.route.target(), None);
    let result = try_tell_for(caller, message, span_state.context());
    if let Some(span) = span_state.started() {
        record(span, &result);
    }
    result
}

#[cold]
fn record<M>(span: &mut OutgoingSpan, result: &Result<(), TellError<M>>) {
    match result {
        Ok(()) => span.end("told"),
        Err(TellError::Full(_)) => span.end("failed: no room"),
        Err(TellError::NotConnected(_)) => span.end("failed: no instance is connected"),
        Err(TellError::Impossible(error)) => span.end(format_args!("failed: {error:?}")),
    }
}

#[inline]
fn try_tell_for<M: NetMessage>(
    caller: &Caller,
    message: M,
    trace: Option<&TraceContext>,
) -> Result<(), TellError<M>> {
    caller.route.with_pick(|member| match member {
        Some(_) if caller.route.has_waiters() => Err(TellError::Full(message)),
        None => Err(TellError::NotConnected(message)),
        Some(Member::Remote(link, _)) => {
            let outgoing = OutgoingMessage { message: &message, name: None, deadline: None, trace };
            match link.try_tell(outgoing, SpaceNeeded::Limit) {
                Ok(_) => Ok(()),
                Err(SendError::Closed) => Err(TellError::NotConnected(message)),
                Err(SendError::Full) => Err(TellError::Full(message)),
                Err(error) => Err(TellError::Impossible(attempt::send_error(
                    error,
                    link,
                    codec::type_info::<M>().name(),
                ))),
            }
        }
        Some(Member::Local(service, _)) => match service.try_acquire() {
            Some(permit) => tell_local(service, message, permit, trace.copied()),
            None => Err(TellError::Full(message)),
        },
    })
}

/// Returns the error of a tell to a service that has just closed.
fn closed_error() -> CallErrorKind {
    CallErrorKind::NotSent("the service has closed".to_owned())
}

fn tell_local<M: NetMessage>(
    service: &Arc<Service>,
    message: M,
    permit: Permits,
    trace: Option<TraceContext>,
) -> Result<(), TellError<M>> {
    match service.types.local_entry::<M>(None) {
        Some(LocalEntry::Inbox(inbox)) => {
            let envelope = LocalEnvelope { reply: None, permit };
            match local::push_local(inbox.as_ref(), message, envelope, trace.as_ref()).is_rejected() {
                true => Err(TellError::Impossible(closed_error())),
                false => Ok(()),
            }
        }
        Some(LocalEntry::Mailbox(mailbox)) if mailbox.is_open() => {
            mailbox.send(message, LocalEnvelope { reply: None, permit }, &service.executor);
            Ok(())
        }
        Some(LocalEntry::Mailbox(_)) => Err(TellError::NotConnected(message)),
        None => local::deliver_encoded(service, None, &message, trace, None, permit)
            .map_err(TellError::Impossible),
    }
}
