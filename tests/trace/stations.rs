//! An actor that answers with the trace contexts of its handlers, and forwards messages to the next of its kind.

use std::sync::{Arc, Mutex, PoisonError};

use actix::prelude::*;
use meshzero::trace;
use meshzero::{Advertise, Mesh, RestartPolicy, Service, ServiceRef, Value};
use serde::{Deserialize, Serialize};

use super::recorder::LOG;

/// The current context as text; `None` if there is none.
pub type Seen = Option<String>;

pub fn seen() -> Seen {
    trace::current().map(|context| context.to_string())
}

/// Answered at once.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Seen")]
pub struct Here;

/// Answered by a future, with the contexts of the next stations as well.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Vec<Seen>")]
pub struct Relay;

/// The same, by a future that needs the actor.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Vec<Seen>")]
pub struct RelayWithActor;

/// Recorded, and forwarded by the handler itself.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub struct Note(pub String);

/// Its handler panics, except for the second one.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub struct Panic;

/// The notes of a station.
#[derive(Clone, Default)]
pub struct Notes(Arc<Mutex<Vec<(String, Seen)>>>);

impl Notes {
    pub fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((note.into(), seen()));
    }

    /// The contexts recorded under `note`.
    pub fn of(&self, note: &str) -> Vec<Seen> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().filter(|(noted, _)| noted == note).map(|(_, seen)| seen.clone()).collect()
    }
}

#[derive(Clone, Default)]
pub struct Station {
    pub next: Option<ServiceRef>,
    pub notes: Notes,
}

impl Station {
    pub fn before(next: &ServiceRef) -> Self {
        Self { next: Some(next.clone()), notes: Notes::default() }
    }

    pub async fn offer(&self, mesh: &Mesh, name: &str) -> Service<Self> {
        let station = self.clone();
        let offer = mesh.advertise(name, move || station.clone()).restart(RestartPolicy::Always);
        with_handlers(offer).await.expect("advertised")
    }
}

pub fn with_handlers(offer: Advertise<Station>) -> Advertise<Station> {
    let offer = offer.handles::<Here>().handles::<Relay>().handles::<RelayWithActor>();
    offer.handles::<Note>().handles::<Panic>().handles_values()
}

/// The context here, after other tasks have run, and those of the stations from `next` on.
async fn relay<M>(message: M, next: Option<ServiceRef>) -> Vec<Seen>
where
    M: meshzero::NetMessage<Result = Vec<Seen>>,
{
    tokio::task::yield_now().await;
    let mut all = vec![seen()];
    if let Some(next) = next {
        all.extend(next.send(message).await.expect("the next station answers"));
    }
    tracing::info!(target: LOG, "relayed");
    all
}

impl Actor for Station {
    type Context = Context<Self>;
}

impl Handler<Here> for Station {
    type Result = Seen;

    fn handle(&mut self, _: Here, _: &mut Context<Self>) -> Seen {
        seen()
    }
}

impl Handler<Relay> for Station {
    type Result = ResponseFuture<Vec<Seen>>;

    fn handle(&mut self, message: Relay, _: &mut Context<Self>) -> Self::Result {
        Box::pin(relay(message, self.next.clone()))
    }
}

impl Handler<RelayWithActor> for Station {
    type Result = ResponseActFuture<Self, Vec<Seen>>;

    fn handle(&mut self, message: RelayWithActor, _: &mut Context<Self>) -> Self::Result {
        Box::pin(relay(message, self.next.clone()).into_actor(self))
    }
}

impl Handler<Note> for Station {
    type Result = ();

    fn handle(&mut self, Note(note): Note, _: &mut Context<Self>) {
        self.notes.add(&note);
        if let Some(next) = &self.next {
            next.do_send(Note(note));
        }
    }
}

impl Handler<Panic> for Station {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        self.notes.add("panic");
        assert_eq!(self.notes.of("panic").len(), 2, "it is the first to come");
    }
}

impl Handler<Value> for Station {
    type Result = Value;

    fn handle(&mut self, _: Value, _: &mut Context<Self>) -> Value {
        Value::from(seen().unwrap_or_default())
    }
}
