//! An actor that the user runs, known by its address: messages enter through its mailbox.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::{Actor, Addr, Context};
use meshzero_proto::name::TypeName;
use tokio::sync::{Notify, oneshot};

use crate::runtime::clock;
use crate::runtime::executor::Executor;
use crate::server::actor::decoding::{DecodeContext, HandlerContext};
use crate::server::actor::entry::ActorEntry;
use crate::server::actor::handler::{DecodeFn, ForwardFn, Registration};
use crate::server::request::delivery::{Delivery, IncomingMessage};
use crate::server::request::in_progress::{CountsByType, HandlerInProgress};
use crate::server::request::inbound::InboundMessage;
use crate::server::request::reply::ReplyBatch;

/// The entry to an actor that the user runs.
pub struct ExternalActor<A: Actor> {
    addr: Addr<A>,
    handlers: Box<[MailboxHandler<A>]>,
    decoding: DecodeContext,
    /// The thread on which handled messages are completed.
    executor: Executor,
    closed: AtomicBool,
    /// The notification that a message found the actor stopped.
    found_stopped: Notify,
}

/// The interval at which an idle actor is checked: actix does not report that an actor has stopped.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The functions that put messages of one type into the mailbox.
struct MailboxHandler<A: Actor> {
    name: TypeName,
    in_progress: HandlerInProgress,
    forward: ForwardFn<A>,
    decode_tell: DecodeFn<A>,
}

impl<A: Actor<Context = Context<A>>> ExternalActor<A> {
    pub(crate) fn new(
        addr: Addr<A>,
        handlers: &[Registration<A>],
        decoding: DecodeContext,
        executor: Executor,
    ) -> Self {
        let handlers = handlers.iter().map(|handler| MailboxHandler {
            name: handler.name.clone(),
            in_progress: HandlerInProgress::default(),
            forward: handler.forward,
            decode_tell: handler.decode_tell,
        });
        let handlers = handlers.collect();
        Self {
            addr,
            handlers,
            decoding,
            executor,
            closed: AtomicBool::new(false),
            found_stopped: Notify::new(),
        }
    }

    /// Waits until the actor has stopped, and then calls `on_stopped`: at once if a message finds it stopped, else within
    /// a tenth of a second. Returns without calling it when the service is closed.
    pub(crate) async fn watch_stopped(this: Weak<Self>, on_stopped: impl FnOnce()) {
        while let Some(external) = this.upgrade()
            && !external.closed.load(Ordering::Acquire)
        {
            if !external.addr.connected() {
                tracing::warn!(
                    actor = std::any::type_name::<A>(),
                    "an advertised actor has stopped: withdrawn"
                );
                return on_stopped();
            }
            // Notified or not, the actor is checked again.
            let _ = tokio::time::timeout(CHECK_INTERVAL, external.found_stopped.notified()).await;
        }
    }

    /// Returns whether messages can enter, and wakes the check if the actor has stopped.
    fn accepts(&self) -> bool {
        if !self.addr.connected() {
            self.found_stopped.notify_one();
            return false;
        }
        !self.closed.load(Ordering::Acquire)
    }

    /// The actor's address.
    pub(crate) fn addr(&self) -> Addr<A> {
        self.addr.clone()
    }
}

impl<A: Actor<Context = Context<A>>> ActorEntry for ExternalActor<A> {
    fn deliver(&self, mut delivery: Delivery) {
        if !self.accepts() {
            return;
        }
        // A mailbox is first in, first out: when the last tell has been handled, so have those before it. The last one
        // that decodes is found first, and the others are then sent without waiting for their completion.
        let mut last_tell = delivery.last_tell(|slot, payload, encoding| {
            self.handlers
                .get(slot)
                .and_then(|handler| (handler.decode_tell)(payload, encoding, &self.decoding.limits))
        });
        let responder = Arc::clone(delivery.responder());
        let mut frames = Vec::new();
        let mut batch = ReplyBatch::new(&responder, &mut frames);
        let now = clock::now();
        // A trace ends here: the actor's own mailbox has no room for it.
        while let Some(message) = delivery.next(None, now, batch.frames(now), |_| {}) {
            let after = message.following;
            if let Some((_, send)) = last_tell.take_if(|(last_tell, _)| *last_tell == after) {
                actix::spawn(send(&self.addr, message.permit.detach_all(after)));
            } else if let Some(MailboxHandler { name, in_progress, forward, .. }) =
                self.handlers.get(message.slot)
            {
                let finish = forward(
                    &self.addr,
                    message,
                    &HandlerContext { name, decoding: &self.decoding, in_progress },
                );
                finish.map(actix::spawn);
            }
        }
    }

    fn deliver_alone(&self, slot: usize, mut inbound: InboundMessage) {
        if !self.accepts() {
            return inbound.reject_draining();
        }
        if let Some(MailboxHandler { name, in_progress, forward, .. }) = self.handlers.get(slot)
            && inbound.should_run(clock::now())
        {
            let payload = std::mem::take(&mut inbound.payload);
            let message = IncomingMessage::alone(slot, &payload, inbound);
            if let Some(finish) =
                forward(&self.addr, message, &HandlerContext { name, decoding: &self.decoding, in_progress })
            {
                // If the thread has ended, the reply is dropped, and the caller is notified.
                let _ = self.executor.spawn(move || finish);
            }
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Messages in the mailbox stay there: it belongs to the program.
    fn abandon(&self, report: oneshot::Sender<CountsByType>) {
        self.close();
        let counts =
            self.handlers.iter().map(|handler| (handler.name.to_string(), handler.in_progress.count()));
        // Fails if nobody waits any more.
        let _ = report.send(counts.filter(|(_, count)| *count > 0).collect());
    }

    fn is_alive(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && self.addr.connected()
    }

    fn restarts(&self) -> u64 {
        0
    }
}
