//! Calls as queries: each is answered by a queryable.

use peers_common::{Callers, Control, Plan, Result, RoundTrips, number_of, with_number};
use tokio::task::JoinSet;
use zenoh::{Session, Wait};

use crate::{PING, answer_syncs, connect, listen, stay, sync};

pub(crate) async fn answer(plan: &Plan, control: &Control) -> Result {
    let (session, address) = listen(plan).await?;
    session
        .declare_queryable(PING)
        .callback(|query| {
            let payload = query.payload().cloned().unwrap_or_default();
            if let Err(error) = query.reply(PING, payload).wait() {
                eprintln!("{error}");
            }
        })
        .background()
        .await?;
    answer_syncs(&session).await?;
    control.ready(address);
    stay(control, session).await
}

pub(crate) async fn round_trips(plan: &Plan, control: &Control) -> Result {
    let session = connect(plan).await?;
    sync(&session).await?;
    control.ready("");
    control.go().await;
    let mut trips = RoundTrips::new(plan, control);
    while let Some(number) = trips.next_number() {
        trips.answered(ask(&session, with_number(number, plan.size)).await);
    }
    trips.tell();
    stay(control, session).await
}

pub(crate) async fn calls(plan: &Plan, control: &Control) -> Result {
    let session = connect(plan).await?;
    sync(&session).await?;
    control.ready("");
    control.go().await;
    let mut tasks = JoinSet::new();
    for mut caller in Callers::start(plan, control, plan.in_flight)? {
        let (session, size) = (session.clone(), plan.size);
        tasks.spawn(async move {
            while let Some(number) = caller.next_number() {
                caller.answered(number, ask(&session, with_number(number, size)).await);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    stay(control, session).await
}

async fn ask(session: &Session, payload: Vec<u8>) -> Option<u64> {
    let replies = session.get(PING).payload(payload).await.ok()?;
    let reply = replies.recv_async().await.ok()?;
    number_of(&reply.result().ok()?.payload().to_bytes())
}
