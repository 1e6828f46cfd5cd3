//! The calling side. A tell is acknowledged by the other process, the only way to know that it was accepted; so as many are in
//! flight at once as there are calls, by a task each, and their order is left to libp2p.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kameo::actor::RemoteActorRef;
use peers_common::{Callers, Control, Numbers, Plan, Result, RoundTrips, shared_body};
use tokio::task::JoinSet;

use crate::actors::{Echo, NAME, Peer, Tell};
use crate::swarm::join;

const GLANCE: Duration = Duration::from_millis(20);

async fn find(plan: &Plan) -> Result<RemoteActorRef<Peer>> {
    join(Some(&plan.at)).await?;
    loop {
        if let Some(peer) = RemoteActorRef::lookup(NAME).await? {
            return Ok(peer);
        }
        // The DHT learns of the other process after the connection, without a notification.
        tokio::time::sleep(GLANCE).await;
    }
}

pub(crate) async fn round_trips(plan: &Plan, control: &Control) -> Result {
    let peer = find(plan).await?;
    control.ready("");
    control.go().await;
    let body = shared_body(plan.size);
    let mut trips = RoundTrips::new(plan, control);
    while let Some(number) = trips.next_number() {
        let reply = peer.ask(&Echo { number, body: body.clone() }).await;
        trips.answered(reply.ok().map(|(number, _)| number));
    }
    trips.tell();
    control.over().await;
    Ok(())
}

pub(crate) async fn calls(plan: &Plan, control: &Control) -> Result {
    let peer = find(plan).await?;
    control.ready("");
    control.go().await;
    let mut tasks = JoinSet::new();
    for mut caller in Callers::start(plan, control, plan.in_flight)? {
        let (peer, body) = (peer.clone(), shared_body(plan.size));
        tasks.spawn(async move {
            while let Some(number) = caller.next_number() {
                let reply = peer.ask(&Echo { number, body: body.clone() }).await;
                caller.answered(number, reply.ok().map(|(number, _)| number));
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    control.over().await;
    Ok(())
}

pub(crate) async fn tell(plan: &Plan, control: &Control) -> Result {
    let peer = find(plan).await?;
    control.ready("");
    control.go().await;
    let numbers = Arc::new(Mutex::new(Numbers::new(control)));
    let mut tasks = JoinSet::new();
    for _ in 0..plan.in_flight {
        let (peer, numbers, body) = (peer.clone(), Arc::clone(&numbers), shared_body(plan.size));
        tasks.spawn(async move {
            loop {
                let next = numbers.lock().unwrap_or_else(PoisonError::into_inner).next_number();
                let Some(number) = next else { return };
                // A failed one is counted as lost by its number.
                let _ = peer.tell(&Tell { number, body: body.clone() }).send_ack().await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    let numbers = Arc::into_inner(numbers).ok_or("all tasks have ended")?;
    numbers.into_inner().unwrap_or_else(PoisonError::into_inner).tell();
    control.over().await;
    Ok(())
}
