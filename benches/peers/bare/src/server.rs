//! The serving side over tokio: it echoes, or receives, or publishes.

use peers_common::{Control, Load, Numbers, Plan, Result, Sink, Tally, shared_body};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::frames::{Reader, frame, queue, write};

pub(crate) async fn run(plan: &Plan, control: &Control) -> Result {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    control.ready(listener.local_addr()?);
    match plan.load {
        Load::RoundTrip | Load::Calls => echo(plan, control, accept(&listener).await?).await,
        Load::OneWay => {
            let mut tallies = Sink::start(plan, control, 1)?;
            let tally = tallies.pop().ok_or("one receiver has one tally")?;
            receive(Reader::new(accept(&listener).await?.into_split().0), tally).await?;
            control.over().await;
            Ok(())
        }
        Load::FanOut => publish(plan, control, &listener).await,
    }
}

async fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn echo(plan: &Plan, control: &Control, stream: TcpStream) -> Result {
    let (read, out) = stream.into_split();
    let (outgoing, frames) = mpsc::channel(queue(plan.size));
    tokio::spawn(write(frames, out));
    let mut reader = Reader::new(read);
    let mut replies = Vec::new();
    while reader.fill().await? {
        reader.each(|number, body| replies.push(frame(number, body)))?;
        for reply in replies.drain(..) {
            outgoing.send(reply).await?;
        }
    }
    control.over().await;
    Ok(())
}

/// Adds each received message to the tally, until the connection ends.
pub(crate) async fn receive(mut reader: Reader, mut tally: Tally) -> Result {
    while reader.fill().await? {
        reader.each(|number, _| tally.take(number))?;
    }
    Ok(())
}

async fn publish(plan: &Plan, control: &Control, listener: &TcpListener) -> Result {
    let mut subscribers = Vec::new();
    for _ in 0..plan.subscribers {
        let (outgoing, frames) = mpsc::channel(queue(plan.size));
        let (read, out) = accept(listener).await?.into_split();
        tokio::spawn(async move {
            let written = write(frames, out).await;
            drop(read);
            written
        });
        subscribers.push(outgoing);
    }
    control.go().await;
    let body = shared_body(plan.size);
    let mut numbers = Numbers::new(control);
    while let Some(number) = numbers.next_number() {
        let frame = frame(number, &body);
        for subscriber in &subscribers {
            subscriber.send(frame.clone()).await?;
        }
    }
    numbers.tell();
    control.over().await;
    Ok(())
}
