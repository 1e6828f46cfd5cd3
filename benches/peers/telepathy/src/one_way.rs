//! One way: a publisher that is never further ahead of its receivers than a window.

use actix::prelude::*;
use actix_telepathy::prelude::*;
use peers_common::{Control, Numbers, Plan, Result, Sink, Tally, shared_body};
use tokio::sync::watch;

use crate::messages::{Arrived, Item, PUBLISHER, receiver};
use crate::node::{join, register};

/// Bytes that may be under way to one receiver, and the fewest and most items.
const WINDOW: usize = 8 << 20;
const ITEMS: (usize, usize) = (16, 8_192);

fn window(plan: &Plan) -> u64 {
    (WINDOW / plan.size).clamp(ITEMS.0, ITEMS.1) as u64
}

pub(crate) async fn publish(plan: &Plan, control: &Control) -> Result {
    let mut own = join(None)?;
    let (tell, mut arrived) = watch::channel(vec![0; plan.subscribers]);
    let publisher = Publisher(tell).start();
    register(&publisher, PUBLISHER.to_owned()).await?;
    control.ready(own.address);
    let node = own.other().await?;
    let receivers: Vec<RemoteAddr> =
        (0..plan.subscribers).map(|index| node.get_remote_addr(receiver(index))).collect();
    control.go().await;
    let body = shared_body(plan.size);
    let window = window(plan);
    let mut numbers = Numbers::new(control);
    let mut limit = window;
    while let Some(number) = numbers.next_number() {
        if number >= limit {
            let behind = |counts: &Vec<u64>| counts.iter().min().copied().unwrap_or(0);
            let counts = arrived.wait_for(|counts| behind(counts) + window > number).await?;
            limit = behind(&counts) + window;
        }
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
struct Publisher(watch::Sender<Vec<u64>>);

impl Actor for Publisher {
    type Context = Context<Self>;
}

impl Handler<Arrived> for Publisher {
    type Result = ();

    fn handle(&mut self, arrived: Arrived, _: &mut Context<Self>) {
        self.0.send_modify(|counts| {
            if let Some(count) = counts.get_mut(arrived.index) {
                *count = arrived.count;
            }
        });
    }
}

pub(crate) async fn receive(plan: &Plan, control: &Control) -> Result {
    let mut own = join(Some(plan.at.parse()?))?;
    let publisher = own.other().await?.get_remote_addr(PUBLISHER.to_owned());
    for (index, tally) in Sink::start(plan, control, plan.subscribers)?.into_iter().enumerate() {
        let actor =
            Receiver { index, tally, count: 0, every: window(plan) / 4, publisher: publisher.clone() };
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
    /// After so many the publisher is told.
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
