//! Service descriptions: message types, schemas and topics.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use actix::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::task::JoinSet;

use crate::pair::{PATIENCE, Pair, until};

/// Moves the arm.
#[derive(Message, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[rtype(result = "Moved")]
struct Move {
    /// Metres per second.
    speed: f32,
    joint: Option<u8>,
}

#[derive(Serialize, Deserialize, actix::dev::MessageResponse)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
struct Moved {
    done: bool,
}

struct Arm;

impl Actor for Arm {
    type Context = Context<Self>;
}

impl Handler<Move> for Arm {
    type Result = Moved;
    fn handle(&mut self, _: Move, _: &mut Context<Self>) -> Moved {
        Moved { done: true }
    }
}

#[actix::test]
async fn a_service_describes_its_messages_replies_and_topics() {
    let pair = Pair::join().await;
    let offer = pair.here.advertise("arm", || Arm).handles::<Move>().publishes::<(f32, f32)>("pose");
    let service = offer.retains("state").await.expect("advertised");
    service.publish("state", &"ready".to_owned()).expect("published");
    let near = pair.here.discover("arm").await.expect("it is here").describe().await.expect("described");
    let far = pair.reach(&service).await.describe().await.expect("described");
    assert_eq!(near, far);
    assert_eq!(far.service, "arm");
    let [message] = &far.messages[..] else { panic!("{:?}", far.messages) };
    assert_eq!(message.name, "Move");
    assert!(message.message["properties"]["speed"]["type"] == "number", "{}", message.message);
    assert!(message.reply["properties"]["done"]["type"] == "boolean", "{}", message.reply);
    let topics: Vec<_> = far.topics.iter().map(|topic| (topic.topic.as_str(), topic.retained)).collect();
    assert_eq!(topics, [("pose", false), ("state", true)]);
    assert!(far.topics[1].item["type"] == "string", "{}", far.topics[1].item);
}

#[cfg(feature = "schemars")]
#[actix::test]
async fn documentation_of_derived_schemas_is_part_of_the_description() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("arm", || Arm).handles_documented::<Move>().await.expect("advertised");
    let description = pair.reach(&service).await.describe().await.expect("described");
    let message = &description.messages[0].message;
    assert!(message["description"] == "Moves the arm.", "{message}");
    assert!(message["properties"]["speed"]["description"] == "Metres per second.", "{message}");
}

/// A type whose description takes as long as the test wants.
#[derive(Serialize)]
struct Large<const GATE: usize>;

/// The gate that describing such a type has to pass.
struct Gate {
    is_shut: Mutex<bool>,
    opened: Condvar,
    /// The number of times that the type was described.
    looks: AtomicUsize,
}

static GATES: [Gate; 2] = [Gate::open(), Gate::open()];

impl Gate {
    const fn open() -> Self {
        Self { is_shut: Mutex::new(false), opened: Condvar::new(), looks: AtomicUsize::new(0) }
    }

    fn shut(&self, is_shut: bool) {
        *self.is_shut.lock().expect("no panic") = is_shut;
        self.opened.notify_all();
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }
}

impl<'de, const GATE: usize> Deserialize<'de> for Large<GATE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let gate = &GATES[GATE];
        gate.looks.fetch_add(1, Ordering::SeqCst);
        let is_shut = gate.is_shut.lock().expect("no panic");
        drop(gate.opened.wait_while(is_shut, |is_shut| *is_shut).expect("no panic"));
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Configure {
    large: Large<0>,
}

impl Handler<Configure> for Arm {
    type Result = ();
    fn handle(&mut self, _: Configure, _: &mut Context<Self>) {}
}

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Reconfigure {
    large: Large<1>,
}

impl Handler<Reconfigure> for Arm {
    type Result = ();
    fn handle(&mut self, _: Reconfigure, _: &mut Context<Self>) {}
}

/// The number of threads of this process that compose a description.
#[cfg(target_os = "linux")]
fn describing() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").expect("it is there").flatten();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.starts_with("meshzero-descri")).count()
}

#[cfg(target_os = "linux")]
#[actix::test]
async fn a_description_without_a_waiter_is_cached_for_the_next_query() {
    let pair = Pair::join().await;
    let offer = pair.here.advertise("arm", || Arm).handles::<Reconfigure>();
    let _service = offer.await.expect("advertised");
    let arm = pair.here.discover("arm").await.expect("it is here");
    let gate = &GATES[1];
    gate.shut(true);
    for _ in 0..3 {
        let asking = actix::spawn(arm.describe());
        until("it is put together", || gate.looks() > 0).await;
        // Often enough for the task that asks to have looked as well.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        asking.abort();
        asking.await.expect_err("it was cancelled");
    }
    let last = actix::spawn(arm.describe());
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    // Those of other tests end.
    until("one thread works", || describing() == 1).await;
    gate.shut(false);
    assert_eq!(last.await.expect("no panic").expect("described").messages.len(), 1);
}

#[actix::test]
async fn queries_for_descriptions_block_nobody_and_share_one_result() {
    let pair = Pair::join().await;
    let offer = pair.here.advertise("arm", || Arm).handles::<Move>().handles::<Configure>();
    let service = offer.await.expect("advertised");
    let arm = pair.reach(&service).await;
    let gate = &GATES[0];
    gate.shut(true);
    let before = gate.looks();
    let mut asking = JoinSet::new();
    for _ in 0..3 {
        asking.spawn_local(arm.describe());
    }
    asking.spawn_local(pair.here.discover("arm").await.expect("it is here").describe());
    until("somebody looks at it", || gate.looks() > before).await;
    for _ in 0..100 {
        let moved = arm.send(Move { speed: 1.0, joint: None }).timeout(PATIENCE).await.expect("answered");
        assert!(moved.done);
    }
    assert!(asking.try_join_next().is_none(), "nobody has a description yet");
    gate.shut(false);
    let mut descriptions = Vec::new();
    while let Some(described) = asking.join_next().await {
        descriptions.push(described.expect("no panic").expect("described"));
    }
    assert_eq!(descriptions.len(), 4);
    let looks = gate.looks();
    for description in &descriptions {
        assert_eq!((description, description.messages.len()), (&descriptions[0], 2));
        assert_eq!(*description, arm.describe().await.expect("described"));
    }
    assert_eq!(gate.looks(), looks, "what was made is kept");
    // Changes are announced.
    service.publish("pose", &1.5f32).expect("published");
    let now = arm.describe().await.expect("described");
    assert_eq!((now.topics.len(), now.messages), (1, descriptions.swap_remove(0).messages));
}
