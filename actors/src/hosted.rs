//! An actor that the mesh runs: made by a factory, fed from its inbox in its own context, made anew after a panic.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::fut::ActorFuture;
use actix::{Actor, Addr, AsyncContext, Context};
use meshzero_proto::name::TypeName;
use tokio::sync::oneshot;

use crate::blocking;
use crate::clock;
use crate::decoding::{Decoding, Known};
use crate::delivery::{Arrived, Delivery};
use crate::due::Batch;
use crate::entry::{Entry, ServiceEnd};
use crate::handler::{Calls, Registration};
use crate::inbound::Inbound;
use crate::inbox::{Inbox, Job, Next};
use crate::panic::Panicked;
use crate::restart::{Restart, Restarts};
use crate::run::Run;
use crate::trace::Handling;
use crate::unfinished::{Begun, Tally};

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
    restarted: Arc<AtomicU64>,
}

impl<A: Actor<Context = Context<A>>> Hosted<A> {
    /// Makes the actor on the current arbiter. `ended` runs there when it will not be made again, and is told why.
    ///
    /// # Errors
    /// [`Panicked`]: the factory did.
    pub(crate) fn start(
        factory: Factory<A>,
        service: String,
        handlers: &[Registration<A>],
        decoding: Decoding,
        mailbox: usize,
        restart: Restart,
        ended: impl FnOnce(ServiceEnd) + 'static,
    ) -> Result<Self, Panicked> {
        let inbox = Arc::new(Inbox::new(service));
        let table = handlers.iter().map(|handler| Row {
            name: handler.name.clone(),
            calls: handler.calls,
            begun: Begun::default(),
        });
        let table = table.collect();
        let restarted = Arc::new(AtomicU64::new(0));
        let mut host = Host {
            factory,
            inbox: Arc::clone(&inbox),
            table,
            decoding,
            mailbox,
            restarts: Restarts::new(restart),
            restarted: Arc::clone(&restarted),
            work: Rc::default(),
        };
        let (addr, first) = host.make()?;
        let addr = Arc::new(Mutex::new(addr));
        // Weak, because an actor lives as long as somebody has its address.
        let shared = Arc::downgrade(&addr);
        let ending = Ending { inbox: Arc::clone(&inbox), end: ServiceEnd::Stopped, ended: Some(ended) };
        actix::spawn(async move {
            let mut ending = ending;
            ending.end = host.keep(first, &shared).await;
        });
        Ok(Self { inbox, addr, restarted })
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
        self.inbox.push(Job::Alone(slot, Box::new(inbound)));
    }

    fn close(&self) {
        self.inbox.close();
    }

    fn abandon(&self, tell: oneshot::Sender<Tally>) {
        self.inbox.ask_to_abandon(tell);
    }

    fn is_alive(&self) -> bool {
        !self.inbox.is_closed()
    }

    fn restarts(&self) -> u64 {
        self.restarted.load(Ordering::Relaxed)
    }
}

/// Turns away what waits and tells that the actor is not made anew, when its task ends: also when the thread does on which it ran.
struct Ending<A: Actor, F: FnOnce(ServiceEnd)> {
    inbox: Arc<Inbox<A>>,
    end: ServiceEnd,
    ended: Option<F>,
}

impl<A: Actor, F: FnOnce(ServiceEnd)> Drop for Ending<A, F> {
    fn drop(&mut self) {
        self.inbox.abandon();
        if let Some(ended) = self.ended.take() {
            ended(self.end.clone());
        }
    }
}

/// One message type of the actor.
struct Row<A: Actor> {
    name: TypeName,
    calls: Calls<A>,
    begun: Begun,
}

type Life = Pin<Box<dyn Future<Output = ()>>>;

struct Host<A: Actor> {
    factory: Factory<A>,
    inbox: Arc<Inbox<A>>,
    table: Arc<[Row<A>]>,
    decoding: Decoding,
    mailbox: usize,
    restarts: Restarts,
    /// How often the actor was made anew.
    restarted: Arc<AtomicU64>,
    work: Rc<RefCell<Work>>,
}

impl<A: Actor<Context = Context<A>>> Host<A> {
    /// Makes the actor and its context, with the driver in it. It runs when the future is polled.
    fn make(&mut self) -> Result<(Addr<A>, Life), Panicked> {
        let actor = {
            let _scope = blocking::Scope::block();
            catch_unwind(AssertUnwindSafe(&mut self.factory)).map_err(Panicked::new)?
        };
        let mut context = Context::new();
        context.set_mailbox_capacity(self.mailbox);
        context.spawn(Driver {
            inbox: Arc::clone(&self.inbox),
            table: Arc::clone(&self.table),
            decoding: self.decoding.clone(),
            work: Rc::clone(&self.work),
        });
        let addr = context.address();
        Ok((addr, Box::pin(context.into_future(actor))))
    }

    /// Runs one actor after the other until one ends without a panic, or too many have panicked.
    async fn keep(&mut self, first: Life, shared: &Weak<Mutex<Addr<A>>>) -> ServiceEnd {
        let actor = std::any::type_name::<A>();
        let mut life = Ok(first);
        let mut pause = Duration::ZERO;
        loop {
            let before = self.work.borrow().handled;
            let ended = match life {
                Ok(life) => self.run_to_end(life).await,
                Err(panicked) => Err(panicked),
            };
            let Err(Panicked(panic)) = ended else { return ServiceEnd::Stopped };
            let restarts = self.restarted.load(Ordering::Relaxed);
            if !self.restarts.allow(clock::now()) {
                tracing::error!(actor, panic, restarts, "an actor panicked too often: its service ends");
                return ServiceEnd::GaveUp { restarts, panic };
            }
            tracing::error!(actor, panic, restarts, "an actor panicked and is made anew");
            if self.work.borrow().handled > before {
                pause = Duration::ZERO;
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => {}
                () = poll_fn(|task| self.inbox.poll_abandoning(task.waker())) => self.abandon(),
            }
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            if self.inbox.is_closed() {
                return ServiceEnd::Closed;
            }
            self.restarted.store(restarts + 1, Ordering::Relaxed);
            life = self.make().map(|(addr, life)| {
                if let Some(shared) = shared.upgrade() {
                    *shared.lock().unwrap_or_else(PoisonError::into_inner) = addr;
                }
                life
            });
        }
    }

    async fn run_to_end(&self, mut life: Life) -> Result<(), Panicked> {
        let end = poll_fn(|task| {
            let polled = catch_unwind(AssertUnwindSafe(|| life.as_mut().poll(task)));
            if self.inbox.is_abandoning() {
                self.abandon();
            }
            match polled {
                Ok(poll) => poll.map(Ok),
                Err(payload) => Poll::Ready(Err(Panicked::new(payload))),
            }
        })
        .await;
        // actix polls a context once more when it is dropped alive, and then a handler may panic again.
        match catch_unwind(AssertUnwindSafe(|| drop(life))) {
            Ok(()) => end,
            Err(payload) => end.and(Err(Panicked::new(payload))),
        }
    }

    /// Turns away what no handler has begun, and tells how much of it there was and what is under way.
    #[cold]
    fn abandon(&self) {
        let (jobs, tell) = self.inbox.take_abandoned();
        let delivery = self.work.borrow_mut().delivery.take();
        let mut tally = Tally::new();
        let mut add = |name: &str, count: usize| {
            if count > 0 {
                *tally.entry(name.to_owned()).or_default() += count;
            }
        };
        let mut add_slot = |slot: usize| self.table.get(slot).into_iter().for_each(|row| add(&row.name, 1));
        for job in &jobs {
            match job {
                Job::Delivery(delivery) => delivery.count(&mut add_slot),
                Job::Alone(slot, _) => add_slot(*slot),
                Job::Local(..) => {}
            }
        }
        if let Some(delivery) = &delivery {
            delivery.count(&mut add_slot);
        }
        for job in &jobs {
            if let Job::Local(name, _) = job {
                add(name, 1);
            }
        }
        self.table.iter().for_each(|row| add(&row.name, row.begun.count()));
        if let Some(tell) = tell {
            // Nobody waits any more when this fails.
            let _ = tell.send(tally);
        }
        drop(delivery);
        jobs.into_iter().for_each(Job::turn_away);
    }
}

/// Lives in the actor's context and calls its handlers for what is in the inbox.
struct Driver<A: Actor> {
    inbox: Arc<Inbox<A>>,
    table: Arc<[Row<A>]>,
    decoding: Decoding,
    work: Rc<RefCell<Work>>,
}

/// What is being worked on. It outlives the actor: after a panic the next one goes on with the rest.
struct Work {
    delivery: Option<Delivery>,
    /// The number of the message that was taken up last.
    handled: u64,
    /// Memory for answers.
    answers: Vec<u8>,
}

impl Default for Work {
    fn default() -> Self {
        Self { delivery: None, handled: blocking::first_number(), answers: Vec::new() }
    }
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
        let _scope = blocking::Scope::enter();
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
        let mut run = Run::new(self.inbox.service(), delivery, batch, handled, turn);
        while !context.waiting()
            && let Some(slot) = run.slot()
        {
            // The session leaves unknown slots to nobody, but a table is looked up with care all the same.
            match self.table.get(slot) {
                Some(row) => (row.calls.run)(actor, context, &mut run, &self.known(row)),
                None => run.skip(),
            }
        }
        drop(run);
        drop(delivery.places());
        if delivery.left() == 0 {
            work.delivery = None;
        }
    }

    fn known<'a>(&'a self, row: &'a Row<A>) -> Known<'a> {
        Known { name: &row.name, decoding: &self.decoding, begun: &row.begun }
    }

    /// Handles what came alone, or makes ready what came together.
    fn take_up(&self, job: Job<A>, work: &mut Work, actor: &mut A, context: &mut A::Context) {
        match job {
            Job::Delivery(delivery) => work.delivery = Some(delivery),
            Job::Local(_, call) => {
                work.handled += 1;
                blocking::handles(work.handled);
                call(actor, context);
            }
            Job::Alone(slot, mut inbound) => {
                work.handled += 1;
                blocking::handles(work.handled);
                if let Some(row) = self.table.get(slot)
                    && inbound.is_due(clock::now())
                {
                    let payload = std::mem::take(&mut inbound.payload);
                    let trace = inbound.trace.take();
                    let _handling =
                        trace.map(|context| Handling::begin(*context, self.inbox.service(), &row.name));
                    let arrived = Arrived::alone(slot, &payload, *inbound);
                    (row.calls.alone)(actor, context, arrived, &self.known(row));
                }
            }
        }
    }
}
