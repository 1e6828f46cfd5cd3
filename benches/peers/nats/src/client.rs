//! The calling side: requests over one connection, and subscribers with a connection each.

use futures_util::StreamExt;
use peers_common::{Callers, Control, Pace, Plan, Result, RoundTrips, Sink, number_of};
use tokio::task::JoinSet;

use crate::{ARRIVED, ECHO, ITEM, connect, payload};

pub(crate) async fn round_trips(plan: &Plan, control: &Control) -> Result {
    let client = connect(&plan.at).await?;
    control.ready("");
    control.go().await;
    let mut trips = RoundTrips::new(plan, control);
    while let Some(number) = trips.next_number() {
        let reply = client.request(ECHO, payload(number, plan)).await?;
        trips.answered(number_of(&reply.payload));
    }
    trips.tell();
    control.over().await;
    Ok(())
}

pub(crate) async fn calls(plan: &Plan, control: &Control) -> Result {
    let client = connect(&plan.at).await?;
    control.ready("");
    control.go().await;
    let mut tasks = JoinSet::new();
    for mut caller in Callers::start(plan, control, plan.in_flight)? {
        let (client, plan) = (client.clone(), plan.clone());
        tasks.spawn(async move {
            while let Some(number) = caller.next_number() {
                let reply = client.request(ECHO, payload(number, &plan)).await;
                caller.answered(number, reply.ok().and_then(|reply| number_of(&reply.payload)));
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    control.over().await;
    Ok(())
}

pub(crate) async fn subscribe(plan: &Plan, control: &Control) -> Result {
    let mut tasks = JoinSet::new();
    let every = Pace::every(plan);
    for (index, mut tally) in (0u64..).zip(Sink::start(plan, control, plan.subscribers)?) {
        let client = connect(&plan.at).await?;
        let mut items = client.subscribe(ITEM).await?;
        // The server has the subscription when it answers this.
        client.flush().await?;
        tasks.spawn(async move {
            let mut count: u64 = 0;
            while let Some(item) = items.next().await {
                tally.take(number_of(&item.payload).ok_or("an item of less than a number")?);
                count += 1;
                if count.is_multiple_of(every) {
                    let arrived = [index.to_le_bytes(), count.to_le_bytes()].concat();
                    client.publish(ARRIVED, arrived.into()).await?;
                }
            }
            Result::Ok(())
        });
    }
    control.ready("");
    control.over().await;
    tasks.abort_all();
    Ok(())
}
