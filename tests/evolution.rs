//! Two versions of one program understand each other: the second has an additional field, a renamed one and two variants swapped.

use actix::prelude::*;

use crate::pair::Pair;

mod first {
    use actix::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    pub enum Gait {
        Walk,
        Run,
    }

    #[derive(Debug, Clone, PartialEq, Message, Serialize, Deserialize)]
    #[rtype(result = "Moved")]
    pub struct Move {
        pub metres: f32,
        pub gait: Gait,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Moved {
        pub at: f32,
        pub gait: Gait,
    }
}

mod second {
    use actix::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    pub enum Gait {
        Run,
        Walk,
    }

    #[derive(Debug, Clone, PartialEq, Message, Serialize, Deserialize)]
    #[rtype(result = "Moved")]
    pub struct Move {
        #[serde(rename = "metres", alias = "distance")]
        pub distance: f32,
        pub gait: Gait,
        #[serde(default)]
        pub note: Option<String>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Moved {
        #[serde(default)]
        pub steps: u32,
        pub at: f32,
        pub gait: Gait,
    }
}

struct First;
struct Second;

impl Actor for First {
    type Context = Context<Self>;
}

impl Actor for Second {
    type Context = Context<Self>;
}

impl Handler<first::Move> for First {
    type Result = MessageResult<first::Move>;
    fn handle(&mut self, message: first::Move, _: &mut Context<Self>) -> Self::Result {
        MessageResult(first::Moved { at: message.metres, gait: message.gait })
    }
}

impl Handler<second::Move> for Second {
    type Result = MessageResult<second::Move>;
    fn handle(&mut self, message: second::Move, _: &mut Context<Self>) -> Self::Result {
        let steps = u32::from(message.note.is_some());
        MessageResult(second::Moved { steps, at: message.distance, gait: message.gait })
    }
}

#[actix::test]
async fn builds_of_different_versions_talk_both_ways() {
    let pair = Pair::join().await;
    let old = pair.here.advertise("old", || First).handles::<first::Move>().await.expect("advertised");
    let new = pair.here.advertise("new", || Second).handles::<second::Move>().await.expect("advertised");
    let (old, new) = (pair.reach(&old).await, pair.reach(&new).await);

    let message = first::Move { metres: 1.5, gait: first::Gait::Run };
    let moved = new.send(message.clone()).await.expect("the old calls the new");
    assert_eq!(moved, first::Moved { at: 1.5, gait: first::Gait::Run });
    assert_eq!(old.send(message).await.expect("the old calls the old"), moved);

    let message = second::Move { distance: 2.5, gait: second::Gait::Walk, note: Some("slowly".into()) };
    let moved = old.send(message.clone()).await.expect("the new calls the old");
    assert_eq!(moved, second::Moved { steps: 0, at: 2.5, gait: second::Gait::Walk });
    let moved = new.send(message).await.expect("the new calls the new");
    assert_eq!(moved, second::Moved { steps: 1, at: 2.5, gait: second::Gait::Walk });
}

#[actix::test]
async fn news_reach_subscribers_of_either_version() {
    let pair = Pair::join().await;
    let service = pair.here.advertise("robot", || First).await.expect("advertised");
    let robot = pair.reach(&service).await;
    let mut same = robot.subscribe::<first::Moved>("").await.expect("confirmed");
    let mut newer = robot.subscribe::<second::Moved>("").await.expect("confirmed");
    let item = first::Moved { at: 0.5, gait: first::Gait::Walk };
    service.publish("moved", &item).expect("published");
    assert_eq!(same.next().await.expect("goes on").expect("an item").item, item);
    let expected = second::Moved { steps: 0, at: 0.5, gait: second::Gait::Walk };
    assert_eq!(newer.next().await.expect("goes on").expect("an item").item, expected);
}
