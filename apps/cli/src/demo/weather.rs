//! A weather station: an actor that publishes news ten times per second, and more on request.

use std::time::Duration;

use actix::prelude::*;
use meshzero::{Mesh, Publisher};

use super::messages::{HISTORY, Reading, Replay};
use super::protocol::{DemoChannel, DemoEvent};
use crate::failure::Failure;

/// The name of the service.
pub(crate) const NAME: &str = "weather";

const CITIES: [(&str, f64); 3] = [("oslo", -4.0), ("lima", 19.5), ("cairo", 31.0)];

struct Station {
    news: Publisher,
    readings: u32,
}

impl Actor for Station {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.run_interval(Duration::from_millis(100), |station, _| station.observe());
    }
}

impl Station {
    fn observe(&mut self) {
        let (city, usual) = CITIES[self.readings as usize % CITIES.len()];
        let reading = self.read(usual);
        if let Err(error) = self.news.publish(format!("city/{city}"), &reading) {
            tracing::warn!(%error, "a reading is lost");
        }
    }

    fn read(&mut self, usual: f64) -> Reading {
        self.readings += 1;
        Reading { celsius: usual + f64::from(self.readings % 7) / 2.0, wind: self.readings % 13 }
    }
}

impl Handler<Replay> for Station {
    type Result = ();

    fn handle(&mut self, Replay(count): Replay, _: &mut Context<Self>) {
        for _ in 0..count {
            let reading = self.read(20.0);
            if let Err(error) = self.news.publish(HISTORY, &reading) {
                tracing::warn!(%error, "a reading is lost");
            }
        }
    }
}

pub(crate) async fn run(mesh: &Mesh, channel: &mut DemoChannel) -> Result<(), Failure> {
    let station = mesh
        .advertise_with(NAME, |news| Station { news, readings: 0 })
        .handles::<Replay>()
        .publishes::<Reading>(HISTORY)
        .await?;
    channel
        .send_event(DemoEvent::Advertises {
            service: NAME.to_owned(),
            address: station.address().to_string(),
        })
        .await?;
    while channel.next().await?.is_some() {}
    Ok(())
}
