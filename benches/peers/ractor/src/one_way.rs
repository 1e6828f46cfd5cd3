//! One way: a publisher that asks now and then whether all has been handled, because ractor's mailboxes have no bound.

use peers_common::{Control, Numbers, Plan, Result, Sink, Tally, number_of, with_number};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinSet;

use crate::messages::Item;
use crate::node::{connect, listen, others, show};

/// The bytes after which a receiver is asked, and the fewest and most items. Two questions may be pending.
const ASKED: usize = 4 << 20;
const ITEMS: (usize, usize) = (8, 4_096);

pub(crate) async fn publish(plan: &Plan, control: &Control) -> Result {
    let (_node, address) = listen("server").await?;
    control.ready(address);
    let receivers = others(plan.subscribers).await;
    control.go().await;
    let every = (ASKED / plan.size).clamp(ITEMS.0, ITEMS.1) as u64;
    let mut numbers = Numbers::new(control);
    let mut earlier = JoinSet::new();
    while let Some(number) = numbers.next_number() {
        for receiver in &receivers {
            receiver.cast(Item::Tell(with_number(number, plan.size))).map_err(|error| error.to_string())?;
        }
        if (number + 1) % every == 0 {
            let mut questions = JoinSet::new();
            for receiver in receivers.clone() {
                questions.spawn(async move { receiver.call(Item::Sync, None).await.is_ok() });
            }
            while earlier.join_next().await.is_some() {}
            earlier = questions;
        }
    }
    numbers.tell();
    control.over().await;
    Ok(())
}

pub(crate) async fn receive(plan: &Plan, control: &Control) -> Result {
    for tally in Sink::start(plan, control, plan.subscribers)? {
        let (receiver, _) = Actor::spawn(None, Receiver, tally).await?;
        show(&receiver);
    }
    let (node, _) = listen("client").await?;
    connect(&node, &plan.at).await?;
    control.ready("");
    control.over().await;
    Ok(())
}

struct Receiver;

impl Actor for Receiver {
    type Msg = Item;
    type State = Tally;
    type Arguments = Tally;

    async fn pre_start(
        &self,
        _: ActorRef<Item>,
        tally: Tally,
    ) -> std::result::Result<Tally, ActorProcessingErr> {
        Ok(tally)
    }

    async fn handle(
        &self,
        _: ActorRef<Item>,
        item: Item,
        tally: &mut Tally,
    ) -> std::result::Result<(), ActorProcessingErr> {
        match item {
            Item::Tell(payload) => tally.take(number_of(&payload).ok_or("a payload of less than a number")?),
            Item::Sync(reply) => reply.send(0)?,
            Item::Echo(payload, reply) => reply.send(payload)?,
        }
        Ok(())
    }
}
