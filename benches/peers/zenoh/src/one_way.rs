//! One publisher, and subscribers with a session each. It waits where a put would be dropped by default.

use std::io::Read;
use std::sync::Mutex;

use peers_common::{Control, Numbers, Plan, Result, Sink, Tally, shared_body, with_number};
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::qos::CongestionControl;

use crate::{ITEM, answer_syncs, connect, listen, stay, sync};

/// The size from which bodies share one memory, as zenoh lets them.
const SHARED: usize = 16 << 10;

pub(crate) async fn publish(plan: &Plan, control: &Control) -> Result {
    let (session, address) = listen(plan).await?;
    let publisher =
        session.declare_publisher(ITEM).congestion_control(CongestionControl::Block).express(false).await?;
    answer_syncs(&session).await?;
    control.ready(address);
    control.go().await;
    let (mut numbers, size) = (Numbers::new(control), plan.size);
    tokio::task::spawn_blocking(move || -> Result {
        let body = ZBytes::from(shared_body(size).to_vec());
        while let Some(number) = numbers.next_number() {
            publisher.put(payload(number, size, &body)).wait()?;
        }
        numbers.tell();
        Ok(())
    })
    .await??;
    stay(control, session).await
}

fn payload(number: u64, size: usize, body: &ZBytes) -> ZBytes {
    if size < SHARED {
        return with_number(number, size).into();
    }
    let mut writer = ZBytes::writer();
    writer.append(number.to_le_bytes().to_vec().into());
    writer.append(body.clone());
    writer.finish()
}

pub(crate) async fn subscribe(plan: &Plan, control: &Control) -> Result {
    let mut sessions = Vec::new();
    for tally in Sink::start(plan, control, plan.subscribers)? {
        let session = connect(plan).await?;
        // One callback at a time, so nobody ever waits for it.
        let tally = Mutex::new(tally);
        session
            .declare_subscriber(ITEM)
            .callback(move |sample| take(&tally, sample.payload()))
            .background()
            .await?;
        sync(&session).await?;
        sessions.push(session);
    }
    control.ready("");
    control.over().await;
    for session in sessions {
        session.close().await?;
    }
    Ok(())
}

fn take(tally: &Mutex<Tally>, payload: &ZBytes) {
    let mut number = [0; size_of::<u64>()];
    if let (Ok(()), Ok(mut tally)) = (payload.reader().read_exact(&mut number), tally.lock()) {
        tally.take(u64::from_le_bytes(number));
    }
}
