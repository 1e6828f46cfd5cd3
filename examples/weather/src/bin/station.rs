//! A weather station: measures ten times a second, publishes each measurement, and answers calls for the average.
//!
//! `cargo run -p weather --bin station -- london`

use std::collections::VecDeque;
use std::error::Error;
use std::time::Duration;

use actix::prelude::*;
use meshzero::{Mesh, Publisher};
use weather::{Average, MEASUREMENT, Measurement, NoMeasurements};

/// The number of measurements that a station keeps.
const KEPT: usize = 100;

struct Station {
    news: Publisher,
    number: u64,
    kept: VecDeque<f32>,
}

impl Actor for Station {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.run_interval(Duration::from_millis(100), Self::measure);
    }
}

impl Handler<Average> for Station {
    type Result = Result<f32, NoMeasurements>;

    fn handle(&mut self, Average { last }: Average, _: &mut Context<Self>) -> Self::Result {
        let taken: Vec<f32> = self.kept.iter().rev().take(last).copied().collect();
        if taken.is_empty() {
            Err(NoMeasurements)
        } else {
            Ok(taken.iter().sum::<f32>() / taken.len() as f32)
        }
    }
}

impl Station {
    fn new(news: Publisher) -> Self {
        Self { news, number: 0, kept: VecDeque::new() }
    }

    fn measure(&mut self, context: &mut Context<Self>) {
        self.number += 1;
        let celsius = 15.0 + (self.number as f32 / 10.0).sin();
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(celsius);
        // Fails when the service has been closed.
        if self.news.publish(MEASUREMENT, &Measurement { number: self.number, celsius }).is_err() {
            context.stop();
        }
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let town = std::env::args().nth(1).ok_or("usage: station TOWN")?;
    let mesh = Mesh::join().await?;
    let station = mesh
        .advertise_with(weather::station(&town), Station::new)
        .handles::<Average>()
        .publishes::<Measurement>(MEASUREMENT)
        .await?;
    println!("{} is at {}", station.name(), station.address());
    println!("{}", station.ended().await);
    Ok(())
}
