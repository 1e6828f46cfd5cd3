//! The state shared by all programs of one simulation: the account of the promises, and the current scene.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use meshzero_testing::{Promises, Record};
use tokio::time::Duration;

/// Deadlines are as exact as the tick of the simulation.
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
            book.promises.record(record);
            book.tell(&record.to_string());
        });
    }

    /// Adds a line of the library's log.
    pub fn logged(&self, line: &str) {
        self.with(|book| book.trace(line));
    }

    /// Adds an observation that no promise covers, but that has to be the same in each run.
    pub fn observe(&self, what: &str) {
        self.with(|book| book.tell(what));
    }

    pub fn promises<T>(&self, look: impl FnOnce(&Promises) -> T) -> T {
        self.with(|book| look(&book.promises))
    }

    /// A digest of all records so far and their times.
    pub fn digest(&self) -> u64 {
        self.with(|book| book.digest.finish())
    }

    /// All records and log lines, if the trace was to be kept.
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

/// The current state of all programs.
#[derive(Default)]
pub struct Scene {
    /// True once all faults are undone: then nobody is slow on purpose.
    pub is_healed: Cell<bool>,
    /// True once the programs should end.
    pub is_over: Cell<bool>,
    /// Callers that have not finished.
    pub busy: Cell<usize>,
    /// The number of programs that each host has run.
    pub started: RefCell<BTreeMap<usize, u64>>,
    /// The number of the next item of each publisher.
    pub published: RefCell<BTreeMap<u64, u64>>,
    /// The last item of each subscription: its publisher and its number.
    pub last_items: RefCell<BTreeMap<u64, (u64, u64)>>,
    /// The subscriptions, each with the host of its publisher.
    pub subscribed: RefCell<BTreeMap<u64, usize>>,
    /// Failures apart from broken promises.
    pub failures: RefCell<Vec<String>>,
}

impl Scene {
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// The number of the program that starts on `host`, counted from 1.
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
        self.failures.borrow_mut().push(what);
    }
}

/// The id of one of the parts of a program: its sender, its service or one of its subscriptions.
pub fn number(host: usize, program: u64, thing: u64) -> u64 {
    (host as u64 + 1) * 100_000 + program * 100 + thing
}
