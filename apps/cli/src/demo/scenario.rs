//! The scenario of the demo: its scenes, in order.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use tokio::time;

use super::arm;
use super::messages::{Joint, Move};
use super::processes::DemoProcess;
use super::protocol::{CallOutcome, DemoCommand, DemoEvent, millis};
use super::role::Role;
use super::transcript::{Transcript, thousands};
use crate::failure::Failure;
use crate::output::Output;
use crate::signals::StopSignals;

/// The limit of the whole demo, its shutdown included.
const LONGEST: Duration = Duration::from_secs(13);

/// Runs the demo. All its processes have ended when this returns, on errors as well.
pub(crate) async fn play(out: &Output, stop: &mut StopSignals) -> Result<(), Failure> {
    let mesh = format!("demo-{:08x}", random());
    let mut processes = DemoProcesses::default();
    let result = tokio::select! {
        biased;
        signal = stop.signal() => Err(Failure::Signalled(signal)),
        () = out.closed() => Err(Failure::OutputClosed),
        () = time::sleep(LONGEST) => Err(Failure::OutcomeUnknown(format!("the demo took longer than {LONGEST:?}"))),
        result = scenes(out, &mesh, &mut processes) => result,
    };
    processes.dismiss().await;
    result
}

/// The processes of the demo.
#[derive(Default)]
struct DemoProcesses {
    arm: Option<DemoProcess>,
    weather: Option<DemoProcess>,
    pilot: Option<DemoProcess>,
    display: Option<DemoProcess>,
}

impl DemoProcesses {
    async fn dismiss(self) {
        let [arm, weather, pilot, display] =
            [self.arm, self.weather, self.pilot, self.display].map(|process| async {
                if let Some(process) = process {
                    process.dismiss().await;
                }
            });
        tokio::join!(arm, weather, pilot, display);
    }
}

async fn scenes(out: &Output, mesh: &str, processes: &mut DemoProcesses) -> Result<(), Failure> {
    let told = Transcript::begin(out);
    told.scene(&format!("Four processes on this machine, on a mesh of their own: {mesh}")).await?;
    told.note("Nothing is configured: no broker, no addresses, no ports.").await?;

    told.scene("Two services start: an arm that takes typed messages, a station that publishes news").await?;
    let arm = processes.arm.insert(DemoProcess::start(Role::Arm, mesh)?);
    advertised(&told, arm).await?;
    let weather = processes.weather.insert(DemoProcess::start(Role::Weather, mesh)?);
    advertised(&told, weather).await?;

    told.scene("Two clients start, and find them by name").await?;
    let pilot = processes.pilot.insert(DemoProcess::start(Role::Pilot, mesh)?);
    found(&told, pilot).await?;
    let display = processes.display.insert(DemoProcess::start(Role::Display, mesh)?);
    found(&told, display).await?;

    told.scene("Calls: a message goes into the arm's actor, its reply comes back, both typed").await?;
    for (joint, degrees) in [(Joint::Shoulder, 45.0), (Joint::Elbow, 30.0), (Joint::Elbow, 300.0)] {
        call(&told, pilot, Move { joint, degrees }).await?;
    }

    told.scene("News: the station publishes, and subscribers of the topic receive it").await?;
    for _ in 0..3 {
        let (topic, reading) = display
            .hear("an item of news", |told| match told {
                DemoEvent::Heard { topic, reading } => Some((topic.clone(), *reading)),
                _ => None,
            })
            .await?;
        told.tell(
            "display",
            format!("{topic:<12} {:>5.1} °C, wind {:>2} km/h", reading.celsius, reading.wind),
        )
        .await?;
    }

    told.scene("The arm's process is killed (kill -9), and detected as gone").await?;
    let killed = Instant::now();
    told.tell("demo", format!("kill -9 {}", arm.pid())).await?;
    arm.kill().await?;
    let why = pilot
        .hear("the loss of the arm", |told| match told {
            DemoEvent::Down { why, .. } => Some(why.clone()),
            _ => None,
        })
        .await?;
    told.timed("pilot", format!("{} is gone: {why}", arm::NAME), millis(killed)).await?;
    call(&told, pilot, Move { joint: Joint::Elbow, degrees: 5.0 }).await?;

    told.scene("A new arm starts at another address: the pilot continues with the same handle").await?;
    let arm = processes.arm.insert(DemoProcess::start(Role::Arm, mesh)?);
    advertised(&told, arm).await?;
    pilot
        .hear("the new arm", |told| match told {
            DemoEvent::Up { address, .. } => Some(address.clone()),
            _ => None,
        })
        .await?;
    call(&told, pilot, Move { joint: Joint::Elbow, degrees: 5.0 }).await?;

    told.scene("Rates between two processes, on this machine, as it is now").await?;
    rates(&told, pilot, display).await?;

    told.scene(&format!(
        "Everything above happened between processes, in {:.1} s. Your turn:",
        told.seconds()
    ))
    .await?;
    told.note("mz advertise greeter --reply 'Hello, {}!'").await?;
    told.note("mz send greeter world      (from another terminal, or another machine)").await
}

async fn advertised(told: &Transcript<'_>, process: &mut DemoProcess) -> Result<(), Failure> {
    let (service, address) = process
        .hear("its service", |told| match told {
            DemoEvent::Advertises { service, address } => Some((service.clone(), address.clone())),
            _ => None,
        })
        .await?;
    told.tell(process.role().name(), format!("process {} advertises {service} at {address}", process.pid()))
        .await
}

async fn found(told: &Transcript<'_>, process: &mut DemoProcess) -> Result<(), Failure> {
    let (service, address, ms) = process
        .hear("a service that it found", |told| match told {
            DemoEvent::Found { service, address, ms } => Some((service.clone(), address.clone(), *ms)),
            _ => None,
        })
        .await?;
    let what = format!("process {} found {service} at {address}", process.pid());
    told.timed(process.role().name(), what, ms).await
}

async fn call(told: &Transcript<'_>, pilot: &mut DemoProcess, message: Move) -> Result<(), Failure> {
    pilot.cue(&DemoCommand::Send(message)).await?;
    let (message, outcome, ms) = pilot
        .hear("the outcome of a call", |told| match told {
            DemoEvent::Replied { message, outcome, ms } => Some((message.clone(), outcome.clone(), *ms)),
            _ => None,
        })
        .await?;
    let outcome = match outcome {
        CallOutcome::Done(pose) => format!("Ok({pose})"),
        CallOutcome::Declined(why) => format!("Err({why})"),
        CallOutcome::Failed(why) => why,
    };
    told.tell("pilot", message).await?;
    told.timed("", format!("-> {outcome}"), ms).await
}

async fn rates(
    told: &Transcript<'_>,
    pilot: &mut DemoProcess,
    display: &mut DemoProcess,
) -> Result<(), Failure> {
    pilot.cue(&DemoCommand::Measure).await?;
    let (one_by_one, together, under_way) = pilot
        .hear("the rate of calls", |told| match told {
            DemoEvent::Calls { one_by_one, together, under_way } => {
                Some((*one_by_one, *together, *under_way))
            }
            _ => None,
        })
        .await?;
    told.tell("pilot", format!("{:>9} calls per second, one at a time", thousands(one_by_one))).await?;
    told.tell("pilot", format!("{:>9} calls per second, {under_way} at a time", thousands(together))).await?;
    display.cue(&DemoCommand::Measure).await?;
    let (a_second, missed) = display
        .hear("the rate of news", |told| match told {
            DemoEvent::News { a_second, missed } => Some((*a_second, *missed)),
            _ => None,
        })
        .await?;
    told.tell("display", format!("{:>9} news per second, {missed} missed", thousands(a_second))).await
}

/// Returns a number that is most likely unique: the standard library seeds its maps with one.
fn random() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).unwrap_or(u32::MAX)
}
