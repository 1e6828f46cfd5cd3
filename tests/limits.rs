//! Limits at their ends.

use std::time::Duration;

use actix::prelude::*;
use meshzero::Limits;

use crate::pair::{PATIENCE, Pair};

struct Quiet;

impl Actor for Quiet {
    type Context = Context<Self>;
}

#[actix::test]
async fn times_as_long_as_can_be_are_no_more_than_that() {
    let mut limits = Limits::default();
    for time in [
        &mut limits.handshake,
        &mut limits.reconnect,
        &mut limits.news_patience,
        &mut limits.drain,
        &mut limits.request_timeout,
        &mut limits.keep_alive,
    ] {
        *time = Duration::MAX;
    }
    let pair = Pair::join_with(limits).await;
    let service = pair.here.advertise("robot", || Quiet).await.expect("advertised");
    let robot = pair.there.discover("robot").within(PATIENCE).await.expect("it is found");
    let mut poses = robot.subscribe::<u32>("pose").await.expect("confirmed");
    service.publish("pose", &1).expect("published");
    let news = actix::clock::timeout(PATIENCE, poses.next()).await.expect("in time");
    assert_eq!(news.expect("goes on").expect("an item").item, 1);
    service.close().await;
    let gone = pair.there.discover("robot").within(Duration::from_millis(100)).await;
    assert!(gone.is_err(), "it is closed: {gone:?}");
}
