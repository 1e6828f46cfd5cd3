//! A service of the mesh as an actix `Recipient`: a mailbox whose messages are forwarded to the service.
//!
//! actix's `do_send` never refuses, so messages without a reply have two limits here: the number in the mailboxes, and the number in
//! flight to one service. Messages beyond them are dropped and counted. Messages with a reply are limited by their callers, who wait
//! for them.
//!
//! actix creates the envelope of a message knowing only the types of both, and queues one for every message. So the first limit is for
//! all mailboxes of the process together, and a dropped message leaves an empty envelope, which takes an entry of actix's queue,
//! 32 bytes, until the node's thread runs.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use actix::dev::channel::{AddressReceiver, channel};
use actix::dev::{Envelope, EnvelopeProxy, MessageResponse, OneshotSender, ToEnvelope};
use actix::{Actor, ActorContext, ActorState, Addr, Handler, Recipient};
use futures_core::Stream;
use meshzero_actors::NetMessage;
use meshzero_actors::client::caller::Caller;
use meshzero_actors::runtime::events;

use crate::error::CallError;
use crate::request::Request;

/// The most messages without a reply in the mailboxes of all recipients of this process. They stay there while the node's thread
/// is busy.
const QUEUE_LIMIT: usize = 1_024;

/// The number of messages without a reply in the mailboxes of all recipients of this process. It belongs to no node or recipient,
/// because actix calls [`ToEnvelope::pack`] without either.
static QUEUED: AtomicUsize = AtomicUsize::new(0);

/// The capacity of a mailbox beyond which senders that wait for room have to wait, as in actix.
const MAILBOX: usize = 16;

/// Returns a recipient whose messages `caller` forwards, until the last clone of it is dropped.
pub(crate) fn forwarding<M: NetMessage>(caller: &Arc<Caller>) -> Recipient<M> {
    let (sender, receiver) = channel::<Proxy>(MAILBOX);
    let (home, caller) = (caller.context.executor.clone(), Arc::clone(caller));
    // If the thread has ended, senders get an error.
    let _ = home.spawn(move || forward(receiver, Proxy { caller, in_flight: Rc::default() }));
    Addr::new(sender).recipient()
}

/// Forwards messages from the mailbox until all senders are gone.
async fn forward(mut mailbox: AddressReceiver<Proxy>, mut proxy: Proxy) {
    let next = |mailbox: &mut AddressReceiver<Proxy>, task: &mut std::task::Context<'_>| match Pin::new(
        &mut *mailbox,
    )
    .poll_next(task)
    {
        Poll::Pending if !mailbox.connected() => Poll::Ready(None),
        next => next,
    };
    while let Some(mut envelope) = poll_fn(|task| next(&mut mailbox, task)).await {
        envelope.handle(&mut proxy, &mut ProxyContext);
    }
}

/// The actor, in actix's terms, that forwards messages to one service.
struct Proxy {
    caller: Arc<Caller>,
    /// Held by each message without a reply that is in flight.
    in_flight: Rc<()>,
}

impl Proxy {
    fn forward<M: NetMessage>(&self, message: M, reply: Option<OneshotSender<M::Result>>) {
        let request = Request::new(Arc::clone(&self.caller), message);
        let Some(mut reply) = reply else {
            let most = self.caller.context.limits().mailbox;
            if Rc::strong_count(&self.in_flight) > most {
                return self.count_dropped();
            }
            let in_flight = Rc::clone(&self.in_flight);
            actix::spawn(async move {
                if let Err(error) = request.await {
                    warn(&error);
                }
                drop(in_flight);
            });
            return;
        };
        actix::spawn(async move {
            tokio::select! {
                biased;
                // A caller that no longer waits cancels the request.
                () = reply.closed() => {}
                result = request => match result {
                    Ok(result) => drop(reply.send(result)),
                    Err(error) => warn(&error),
                },
            }
        });
    }

    /// Counts and logs a message that is dropped because too many are in flight.
    fn count_dropped(&self) {
        self.caller.route.count_dropped();
        let service = self.caller.route.target();
        events::record(|| tracing::warn!(%service, "a message was not passed on: too many are under way"));
    }
}

fn warn(error: &CallError) {
    events::record(|| tracing::warn!(%error, "a message that was passed on has no reply"));
}

impl Actor for Proxy {
    type Context = ProxyContext;
}

/// The handler that actix requires for each type of message.
impl<M: NetMessage> Handler<M> for Proxy {
    type Result = NoReply;

    fn handle(&mut self, message: M, _: &mut ProxyContext) -> NoReply {
        self.forward(message, None);
        NoReply
    }
}

/// The reply of a message that is sent without one.
struct NoReply;

impl<M: NetMessage> MessageResponse<Proxy, M> for NoReply {
    fn handle(self, _: &mut ProxyContext, _: Option<OneshotSender<M::Result>>) {}
}

/// The context of a [`Proxy`], which has no actor context.
struct ProxyContext;

impl ActorContext for ProxyContext {
    fn stop(&mut self) {}

    fn terminate(&mut self) {}

    fn state(&self) -> ActorState {
        ActorState::Running
    }
}

impl<M: NetMessage> ToEnvelope<Proxy, M> for ProxyContext {
    fn pack(message: M, reply: Option<OneshotSender<M::Result>>) -> Envelope<Proxy> {
        if reply.is_some() {
            return Envelope::with_proxy(Box::new(QueuedMessage {
                queued: Some((message, reply)),
                _permit: None,
            }));
        }
        match QueuePermit::try_new() {
            Some(permit) => {
                let queued = Some((message, None));
                Envelope::with_proxy(Box::new(QueuedMessage { queued, _permit: Some(permit) }))
            }
            // A box of an empty type does not allocate.
            None => Envelope::with_proxy(Box::new(DroppedMessage)),
        }
    }
}

/// A message in the mailbox.
struct QueuedMessage<M: NetMessage> {
    queued: Option<(M, Option<OneshotSender<M::Result>>)>,
    _permit: Option<QueuePermit>,
}

impl<M: NetMessage> EnvelopeProxy<Proxy> for QueuedMessage<M> {
    fn handle(&mut self, proxy: &mut Proxy, _: &mut ProxyContext) {
        if let Some((message, reply)) = self.queued.take() {
            proxy.forward(message, reply);
        }
    }
}

/// Stands in the mailbox for a message that was dropped because there were too many.
struct DroppedMessage;

impl EnvelopeProxy<Proxy> for DroppedMessage {
    fn handle(&mut self, proxy: &mut Proxy, _: &mut ProxyContext) {
        proxy.count_dropped();
    }
}

/// A permit to be in a mailbox.
struct QueuePermit;

impl QueuePermit {
    fn try_new() -> Option<Self> {
        let before = QUEUED.fetch_add(1, Ordering::Relaxed);
        // Before the check, so that the count is reverted when it is dropped.
        let permit = Self;
        (before < QUEUE_LIMIT).then_some(permit)
    }
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        QUEUED.fetch_sub(1, Ordering::Relaxed);
    }
}
