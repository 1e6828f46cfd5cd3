//! What services say of themselves.

use actix::prelude::*;
use serde::{Deserialize, Serialize};

use crate::pair::Pair;

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
