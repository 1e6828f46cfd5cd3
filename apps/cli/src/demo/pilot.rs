//! A client that calls the arm and watches it.

use std::time::{Duration, Instant};

use meshzero::{CallError, Mesh, ServiceRef, WatchEvent};
use tokio::task::JoinSet;

use super::arm;
use super::messages::{Joint, Move};
use super::protocol::{CallOutcome, DemoChannel, DemoCommand, DemoEvent, millis};
use crate::failure::Failure;

/// The timeout of a call; short, because one of them is to an arm that has crashed.
const TIMEOUT: Duration = Duration::from_millis(250);

/// The measured time.
const MEASURED: Duration = Duration::from_millis(600);

/// The number of concurrent calls.
const UNDER_WAY: usize = 64;

pub(crate) async fn run(mesh: &Mesh, channel: &mut DemoChannel) -> Result<(), Failure> {
    let started = Instant::now();
    let arm = mesh.discover(arm::NAME).await?;
    let ms = millis(started);
    let address = arm.address().map(|address| address.to_string()).unwrap_or_default();
    channel.send_event(DemoEvent::Found { service: arm::NAME.to_owned(), address, ms }).await?;

    let mut watch = mesh.watch(arm::NAME);
    loop {
        tokio::select! {
            event = watch.next() => {
                let Some(event) = event else { return Ok(()) };
                if let Some(told) = told(event) {
                    channel.send_event(told).await?;
                }
            }
            command = channel.next() => {
                let told = match command? {
                    Some(DemoCommand::Send(message)) => send(&arm, message).await,
                    Some(DemoCommand::Measure) => measure(&arm).await?,
                    None => return Ok(()),
                };
                channel.send_event(told).await?;
            }
        }
    }
}

fn told(event: WatchEvent) -> Option<DemoEvent> {
    match event {
        WatchEvent::Up(arm) => Some(DemoEvent::Up {
            service: arm.service.to_string(),
            address: arm.address().map(|address| address.to_string()).unwrap_or_default(),
        }),
        WatchEvent::Down { instance: arm, reason } => {
            Some(DemoEvent::Down { service: arm.service.to_string(), reason: reason.to_string() })
        }
        WatchEvent::Moved(_) => None,
    }
}

async fn send(arm: &ServiceRef, message: Move) -> DemoEvent {
    let text = message.to_string();
    let started = Instant::now();
    let outcome = match arm.send(message).timeout(TIMEOUT).await {
        Ok(Ok(pose)) => CallOutcome::Done(pose.to_string()),
        Ok(Err(out_of_reach)) => CallOutcome::Declined(out_of_reach.to_string()),
        Err(error) if error.is_safe_to_repeat() => {
            CallOutcome::Failed("not sent, so it is safe to repeat".to_owned())
        }
        Err(error) => CallOutcome::Failed(error.to_string()),
    };
    DemoEvent::Replied { message: text, outcome, ms: millis(started) }
}

async fn measure(arm: &ServiceRef) -> Result<DemoEvent, CallError> {
    let one_by_one = calls(arm.clone()).await?;
    let started = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..UNDER_WAY {
        callers.spawn_local(count(arm.clone()));
    }
    let mut together = 0;
    while let Some(caller) = callers.join_next().await {
        // A caller that panicked has counted nothing.
        together += caller.unwrap_or(Ok(0))?;
    }
    let together = f64::from(together) / started.elapsed().as_secs_f64();
    Ok(DemoEvent::Calls { one_by_one, together, under_way: UNDER_WAY })
}

async fn calls(arm: ServiceRef) -> Result<f64, CallError> {
    let started = Instant::now();
    let calls = count(arm).await?;
    Ok(f64::from(calls) / started.elapsed().as_secs_f64())
}

async fn count(arm: ServiceRef) -> Result<u32, CallError> {
    let started = Instant::now();
    let mut calls = 0;
    while started.elapsed() < MEASURED {
        // The arm's own answer, that it cannot turn so far, is a reply like any other.
        let _pose = arm.send(Move { joint: Joint::Shoulder, degrees: 0.0 }).await?;
        calls += 1;
    }
    Ok(calls)
}
