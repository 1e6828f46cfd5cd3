//! Busy services: they are not considered dead, and their links stay on their connections.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use meshzero::Limits;
use meshzero_testing::FaultProxy;
use serde::{Deserialize, Serialize};

use crate::pair::{PATIENCE, Pair};

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Work(u32);

#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Vec<u32>")]
struct Done;

/// Takes 3 ms for each piece of work, one after the other.
#[derive(Default)]
struct Slow {
    done: Rc<RefCell<Vec<u32>>>,
}

impl Actor for Slow {
    type Context = Context<Self>;
}

impl Handler<Work> for Slow {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, Work(number): Work, _: &mut Context<Self>) -> AtomicResponse<Self, ()> {
        self.done.borrow_mut().push(number);
        let working = actix::clock::sleep(Duration::from_millis(3));
        AtomicResponse::new(Box::pin(working.into_actor(self)))
    }
}

impl Handler<Done> for Slow {
    type Result = MessageResult<Done>;

    fn handle(&mut self, _: Done, _: &mut Context<Self>) -> MessageResult<Done> {
        MessageResult(self.done.take())
    }
}

#[actix::test]
async fn a_service_that_is_too_busy_to_read_keeps_its_connection() {
    const MESSAGES: u32 = 1_000;
    let mut limits = Limits::default();
    limits.mailbox = 16;
    let pair = Pair::join_with(limits).await;
    let service = pair
        .here
        .advertise("slow", Slow::default)
        .handles::<Work>()
        .handles::<Done>()
        .await
        .expect("offered");
    let proxy = FaultProxy::in_front_of(service.address());
    let slow = pair.there.discover(proxy.address().to_string()).within(PATIENCE).await.expect("it answers");
    // One read brings hundreds of them: for a second nothing more is read, and no ping is answered.
    for number in 0..MESSAGES {
        slow.tell(Work(number)).timeout(PATIENCE).await.expect("it has set out");
    }
    let done = slow.send(Done).timeout(PATIENCE).await.expect("a reply");
    assert_eq!(done, (0..MESSAGES).collect::<Vec<_>>());
    let traffic = pair.there.traffic();
    eprintln!("{traffic:?}, {} connections", proxy.connections());
    assert_eq!(traffic.races_won, 0, "{traffic:?}");
}
