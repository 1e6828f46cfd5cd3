//! One way: a publisher that is never further ahead of its receivers than a window.

use actix::prelude::*;
use actix_telepathy::prelude::*;
use peers_common::{Arrivals, Control, Numbers, Pace, Plan, Result, Sink, Tally, shared_body};

use crate::messages::{Arrived, Item, PUBLISHER, receiver};
use crate::node::{join, register};

pub(crate) async fn publish(plan: &Plan, control: &Control) -> Result {
    let mut own = join(None)?;
    let (arrivals, mut pace) = Pace::new(plan);
    let publisher = Publisher(arrivals).start();
    register(&publisher, PUBLISHER.to_owned()).await?;
    control.ready(own.address);
    let node = own.other().await?;
    let receivers: Vec<RemoteAddr> =
        (0..plan.subscribers).map(|index| node.get_remote_addr(receiver(index))).collect();
    control.go().await;
    let body = shared_body(plan.size);
    let mut numbers = Numbers::new(control);
    while let Some(number) = numbers.next_number() {
        pace.wait(number).await?;
        for receiver in &receivers {
            receiver.do_send(Item { number, body: body.clone() });
        }
    }
    numbers.tell();
    control.over().await;
    Ok(())
}

#[derive(RemoteActor)]
#[remote_messages(Arrived)]
struct Publisher(Arrivals);

impl Actor for Publisher {
    type Context = Context<Self>;
}

impl Handler<Arrived> for Publisher {
    type Result = ();

    fn handle(&mut self, arrived: Arrived, _: &mut Context<Self>) {
        self.0.tell(arrived.index, arrived.count);
    }
}

pub(crate) async fn receive(plan: &Plan, control: &Control) -> Result {
    let mut own = join(Some(plan.at.parse()?))?;
    let publisher = own.other().await?.get_remote_addr(PUBLISHER.to_owned());
    for (index, tally) in Sink::start(plan, control, plan.subscribers)?.into_iter().enumerate() {
        let actor =
            Receiver { index, tally, count: 0, every: Pace::every(plan), publisher: publisher.clone() };
        register(&actor.start(), receiver(index)).await?;
    }
    control.ready("");
    control.over().await;
    Ok(())
}

#[derive(RemoteActor)]
#[remote_messages(Item)]
struct Receiver {
    index: usize,
    tally: Tally,
    count: u64,
    /// The number of items after which the publisher gets an acknowledgement.
    every: u64,
    publisher: RemoteAddr,
}

impl Actor for Receiver {
    type Context = Context<Self>;
}

impl Handler<Item> for Receiver {
    type Result = ();

    fn handle(&mut self, item: Item, _: &mut Context<Self>) {
        self.tally.take(item.number);
        self.count += 1;
        if self.count.is_multiple_of(self.every) {
            self.publisher.do_send(Arrived { index: self.index, count: self.count });
        }
    }
}
