//! The supervision of an actor that the mesh runs: created by a factory, and restarted after a panic until it panics too
//! often.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::runtime::backoff::{Backoff, Jitter};
use crate::runtime::blocking;
use crate::runtime::clock;
use crate::runtime::executor::spawn_boxed;
use crate::runtime::panic::PanicMessage;
use crate::server::actor::decoding::DecodeContext;
use crate::server::actor::driver::ActorDriver;
use crate::server::actor::entry::{ActorEntry, ServiceEnd};
use crate::server::actor::handler::Registration;
use crate::server::actor::inbox::{Inbox, Job};
use crate::server::actor::restart_policy::{RestartLimiter, RestartPolicy};
use crate::server::request::delivery::Delivery;
use crate::server::request::in_progress::CountsByType;
use crate::server::request::inbound::InboundMessage;

/// The delays before an actor is restarted: none after a first panic, and these while no message is handled in between.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(5))
    .with_jitter(Jitter::None)
    .without_initial_delay();

/// A function that creates the actor: once at the start, and again after each panic.
pub(crate) type Factory<A> = Box<dyn FnMut() -> A + Send>;

/// The entry to an actor that the mesh runs.
pub struct SupervisedActor<A: Actor> {
    inbox: Arc<Inbox<A>>,
    addr: Arc<Mutex<Addr<A>>>,
    restart_count: Arc<AtomicU64>,
}

impl<A: Actor<Context = Context<A>>> SupervisedActor<A> {
    /// Starts the actor on the current arbiter. `on_end` is called there with the reason when it will not be restarted.
    ///
    /// # Errors
    /// [`PanicMessage`]: the factory panicked.
    pub(crate) fn start(
        factory: Factory<A>,
        service: String,
        handlers: &[Registration<A>],
        decoding: DecodeContext,
        mailbox: usize,
        restart: RestartPolicy,
        on_end: impl FnOnce(ServiceEnd) + 'static,
    ) -> Result<Self, PanicMessage> {
        let inbox = Arc::new(Inbox::new(service));
        let restart_count = Arc::new(AtomicU64::new(0));
        let mut supervisor = Supervisor {
            factory,
            inbox: Arc::clone(&inbox),
            driver: ActorDriver::new(Arc::clone(&inbox), handlers, decoding),
            mailbox,
            limiter: RestartLimiter::new(restart),
            restart_count: Arc::clone(&restart_count),
        };
        let (addr, first) = supervisor.make()?;
        let addr = Arc::new(Mutex::new(addr));
        // Weak, because an actor lives as long as its address is held.
        let shared = Arc::downgrade(&addr);
        let close_on_drop =
            CloseInboxOnDrop { inbox: Arc::clone(&inbox), end: ServiceEnd::Stopped, on_end: Some(on_end) };
        spawn_boxed(Box::pin(async move {
            let mut close_on_drop = close_on_drop;
            close_on_drop.end = supervisor.run(first, &shared).await;
        }));
        Ok(Self { inbox, addr, restart_count })
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox<A>> {
        &self.inbox
    }

    /// The current address of the actor, which changes after a panic.
    pub(crate) fn addr(&self) -> Addr<A> {
        self.addr.lock().clone()
    }
}

impl<A: Actor> ActorEntry for SupervisedActor<A> {
    fn deliver(&self, delivery: Delivery) {
        self.inbox.push(Job::Delivery(delivery));
    }

    fn deliver_alone(&self, slot: usize, inbound: InboundMessage) {
        self.inbox.push(Job::Alone(slot, Box::new(inbound)));
    }

    fn close(&self) {
        self.inbox.close();
    }

    fn abandon(&self, report: oneshot::Sender<CountsByType>) {
        self.inbox.request_abandon(report);
    }

    fn is_alive(&self) -> bool {
        !self.inbox.is_closed()
    }

    fn restarts(&self) -> u64 {
        self.restart_count.load(Ordering::Relaxed)
    }
}

/// Refuses waiting messages and reports the end when the actor's task ends, also if that is because its thread ends.
struct CloseInboxOnDrop<A: Actor, F: FnOnce(ServiceEnd)> {
    inbox: Arc<Inbox<A>>,
    end: ServiceEnd,
    on_end: Option<F>,
}

impl<A: Actor, F: FnOnce(ServiceEnd)> Drop for CloseInboxOnDrop<A, F> {
    fn drop(&mut self) {
        self.inbox.abandon();
        if let Some(on_end) = self.on_end.take() {
            on_end(self.end.clone());
        }
    }
}

type ContextFuture = Pin<Box<dyn Future<Output = ()>>>;

struct Supervisor<A: Actor> {
    factory: Factory<A>,
    inbox: Arc<Inbox<A>>,
    /// A clone of the driver runs in the context of each actor.
    driver: ActorDriver<A>,
    mailbox: usize,
    limiter: RestartLimiter,
    /// The number of restarts so far.
    restart_count: Arc<AtomicU64>,
}

impl<A: Actor<Context = Context<A>>> Supervisor<A> {
    /// Creates the actor and its context, with the driver in it. The actor runs when the future is polled.
    fn make(&mut self) -> Result<(Addr<A>, ContextFuture), PanicMessage> {
        let actor = {
            let _scope = blocking::BusyScope::block();
            catch_unwind(AssertUnwindSafe(&mut self.factory)).map_err(PanicMessage::new)?
        };
        let mut context = Context::new();
        context.set_mailbox_capacity(self.mailbox);
        context.spawn(self.driver.clone());
        let addr = context.address();
        Ok((addr, Box::pin(context.into_future(actor))))
    }

    /// Runs one actor after the other until one ends without a panic, or the restart limit is reached.
    async fn run(&mut self, first: ContextFuture, shared: &Weak<Mutex<Addr<A>>>) -> ServiceEnd {
        let actor = std::any::type_name::<A>();
        let mut context = Ok(first);
        let mut backoff = BACKOFF;
        loop {
            let before = self.driver.handled();
            let result = match context {
                Ok(context) => self.run_to_end(context).await,
                Err(panicked) => Err(panicked),
            };
            let Err(PanicMessage(panic)) = result else { return ServiceEnd::Stopped };
            let restarts = self.restart_count.load(Ordering::Relaxed);
            if !self.limiter.allow(clock::now()) {
                tracing::error!(actor, panic, restarts, "an actor panicked too often: its service ends");
                return ServiceEnd::GaveUp { restarts, panic };
            }
            tracing::error!(actor, panic, restarts, "an actor panicked and is restarted");
            if self.driver.handled() > before {
                backoff.reset();
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = poll_fn(|task| self.inbox.poll_abandoning(task.waker())) => self.driver.abandon(),
            }
            if self.inbox.is_closed() {
                return ServiceEnd::Closed;
            }
            self.restart_count.store(restarts + 1, Ordering::Relaxed);
            context = self.make().map(|(addr, context)| {
                if let Some(shared) = shared.upgrade() {
                    *shared.lock() = addr;
                }
                context
            });
        }
    }

    async fn run_to_end(&self, mut context: ContextFuture) -> Result<(), PanicMessage> {
        let end = poll_fn(|task| {
            let polled = catch_unwind(AssertUnwindSafe(|| context.as_mut().poll(task)));
            if self.inbox.is_abandoning() {
                self.driver.abandon();
            }
            match polled {
                Ok(poll) => poll.map(Ok),
                Err(payload) => Poll::Ready(Err(PanicMessage::new(payload))),
            }
        })
        .await;
        // actix polls a context once more when it is dropped while running, and then a handler may panic again.
        match catch_unwind(AssertUnwindSafe(|| drop(context))) {
            Ok(()) => end,
            Err(payload) => end.and(Err(PanicMessage::new(payload))),
        }
    }
}
