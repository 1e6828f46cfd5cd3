//! An actor that the mesh runs: made by a factory, fed from its inbox in its own context, made anew after a panic.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use actix::fut::ActorFuture;
use actix::{Actor, Addr, AsyncContext, Context};
use meshzero_proto::codec::DecodeLimits;
use meshzero_proto::name::TypeName;

use crate::delivery::{Arrived, Delivery};
use crate::due::Batch;
use crate::handler::{Calls, Known, Registration};
use crate::inbound::Inbound;
use crate::inbox::{Inbox, Job, Next};
use crate::run::Run;
use crate::service::Entry;

/// Messages handled in one go before the actor's mailbox and timers have their turn.
const TURN: u64 = 128;

/// The pause after a second panic without a handled message in between; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Makes the actor, at first and after each panic.
pub type Factory<A> = Box<dyn FnMut() -> A + Send>;

/// The entrance to an actor that the mesh runs.
pub struct Hosted<A: Actor> {
    inbox: Arc<Inbox<A>>,
    addr: Arc<Mutex<Addr<A>>>,
}

impl<A: Actor<Context = Context<A>>> Hosted<A> {
    /// Makes the actor on the current arbiter. `stopped` runs there when the actor has stopped itself for good.
    ///
    /// # Errors
    /// [`Panicked`]: the factory did.
    pub(crate) fn start(
        factory: Factory<A>,
        handlers: &[Registration<A>],
        limits: DecodeLimits,
        mailbox: usize,
        stopped: impl FnOnce() + 'static,
    ) -> Result<Self, Panicked> {
        let inbox = Arc::new(Inbox::new());
        let table = handlers.iter().map(|handler| (handler.name.clone(), handler.calls)).collect();
        let work = Rc::default();
        let mut host = Host { factory, inbox: Arc::clone(&inbox), table, limits, mailbox, work };
        let (addr, first) = catch_unwind(AssertUnwindSafe(|| host.make())).map_err(|_| Panicked)?;
        let addr = Arc::new(Mutex::new(addr));
        // Weak, because an actor lives as long as somebody has its address.
        let shared = Arc::downgrade(&addr);
        actix::spawn(async move {
            host.keep(first, &shared).await;
            host.inbox.abandon();
            stopped();
        });
        Ok(Self { inbox, addr })
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox<A>> {
        &self.inbox
    }

    /// The address of the actor as it is now; after a panic it is another.
    pub fn addr(&self) -> Addr<A> {
        self.addr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<A: Actor> Entry for Hosted<A> {
    fn deliver(&self, delivery: Delivery) {
        self.inbox.push(Job::Delivery(delivery));
    }

    fn deliver_alone(&self, slot: usize, inbound: Inbound) {
        self.inbox.push(Job::Alone(slot, inbound));
    }

    fn close(&self) {
        self.inbox.close();
    }

    fn is_alive(&self) -> bool {
        !self.inbox.is_closed()
    }
}

type Life = Pin<Box<dyn Future<Output = ()>>>;

struct Host<A: Actor> {
    factory: Factory<A>,
    inbox: Arc<Inbox<A>>,
    table: Arc<[(TypeName, Calls<A>)]>,
    limits: DecodeLimits,
    mailbox: usize,
    work: Rc<RefCell<Work>>,
}

impl<A: Actor<Context = Context<A>>> Host<A> {
    /// Makes the actor and its context, with the driver in it. It runs when the future is polled.
    fn make(&mut self) -> (Addr<A>, Life) {
        let actor = (self.factory)();
        let mut context = Context::new();
        context.set_mailbox_capacity(self.mailbox);
        context.spawn(Driver {
            inbox: Arc::clone(&self.inbox),
            table: Arc::clone(&self.table),
            limits: self.limits,
            work: Rc::clone(&self.work),
        });
        let addr = context.address();
        (addr, Box::pin(context.into_future(actor)))
    }

    /// Runs one actor after the other until one ends without a panic.
    async fn keep(&mut self, first: Life, shared: &Weak<Mutex<Addr<A>>>) {
        let mut life = Some(first);
        let mut pause = Duration::ZERO;
        loop {
            let before = self.work.borrow().handled;
            let actor = std::any::type_name::<A>();
            match life.take() {
                Some(life) => match run_to_end(life).await {
                    Ok(()) => return,
                    Err(Panicked) => tracing::error!(actor, "an actor panicked and is made anew"),
                },
                None => tracing::error!(actor, "the factory of an actor panicked"),
            }
            if self.work.borrow().handled > before {
                pause = Duration::ZERO;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            if self.inbox.is_closed() {
                return;
            }
            let made = catch_unwind(AssertUnwindSafe(|| self.make()));
            life = made.ok().map(|(addr, life)| {
                if let Some(shared) = shared.upgrade() {
                    *shared.lock().unwrap_or_else(PoisonError::into_inner) = addr;
                }
                life
            });
        }
    }
}

/// An actor's life, or its making, ended in a panic.
pub(crate) struct Panicked;

async fn run_to_end(mut life: Life) -> Result<(), Panicked> {
    let end = poll_fn(|task| match catch_unwind(AssertUnwindSafe(|| life.as_mut().poll(task))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await;
    // actix polls a context once more when it is dropped alive, and then a handler may panic again.
    match catch_unwind(AssertUnwindSafe(|| drop(life))) {
        Ok(()) => end,
        Err(_) => Err(Panicked),
    }
}

/// Lives in the actor's context and calls its handlers for what is in the inbox.
struct Driver<A: Actor> {
    inbox: Arc<Inbox<A>>,
    table: Arc<[(TypeName, Calls<A>)]>,
    limits: DecodeLimits,
    work: Rc<RefCell<Work>>,
}

/// What is being worked on. It outlives the actor: after a panic the next one goes on with the rest.
#[derive(Default)]
struct Work {
    delivery: Option<Delivery>,
    /// Messages that have been taken up.
    handled: u64,
    /// Memory for answers.
    answers: Vec<u8>,
}

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for Driver<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        context: &mut A::Context,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let mut work = self.work.borrow_mut();
        let turn = work.handled + TURN;
        // Whether the inbox calls the waker when there is something in it.
        let mut is_asleep = false;
        while work.handled < turn {
            if work.delivery.is_none() {
                if is_asleep {
                    return Poll::Pending;
                }
                let next = self.inbox.next(task.waker());
                is_asleep = matches!(next, Next::Last(_));
                match next {
                    Next::Job(job) | Next::Last(job) => self.take_up(job, &mut work, actor, context),
                    Next::Empty => return Poll::Pending,
                    Next::Closed => return Poll::Ready(()),
                }
            }
            self.go_on(&mut work, turn, actor, context);
            // A handler may have made the context wait (`AtomicResponse`) or stop; the rest comes afterwards.
            if context.waiting() {
                return Poll::Pending;
            }
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<A: Actor<Context = Context<A>>> Driver<A> {
    /// Handles what one connection brought, and lets the answers leave together.
    fn go_on(&self, work: &mut Work, turn: u64, actor: &mut A, context: &mut A::Context) {
        let Work { delivery: Some(delivery), handled, answers } = work else { return };
        let batch = Batch::new(delivery.answers(), answers);
        let mut run = Run::new(delivery, batch, handled, turn);
        while !context.waiting()
            && let Some(slot) = run.slot()
        {
            // The session leaves unknown slots to nobody, but a table is looked up with care all the same.
            match self.table.get(slot) {
                Some((name, calls)) => {
                    (calls.run)(actor, context, &mut run, &Known { name, limits: &self.limits })
                }
                None => while run.next().is_some() {},
            }
        }
        drop(run);
        drop(delivery.places());
        if delivery.left() == 0 {
            work.delivery = None;
        }
    }

    /// Handles what came alone, or makes ready what came together.
    fn take_up(&self, job: Job<A>, work: &mut Work, actor: &mut A, context: &mut A::Context) {
        match job {
            Job::Delivery(delivery) => work.delivery = Some(delivery),
            Job::Local(call) => {
                work.handled += 1;
                call(actor, context);
            }
            Job::Alone(slot, mut inbound) => {
                work.handled += 1;
                if let Some((name, calls)) = self.table.get(slot)
                    && inbound.is_due(Instant::now())
                {
                    let payload = std::mem::take(&mut inbound.payload);
                    let arrived = Arrived::alone(slot, &payload, inbound);
                    (calls.alone)(actor, context, arrived, &Known { name, limits: &self.limits });
                }
            }
        }
    }
}
