//! The states of a service, and a subscription to them.

use actix::{Actor, Context};
use meshzero::{Blob, Limits, Mesh};
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use crate::listener::Ages;
use crate::{PERIOD, STATE_BYTES, now};

struct Idle;

impl Actor for Idle {
    type Context = Context<Self>;
}

#[derive(Serialize, Deserialize)]
struct State {
    at: u64,
    padding: Blob,
}

pub(crate) fn publish() {
    actix::System::new().block_on(async {
        let mesh = Mesh::join().await.expect("joined");
        let service = mesh.advertise("states", || Idle).await.expect("advertised");
        println!("at {}", service.address());
        let publisher = service.publisher();
        let padding = Blob::from(vec![0; STATE_BYTES]);
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            publisher.publish("state", &State { at: now(), padding: padding.clone() }).expect("published");
        }
    });
}

pub(crate) fn listen(at: &str, races: u32) {
    actix::System::new().block_on(async {
        let mut limits = Limits::default();
        limits.races_per_second = races;
        let mesh = Mesh::join().limits(limits).await.expect("joined");
        let states = mesh.discover(at).await.expect("it is there");
        let mut news = states.subscribe::<State>("state").latest().await.expect("confirmed");
        let ages = Ages::default();
        ages.serve();
        println!("listening");
        while let Some(next) = news.next().await {
            if let Ok(news) = next {
                ages.arrive(news.item.at);
            }
        }
    });
}
