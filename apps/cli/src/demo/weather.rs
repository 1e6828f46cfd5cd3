//! A weather station: an actor that publishes news by itself, ten times a second, and as many as it is asked for.

use std::time::Duration;

use actix::prelude::*;
use meshzero::{Mesh, Publisher};
use serde::{Deserialize, Serialize};

use super::cue::{Prompt, Told};
use crate::failure::Failure;

/// The name it is found by.
pub(crate) const NAME: &str = "weather";

/// The topic of what it is asked for.
pub(crate) const HISTORY: &str = "history";

const CITIES: [(&str, f64); 3] = [("oslo", -4.0), ("lima", 19.5), ("cairo", 31.0)];

/// What it publishes, under `city/` and the name of one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) celsius: f64,
    pub(crate) wind: u32,
}

/// Asks for so many readings of the past, published under [`HISTORY`].
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Replay(pub(crate) u32);

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

pub(crate) async fn run(mesh: &Mesh, prompt: &mut Prompt) -> Result<(), Failure> {
    let station = mesh
        .advertise_with(NAME, |news| Station { news, readings: 0 })
        .handles::<Replay>()
        .publishes::<Reading>(HISTORY)
        .await?;
    prompt
        .tell(Told::Advertises { service: NAME.to_owned(), address: station.address().to_string() })
        .await?;
    while prompt.next().await?.is_some() {}
    Ok(())
}
