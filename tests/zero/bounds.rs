//! Promise 4 for the blocking verbs: messages and news that nobody waits for are bounded and counted.

use meshzero::{Blob, Limits, NewsError, TrySendError, Value, zero};

use super::{PATIENCE, join, unique};
use crate::bounds::{LENGTH, MANY, send_many};

#[actix::test]
async fn messages_that_nobody_waits_for() {
    let arm = zero::advertise(unique("arm")).expect("advertised");
    let mesh = join().await.expect("another node");
    let service = mesh.discover(arm.to_string()).within(PATIENCE).await.expect("it answers");
    let message = || Value::Bytes(vec![7; LENGTH]);
    send_many("messages", || service.do_send(message())).await;
    assert!(matches!(service.try_send(message()), Err(TrySendError::Full(_))));
    let taken = (Limits::default().send_queue_bytes + (16 << 20)) / LENGTH;
    let dropped = service.stats().calls.dropped as usize;
    assert!(dropped + taken >= MANY, "{dropped} are counted");
    // Accepted messages arrive in order, and no others wait.
    let first = zero::wait_for_message_from::<Value>(arm, PATIENCE).expect("it waits");
    assert_eq!(first, Some(message()));
}

#[actix::test]
async fn news_that_nobody_takes() {
    let weather = zero::advertise(unique("weather")).expect("advertised");
    let listen = move || zero::wait_for_news_from::<Blob>(weather, "", 0);
    assert_eq!(listen().expect("subscribed").map(|_| ()), None);
    let item = Blob::from(vec![7; LENGTH]);
    send_many("news", || zero::send_news_to(weather, "wind", &item).expect("sent")).await;
    let (mut heard, mut missed) = (0, 0);
    while heard + missed < MANY {
        match zero::wait_for_news_from::<Blob>(weather, "", PATIENCE) {
            Ok(news) => heard += usize::from(news.is_some()),
            Err(zero::ZeroError::News(NewsError::Missed { count, .. })) => missed += count as usize,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(heard + missed, MANY, "each arrived or is counted");
    assert!(missed > 0);
}
