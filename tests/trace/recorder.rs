//! A subscriber of `tracing` that records traces, so that a test can check them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use meshzero::trace::TraceContext;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::set_global_default;
use tracing::{Event, Metadata, Subscriber, span};
use tracing_core::span::Current;

/// A recorded event, or a span that began.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub name: String,
    fields: HashMap<&'static str, String>,
}

impl Record {
    /// The value of `field`; empty if there is none.
    pub fn field(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.name = format!("{value:?}"),
            name => drop(self.fields.insert(name, format!("{value:?}"))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// All records. Tests that run at the same time are distinguished by their traces.
#[derive(Default)]
struct Recorder {
    spans: Mutex<Vec<(Record, &'static Metadata<'static>)>>,
    events: Mutex<Vec<Record>>,
}

thread_local! {
    /// The spans that this thread is in.
    static ENTERED: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

static RECORDER: OnceLock<&'static Recorder> = OnceLock::new();

/// The target of what tests log.
pub const LOG: &str = "test";

/// Records from now on.
pub fn begin() {
    RECORDER.get_or_init(|| {
        let recorder: &Recorder = Box::leak(Box::default());
        set_global_default(Recording(recorder)).expect("nobody else wants to know");
        recorder
    });
}

/// The recorded calls of the trace of `context`, in the order in which they ended.
pub fn calls(context: TraceContext) -> Vec<Record> {
    let events = lock(&recorder().events);
    events.iter().filter(|event| event.name == "call" && is_of(event, context)).cloned().collect()
}

/// The recorded handlers of the trace of `context`, in the order in which they began.
pub fn handlers(context: TraceContext) -> Vec<Record> {
    let spans = lock(&recorder().spans);
    let spans = spans.iter().map(|(span, _)| span);
    spans.filter(|span| span.name == "handle" && is_of(span, context)).cloned().collect()
}

/// The events logged as `name`, with the fields of the spans around them.
pub fn logged(name: &str) -> Vec<Record> {
    lock(&recorder().events).iter().filter(|event| event.name == name).cloned().collect()
}

fn is_of(record: &Record, context: TraceContext) -> bool {
    record.field("trace_id") == context.trace_id().to_string()
}

fn recorder() -> &'static Recorder {
    RECORDER.get().expect("it has begun")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The recorder as a subscriber of `tracing`.
struct Recording(&'static Recorder);

impl Recording {
    fn span(&self, id: &Id) -> (Record, &'static Metadata<'static>) {
        let at = usize::try_from(id.into_u64()).expect("few spans");
        lock(&self.0.spans)[at - 1].clone()
    }
}

impl Subscriber for Recording {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        [LOG, "meshzero::trace"].contains(&metadata.target())
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut record = Record { name: attributes.metadata().name().to_owned(), ..Record::default() };
        attributes.record(&mut record);
        let mut spans = lock(&self.0.spans);
        spans.push((record, attributes.metadata()));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut record = Record::default();
        if event.metadata().target() == LOG {
            for span in ENTERED.with_borrow(Vec::clone) {
                record.fields.extend(self.span(&span).0.fields);
            }
        }
        event.record(&mut record);
        lock(&self.0.events).push(record);
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.clone()));
    }

    fn exit(&self, span: &Id) {
        let left = ENTERED.with_borrow_mut(Vec::pop);
        assert_eq!(left.as_ref(), Some(span), "spans are left in the order in which they were entered");
    }

    fn current_span(&self) -> Current {
        match ENTERED.with_borrow(|entered| entered.last().cloned()) {
            Some(id) => Current::new(id.clone(), self.span(&id).1),
            None => Current::none(),
        }
    }
}
