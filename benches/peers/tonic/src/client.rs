//! The calling side: unary calls over one channel, and subscribers with a channel each.

use peers_common::{Callers, Control, Plan, Result, RoundTrips, Sink, shared_body};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use crate::proto::peer_client::PeerClient;
use crate::proto::{Begin, Item};
use crate::{CONNECTION_WINDOW, STREAM_WINDOW};

async fn connect(plan: &Plan) -> Result<PeerClient<Channel>> {
    let channel = Endpoint::from_shared(format!("http://{}", plan.at))?
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect()
        .await?;
    Ok(PeerClient::new(channel))
}

pub(crate) async fn round_trips(plan: &Plan, control: &Control) -> Result {
    let mut client = connect(plan).await?;
    control.ready("");
    control.go().await;
    let body = shared_body(plan.size);
    let mut trips = RoundTrips::new(plan, control);
    while let Some(number) = trips.next_number() {
        let reply = client.echo(Item { number, body: body.clone() }).await?;
        trips.answered(Some(reply.into_inner().number));
    }
    trips.tell();
    control.over().await;
    Ok(())
}

pub(crate) async fn calls(plan: &Plan, control: &Control) -> Result {
    let client = connect(plan).await?;
    control.ready("");
    control.go().await;
    let mut tasks = JoinSet::new();
    for mut caller in Callers::start(plan, control, plan.in_flight)? {
        let (mut client, body) = (client.clone(), shared_body(plan.size));
        tasks.spawn(async move {
            while let Some(number) = caller.next_number() {
                let reply = client.echo(Item { number, body: body.clone() }).await;
                caller.answered(number, reply.ok().map(|reply| reply.into_inner().number));
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    control.over().await;
    Ok(())
}

pub(crate) async fn listen(plan: &Plan, control: &Control) -> Result {
    let mut tasks = JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..plan.subscribers {
        clients.push(connect(plan).await?);
    }
    control.ready("");
    for (mut client, mut tally) in clients.into_iter().zip(Sink::start(plan, control, plan.subscribers)?) {
        tasks.spawn(async move {
            let mut items = client.listen(Begin {}).await?.into_inner();
            while let Some(item) = items.message().await? {
                tally.take(item.number);
            }
            Result::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    control.over().await;
    Ok(())
}
