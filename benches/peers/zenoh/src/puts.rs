//! Calls as puts: one to the server, one back. Express if one call is in flight at a time, so that none waits for a batch.

use std::sync::mpsc;

use peers_common::{Callers, Control, Load, Plan, Result, RoundTrips, number_of, with_number};
use zenoh::pubsub::Publisher;
use zenoh::qos::CongestionControl;
use zenoh::{Session, Wait};

use crate::{PING, PONG, answer_syncs, connect, listen, stay, sync};

async fn publisher(session: &Session, key: &'static str, plan: &Plan) -> Result<Publisher<'static>> {
    session
        .declare_publisher(key)
        .congestion_control(CongestionControl::Block)
        .express(plan.load == Load::RoundTrip)
        .await
}

pub(crate) async fn answer(plan: &Plan, control: &Control) -> Result {
    let (session, address) = listen(plan).await?;
    let back = publisher(&session, PONG, plan).await?;
    session
        .declare_subscriber(PING)
        .callback(move |sample| {
            if let Err(error) = back.put(sample.payload().clone()).wait() {
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
    let ping = publisher(&session, PING, plan).await?;
    let (tell, answers) = mpsc::sync_channel(1);
    session
        .declare_subscriber(PONG)
        .callback(move |sample| {
            // Nobody receives it any more when the run is over.
            let _ = tell.send(number_of(&sample.payload().to_bytes()));
        })
        .background()
        .await?;
    sync(&session).await?;
    control.ready("");
    control.go().await;
    let mut trips = RoundTrips::new(plan, control);
    // A thread of its own, as in zenoh's own example of a ping: it waits without a runtime.
    let (size, pinging) = (plan.size, std::thread::Builder::new());
    let thread = pinging.spawn(move || -> Result {
        while let Some(number) = trips.next_number() {
            ping.put(with_number(number, size)).wait()?;
            trips.answered(answers.recv()?);
        }
        trips.tell();
        Ok(())
    })?;
    tokio::task::spawn_blocking(move || thread.join())
        .await?
        .map_err(|_| "the thread that pings panicked")??;
    stay(control, session).await
}

/// A window: every reply starts the next call.
pub(crate) async fn calls(plan: &Plan, control: &Control) -> Result {
    let session = connect(plan).await?;
    let ping = publisher(&session, PING, plan).await?;
    let (tell, answers) = mpsc::sync_channel(plan.in_flight);
    session
        .declare_subscriber(PONG)
        .callback(move |sample| {
            // Nobody receives it any more when the run is over.
            let _ = tell.send(number_of(&sample.payload().to_bytes()));
        })
        .background()
        .await?;
    sync(&session).await?;
    control.ready("");
    control.go().await;
    let mut callers = Callers::start(plan, control, 1)?;
    let mut caller = callers.pop().ok_or("one caller was asked for")?;
    let (size, window) = (plan.size, plan.in_flight as u64);
    tokio::task::spawn_blocking(move || -> Result {
        let mut sent = 0;
        while let Some(number) = caller.next_number() {
            ping.put(with_number(number, size)).wait()?;
            sent += 1;
            if sent >= window {
                // Puts are answered in order.
                caller.answered(number + 1 - window, answers.recv()?);
            }
        }
        Ok(())
    })
    .await??;
    stay(control, session).await
}
