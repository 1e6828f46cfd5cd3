//! The serving side: it answers requests, or publishes.

use futures_util::StreamExt;
use peers_common::{Control, Numbers, Plan, Result};

use crate::broker::Broker;
use crate::{ECHO, ITEM, connect, payload};

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
    control.ready_with(broker.address, vec![broker.pid()]);
    control.go().await;
    let mut numbers = Numbers::new(control);
    while let Some(number) = numbers.next_number() {
        client.publish(ITEM, payload(number, plan)).await?;
    }
    client.flush().await?;
    numbers.tell();
    control.over().await;
    Ok(())
}
