//! Calls: each awaits its reply.

use peers_common::{Callers, Control, Plan, Result, RoundTrips, number_of, with_number};
use ractor::{Actor, ActorProcessingErr, ActorRef, rpc::CallResult};
use tokio::task::JoinSet;

use crate::messages::Item;
use crate::node::{connect, listen, others, show};

pub(crate) async fn answer(control: &Control) -> Result {
    let (_node, address) = listen("server").await?;
    let (echo, _) = Actor::spawn(None, Echo, ()).await?;
    show(&echo);
    control.ready(address);
    control.over().await;
    Ok(())
}

struct Echo;

impl Actor for Echo {
    type Msg = Item;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Item>, (): ()) -> std::result::Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Item>,
        item: Item,
        (): &mut (),
    ) -> std::result::Result<(), ActorProcessingErr> {
        match item {
            Item::Echo(payload, reply) => reply.send(payload)?,
            Item::Sync(reply) => reply.send(0)?,
            Item::Tell(_) => {}
        }
        Ok(())
    }
}

pub(crate) async fn round_trips(plan: &Plan, control: &Control) -> Result {
    let echo = find(plan).await?;
    control.ready("");
    control.go().await;
    let mut trips = RoundTrips::new(plan, control);
    while let Some(number) = trips.next_number() {
        trips.answered(call(&echo, number, plan.size).await);
    }
    trips.tell();
    control.over().await;
    Ok(())
}

pub(crate) async fn many(plan: &Plan, control: &Control) -> Result {
    let echo = find(plan).await?;
    control.ready("");
    control.go().await;
    let mut tasks = JoinSet::new();
    for mut caller in Callers::start(plan, control, plan.in_flight)? {
        let (echo, size) = (echo.clone(), plan.size);
        tasks.spawn(async move {
            while let Some(number) = caller.next_number() {
                caller.answered(number, call(&echo, number, size).await);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    control.over().await;
    Ok(())
}

async fn find(plan: &Plan) -> Result<ActorRef<Item>> {
    let (node, _) = listen("client").await?;
    connect(&node, &plan.at).await?;
    Ok(others(1).await.pop().ok_or("one actor was waited for")?)
}

async fn call(echo: &ActorRef<Item>, number: u64, size: usize) -> Option<u64> {
    match echo.call(|reply| Item::Echo(with_number(number, size), reply), None).await {
        Ok(CallResult::Success(payload)) => number_of(&payload),
        _ => None,
    }
}
