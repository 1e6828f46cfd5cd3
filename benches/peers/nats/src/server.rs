//! The serving side: it answers requests, or publishes.

use futures_util::StreamExt;
use peers_common::{Control, Numbers, Pace, Plan, Result, number_of};

use crate::broker::Broker;
use crate::{ARRIVED, ECHO, ITEM, connect, payload};

pub(crate) async fn echo(_: &Plan, control: &Control) -> Result {
    let broker = Broker::start().await?;
    let client = connect(&broker.address.to_string()).await?;
    let mut requests = client.subscribe(ECHO).await?;
    client.flush().await?;
    control.ready_with(broker.address, vec![broker.pid()]);
    let answer = async {
        while let Some(request) = requests.next().await {
            if let Some(reply) = request.reply {
                client.publish(reply, request.payload).await?;
            }
        }
        Result::Ok(())
    };
    tokio::select! {
        ended = answer => ended,
        () = control.over() => Ok(()),
    }
}

pub(crate) async fn publish(plan: &Plan, control: &Control) -> Result {
    let broker = Broker::start().await?;
    let client = connect(&broker.address.to_string()).await?;
    let mut arrived = client.subscribe(ARRIVED).await?;
    client.flush().await?;
    let (arrivals, mut pace) = Pace::new(plan);
    tokio::spawn(async move {
        while let Some(told) = arrived.next().await {
            // A subscriber's index, and the number of items that it has received.
            if let (Some(index), Some(count)) =
                (number_of(&told.payload), told.payload.get(8..).and_then(number_of))
            {
                arrivals.tell(index as usize, count);
            }
        }
    });
    control.ready_with(broker.address, vec![broker.pid()]);
    control.go().await;
    let mut numbers = Numbers::new(control);
    while let Some(number) = numbers.next_number() {
        pace.wait(number).await?;
        client.publish(ITEM, payload(number, plan)).await?;
    }
    client.flush().await?;
    numbers.tell();
    control.over().await;
    Ok(())
}
