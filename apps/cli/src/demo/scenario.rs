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
pub(crate) async fn run_demo(out: &Output, stop: &mut StopSignals) -> Result<(), Failure> {
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
    let transcript = Transcript::begin(out);
    transcript.scene(&format!("Four processes on this machine, on a mesh of their own: {mesh}")).await?;
    transcript.note("Nothing is configured: no broker, no addresses, no ports.").await?;

    transcript
        .scene("Two services start: an arm that takes typed messages, a station that publishes news")
        .await?;
    let arm = processes.arm.insert(DemoProcess::start(Role::Arm, mesh)?);
    advertised(&transcript, arm).await?;
    let weather = processes.weather.insert(DemoProcess::start(Role::Weather, mesh)?);
    advertised(&transcript, weather).await?;

    transcript.scene("Two clients start, and find them by name").await?;
    let pilot = processes.pilot.insert(DemoProcess::start(Role::Pilot, mesh)?);
    found(&transcript, pilot).await?;
    let display = processes.display.insert(DemoProcess::start(Role::Display, mesh)?);
    found(&transcript, display).await?;

    transcript.scene("Calls: a message goes into the arm's actor, its reply comes back, both typed").await?;
    for (joint, degrees) in [(Joint::Shoulder, 45.0), (Joint::Elbow, 30.0), (Joint::Elbow, 300.0)] {
        call(&transcript, pilot, Move { joint, degrees }).await?;
    }

    transcript.scene("News: the station publishes, and subscribers of the topic receive it").await?;
    for _ in 0..3 {
        let (topic, reading) = display
            .wait_for("an item of news", |event| match event {
                DemoEvent::Heard { topic, reading } => Some((topic.clone(), *reading)),
                _ => None,
            })
            .await?;
        transcript
            .event(
                "display",
                format!("{topic:<12} {:>5.1} °C, wind {:>2} km/h", reading.celsius, reading.wind),
            )
            .await?;
    }

    transcript.scene("The arm's process is killed (kill -9), and detected as gone").await?;
    let killed = Instant::now();
    transcript.event("demo", format!("kill -9 {}", arm.pid())).await?;
    arm.kill().await?;
    let reason = pilot
        .wait_for("the loss of the arm", |event| match event {
            DemoEvent::Down { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await?;
    transcript.timed_event("pilot", format!("{} is gone: {reason}", arm::NAME), millis(killed)).await?;
    call(&transcript, pilot, Move { joint: Joint::Elbow, degrees: 5.0 }).await?;

    transcript.scene("A new arm starts at another address: the pilot continues with the same handle").await?;
    let arm = processes.arm.insert(DemoProcess::start(Role::Arm, mesh)?);
    advertised(&transcript, arm).await?;
    pilot
        .wait_for("the new arm", |event| match event {
            DemoEvent::Up { address, .. } => Some(address.clone()),
            _ => None,
        })
        .await?;
    call(&transcript, pilot, Move { joint: Joint::Elbow, degrees: 5.0 }).await?;

    transcript.scene("Rates between two processes, on this machine, as it is now").await?;
    rates(&transcript, pilot, display).await?;

    transcript
        .scene(&format!(
            "Everything above happened between processes, in {:.1} s. Your turn:",
            transcript.seconds()
        ))
        .await?;
    transcript.note("mz advertise greeter --reply 'Hello, {}!'").await?;
    transcript.note("mz send greeter world      (from another terminal, or another machine)").await
}

async fn advertised(transcript: &Transcript<'_>, process: &mut DemoProcess) -> Result<(), Failure> {
    let (service, address) = process
        .wait_for("its service", |event| match event {
            DemoEvent::Advertises { service, address } => Some((service.clone(), address.clone())),
            _ => None,
        })
        .await?;
    transcript
        .event(process.role().name(), format!("process {} advertises {service} at {address}", process.pid()))
        .await
}

async fn found(transcript: &Transcript<'_>, process: &mut DemoProcess) -> Result<(), Failure> {
    let (service, address, ms) = process
        .wait_for("a service that it found", |event| match event {
            DemoEvent::Found { service, address, ms } => Some((service.clone(), address.clone(), *ms)),
            _ => None,
        })
        .await?;
    let what = format!("process {} found {service} at {address}", process.pid());
    transcript.timed_event(process.role().name(), what, ms).await
}

async fn call(transcript: &Transcript<'_>, pilot: &mut DemoProcess, message: Move) -> Result<(), Failure> {
    pilot.send_command(&DemoCommand::Send(message)).await?;
    let (message, outcome, ms) = pilot
        .wait_for("the outcome of a call", |event| match event {
            DemoEvent::Replied { message, outcome, ms } => Some((message.clone(), outcome.clone(), *ms)),
            _ => None,
        })
        .await?;
    let outcome = match outcome {
        CallOutcome::Done(pose) => format!("Ok({pose})"),
        CallOutcome::Declined(reason) => format!("Err({reason})"),
        CallOutcome::Failed(reason) => reason,
    };
    transcript.event("pilot", message).await?;
    transcript.timed_event("", format!("-> {outcome}"), ms).await
}

async fn rates(
    transcript: &Transcript<'_>,
    pilot: &mut DemoProcess,
    display: &mut DemoProcess,
) -> Result<(), Failure> {
    pilot.send_command(&DemoCommand::Measure).await?;
    let (one_by_one, together, under_way) = pilot
        .wait_for("the rate of calls", |event| match event {
            DemoEvent::Calls { one_by_one, together, under_way } => {
                Some((*one_by_one, *together, *under_way))
            }
            _ => None,
        })
        .await?;
    transcript
        .event("pilot", format!("{:>9} calls per second, one at a time", thousands(one_by_one)))
        .await?;
    transcript
        .event("pilot", format!("{:>9} calls per second, {under_way} at a time", thousands(together)))
        .await?;
    display.send_command(&DemoCommand::Measure).await?;
    let (a_second, missed) = display
        .wait_for("the rate of news", |event| match event {
            DemoEvent::News { a_second, missed } => Some((*a_second, *missed)),
            _ => None,
        })
        .await?;
    transcript.event("display", format!("{:>9} news per second, {missed} missed", thousands(a_second))).await
}

/// Returns a number that is most likely unique: the standard library seeds its maps with one.
fn random() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).unwrap_or(u32::MAX)
}
