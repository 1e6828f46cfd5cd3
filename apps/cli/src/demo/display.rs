//! A client that subscribes to the weather.

use std::time::{Duration, Instant};

use meshzero::{Mesh, NewsError, ServiceRef};

use super::messages::{HISTORY, Reading, Replay};
use super::protocol::{DemoChannel, DemoCommand, DemoEvent, millis};
use super::weather;
use crate::failure::Failure;

/// The number of readings shown.
const READINGS: usize = 3;

/// The measured time.
const MEASURED: Duration = Duration::from_millis(600);

/// The readings per request. Two requests are under way at a time, which fit into the publisher's backlog of 1,024.
const BATCH: u32 = 500;

pub(crate) async fn run(mesh: &Mesh, channel: &mut DemoChannel) -> Result<(), Failure> {
    let started = Instant::now();
    let weather = mesh.discover(weather::NAME).await?;
    let ms = millis(started);
    let address = weather.address().map(|address| address.to_string()).unwrap_or_default();
    channel.send_event(DemoEvent::Found { service: weather::NAME.to_owned(), address, ms }).await?;

    let mut news = weather.subscribe::<Reading>("city/").await?;
    for _ in 0..READINGS {
        let Some(news) = news.next().await else { return Ok(()) };
        let news = news.map_err(missed)?;
        channel.send_event(DemoEvent::Heard { topic: news.topic.to_string(), reading: news.item }).await?;
    }
    drop(news);

    while let Some(command) = channel.next().await? {
        if let DemoCommand::Measure = command {
            let told = measure(&weather).await?;
            channel.send_event(told).await?;
        }
    }
    Ok(())
}

async fn measure(weather: &ServiceRef) -> Result<DemoEvent, Failure> {
    let mut news = weather.subscribe::<Reading>(HISTORY).await?;
    let (mut heard, mut missed) = (0_u64, 0);
    let started = Instant::now();
    weather.send(Replay(BATCH)).await?;
    while started.elapsed() < MEASURED {
        let asked = weather.send(Replay(BATCH));
        for _ in 0..BATCH {
            match news.next().await {
                Some(Ok(_)) => heard += 1,
                Some(Err(NewsError::Missed { count, .. })) => missed += count,
                Some(Err(error)) => return Err(self::missed(error)),
                None => return Err(Failure::Local("the mesh was left".to_owned())),
            }
        }
        asked.await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "no machine counts beyond 2^53 in a second")]
    let a_second = heard as f64 / started.elapsed().as_secs_f64();
    Ok(DemoEvent::News { a_second, missed })
}

fn missed(error: NewsError) -> Failure {
    Failure::Unavailable(error.to_string())
}
