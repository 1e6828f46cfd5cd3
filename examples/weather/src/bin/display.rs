//! A display: prints five measurements of a station as they come, and then asks for their average.
//!
//! `cargo run -p weather --bin display -- london`

use std::error::Error;

use meshzero::{CallError, Mesh, NewsError};
use weather::{Average, MEASUREMENT, Measurement, NoMeasurements};

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let town = std::env::args().nth(1).ok_or("usage: display TOWN")?;
    let mesh = Mesh::join().await?;
    let station = mesh.discover(weather::station(&town)).await?;

    let mut measurements = station.subscribe::<Measurement>(MEASUREMENT).await?;
    let mut seen = 0;
    while seen < 5 {
        match measurements.next().await {
            Some(Ok(news)) => {
                seen += 1;
                println!("{}: {:.1} °C", news.from, news.item.celsius);
            }
            Some(Err(NewsError::Missed { count, .. })) => println!("{count} measurements were missed"),
            // The station is gone, or publishes something else; the subscription goes on with the next station.
            Some(Err(error)) => println!("{error}"),
            None => return Err("the mesh has been closed".into()),
        }
    }

    match station.send(Average { last: 5 }).await {
        Ok(Ok(celsius)) => println!("average: {celsius:.1} °C"),
        Ok(Err(NoMeasurements)) => println!("the station has not measured yet"),
        // Safe to repeat: the station has not handled it.
        Err(error @ CallError::NotSent { .. }) => println!("{error}"),
        // No reply in time, or the connection was lost. An average may be asked for again; a payment could not.
        Err(error @ CallError::Unknown { .. }) => println!("{error}"),
        // For example a station of an older version, without a handler for `Average`.
        Err(error @ CallError::Refused { .. }) => println!("{error}"),
        // The station replies with another type than this program expects.
        Err(error @ CallError::BadReply { .. }) => println!("{error}"),
    }
    Ok(())
}
