//! A service of the mesh in the guise of an actix `Recipient`: a mailbox whose messages are passed on as they come.
//!
//! actix's `do_send` never refuses, so what is sent without a reply has two bounds here: of what nobody has taken out of such
//! mailboxes, and of what is under way to one service. Beyond them messages are dropped and counted. What waits for a reply is its
//! callers', as many as they wait for.

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
use meshzero_actors::caller::Caller;
use meshzero_actors::events;

use crate::error::CallError;
use crate::request::Request;

/// Messages without a reply that may be in the mailboxes of all recipients of this process, before those that come are dropped.
/// They stay there for as long as a node's thread does something else.
const MOST_UNTAKEN: usize = 1_024;

/// How many there are.
static UNTAKEN: AtomicUsize = AtomicUsize::new(0);

/// Messages whose senders are held up where they wait for it, as actix has it.
const MAILBOX: usize = 16;

/// A recipient whose messages `caller` passes on. It lives as long as somebody holds it.
pub(crate) fn forwarding<M: NetMessage>(caller: &Arc<Caller>) -> Recipient<M> {
    let (sender, receiver) = channel::<Forward>(MAILBOX);
    let (home, caller) = (caller.node.home().clone(), Arc::clone(caller));
    // Where the thread has ended, whoever sends finds out.
    let _ = home.spawn(move || pass_on(receiver, Forward { caller, told: Rc::default() }));
    Addr::new(sender).recipient()
}

/// Takes messages out of the mailbox and passes them on, until nobody can send any more.
async fn pass_on(mut mailbox: AddressReceiver<Forward>, mut forward: Forward) {
    let next = |mailbox: &mut AddressReceiver<Forward>, task: &mut std::task::Context<'_>| match Pin::new(
        &mut *mailbox,
    )
    .poll_next(task)
    {
        Poll::Pending if !mailbox.connected() => Poll::Ready(None),
        next => next,
    };
    while let Some(mut envelope) = poll_fn(|task| next(&mut mailbox, task)).await {
        envelope.handle(&mut forward, &mut Passing);
    }
}

/// The way to one service.
struct Forward {
    caller: Arc<Caller>,
    /// Held by each message without a reply that is under way.
    told: Rc<()>,
}

impl Forward {
    fn pass_on<M: NetMessage>(&self, message: M, reply: Option<OneshotSender<M::Result>>) {
        let request = Request::new(Arc::clone(&self.caller), message);
        let Some(mut reply) = reply else {
            let most = self.caller.node.limits().mailbox;
            if Rc::strong_count(&self.told) > most {
                return self.drop_one();
            }
            let told = Rc::clone(&self.told);
            actix::spawn(async move {
                if let Err(error) = request.await {
                    warn(&error);
                }
                drop(told);
            });
            return;
        };
        actix::spawn(async move {
            tokio::select! {
                biased;
                // A caller that has given up cancels it.
                () = reply.closed() => {}
                result = request => match result {
                    Ok(result) => drop(reply.send(result)),
                    Err(error) => warn(&error),
                },
            }
        });
    }

    /// A message is dropped because too many are under way.
    fn drop_one(&self) {
        self.caller.route.count_dropped();
        let service = self.caller.route.target();
        events::record(|| tracing::warn!(%service, "a message was not passed on: too many are under way"));
    }
}

fn warn(error: &CallError) {
    events::record(|| tracing::warn!(%error, "a message that was passed on has no reply"));
}

impl Actor for Forward {
    type Context = Passing;
}

/// In actix's words, the handler of whatever is sent. It is called for what has been taken out of the mailbox.
impl<M: NetMessage> Handler<M> for Forward {
    type Result = Later;

    fn handle(&mut self, message: M, _: &mut Passing) -> Later {
        self.pass_on(message, None);
        Later
    }
}

/// A reply that comes in another way.
struct Later;

impl<M: NetMessage> MessageResponse<Forward, M> for Later {
    fn handle(self, _: &mut Passing, _: Option<OneshotSender<M::Result>>) {}
}

/// The context of a [`Forward`], which has none of an actor's.
struct Passing;

impl ActorContext for Passing {
    fn stop(&mut self) {}

    fn terminate(&mut self) {}

    fn state(&self) -> ActorState {
        ActorState::Running
    }
}

impl<M: NetMessage> ToEnvelope<Forward, M> for Passing {
    fn pack(message: M, reply: Option<OneshotSender<M::Result>>) -> Envelope<Forward> {
        let passed = match reply {
            Some(_) => Passed { message: Some(message), reply, _untaken: None },
            None => {
                let untaken = Untaken::new();
                // Without its message where there are too many: then it only says so.
                Passed { message: untaken.is_some().then_some(message), reply, _untaken: untaken }
            }
        };
        Envelope::with_proxy(Box::new(passed))
    }
}

/// A message in the mailbox.
struct Passed<M: NetMessage> {
    message: Option<M>,
    reply: Option<OneshotSender<M::Result>>,
    _untaken: Option<Untaken>,
}

impl<M: NetMessage> EnvelopeProxy<Forward> for Passed<M> {
    fn handle(&mut self, forward: &mut Forward, _: &mut Passing) {
        match self.message.take() {
            Some(message) => forward.pass_on(message, self.reply.take()),
            None => forward.drop_one(),
        }
    }
}

/// One of those that nobody has taken.
struct Untaken;

impl Untaken {
    fn new() -> Option<Self> {
        let before = UNTAKEN.fetch_add(1, Ordering::Relaxed);
        let untaken = Self;
        (before < MOST_UNTAKEN).then_some(untaken)
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        UNTAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}
