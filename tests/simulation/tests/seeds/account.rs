//! What all programs of one simulation have in common: the account of the promises, and what is true of all at the moment.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use meshzero_testing::{Promises, Record};
use tokio::time::Duration;

/// A deadline is kept to the tick of the simulation.
const GRACE: Duration = Duration::from_millis(20);

/// The account, where actors can reach it as well.
#[derive(Clone)]
pub struct Account(Arc<Mutex<Book>>);

struct Book {
    promises: Promises,
    digest: DefaultHasher,
    trace: Option<Vec<String>>,
}

impl Account {
    pub fn new(traced: bool) -> Self {
        let trace = traced.then(Vec::new);
        let book = Book { promises: Promises::new(GRACE), digest: DefaultHasher::new(), trace };
        Self(Arc::new(Mutex::new(book)))
    }

    pub fn note(&self, record: Record) {
        self.with(|book| {
            book.promises.note(record);
            book.tell(&record.to_string());
        });
    }

    /// Tells what the library logs as well.
    pub fn logged(&self, line: &str) {
        self.with(|book| book.trace(line));
    }

    /// Notes something that no promise speaks of, but that has to be the same each time.
    pub fn remark(&self, what: &str) {
        self.with(|book| book.tell(what));
    }

    pub fn promises<T>(&self, look: impl FnOnce(&Promises) -> T) -> T {
        self.with(|book| look(&book.promises))
    }

    /// A number for all that was said so far, and when.
    pub fn digest(&self) -> u64 {
        self.with(|book| book.digest.finish())
    }

    /// All that was said, if it was to be kept.
    pub fn trace(&self) -> Vec<String> {
        self.with(|book| book.trace.take().unwrap_or_default())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Book {
    fn tell(&mut self, what: &str) {
        let at = turmoil::sim_elapsed();
        (at, what).hash(&mut self.digest);
        self.trace(what);
    }

    fn trace(&mut self, what: &str) {
        let at = turmoil::sim_elapsed();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3} {what}", at.unwrap_or_default().as_secs_f64()));
        }
    }
}

/// What is true of all programs at the moment.
#[derive(Default)]
pub struct Scene {
    /// Whether nothing is amiss any more: then nobody is slow on purpose.
    pub is_healed: Cell<bool>,
    /// Whether they are to come to an end.
    pub is_over: Cell<bool>,
    /// Callers that have not come to their end.
    pub busy: Cell<usize>,
    /// How many programs each host has run.
    pub started: RefCell<BTreeMap<usize, u64>>,
    /// What each publisher publishes next.
    pub published: RefCell<BTreeMap<u64, u64>>,
    /// The item that each subscription had last: from which publisher, and which.
    pub heard: RefCell<BTreeMap<u64, (u64, u64)>>,
    /// The subscriptions and whose news they are for.
    pub subscribed: RefCell<BTreeMap<u64, usize>>,
    /// What went wrong beside the promises.
    pub wrong: RefCell<Vec<String>>,
}

impl Scene {
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Which program of `host` this is, counted from 1.
    pub fn start(&self, host: usize) -> u64 {
        let mut started = self.started.borrow_mut();
        let count = started.entry(host).or_default();
        *count += 1;
        *count
    }

    /// The number of the program that `host` runs now.
    pub fn running(&self, host: usize) -> u64 {
        self.started.borrow().get(&host).copied().unwrap_or_default()
    }

    pub fn complain(&self, what: String) {
        self.wrong.borrow_mut().push(what);
    }
}

/// A number that stands for one of the things that a program has: its sender, its service or one of its subscriptions.
pub fn number(host: usize, program: u64, thing: u64) -> u64 {
    (host as u64 + 1) * 100_000 + program * 100 + thing
}
