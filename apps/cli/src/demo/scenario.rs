//! The demo's scenes, in order.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use tokio::time;

use super::arm;
use super::messages::{Joint, Move};
use super::processes::Player;
use super::protocol::{Cue, Outcome, Told, millis};
use super::role::Role;
use super::transcript::{Transcript, thousands};
use crate::failure::Failure;
use crate::output::Output;
use crate::signals::Stop;

/// The longest that the whole may take, its end included: a demo that hangs shows nothing.
const LONGEST: Duration = Duration::from_secs(13);

/// Plays the demo. All its processes have ended when this returns, whatever it returns.
pub(crate) async fn play(out: &Output, stop: &mut Stop) -> Result<(), Failure> {
    let mesh = format!("demo-{:08x}", random());
    let mut cast = Cast::default();
    let result = tokio::select! {
        biased;
        signal = stop.signal() => Err(Failure::Stopped(signal)),
        () = out.closed() => Err(Failure::OutputClosed),
        () = time::sleep(LONGEST) => Err(Failure::Uncertain(format!("the demo took longer than {LONGEST:?}"))),
        result = scenes(out, &mesh, &mut cast) => result,
    };
    cast.dismiss().await;
    result
}

/// All who play.
#[derive(Default)]
struct Cast {
    arm: Option<Player>,
    weather: Option<Player>,
    pilot: Option<Player>,
    display: Option<Player>,
}

impl Cast {
    async fn dismiss(self) {
        let [arm, weather, pilot, display] =
            [self.arm, self.weather, self.pilot, self.display].map(|player| async {
                if let Some(player) = player {
                    player.dismiss().await;
                }
            });
        tokio::join!(arm, weather, pilot, display);
    }
}

async fn scenes(out: &Output, mesh: &str, cast: &mut Cast) -> Result<(), Failure> {
    let told = Transcript::begin(out);
    told.scene(&format!("Four processes on this machine, on a mesh of their own: {mesh}")).await?;
    told.note("Nothing is configured: no broker, no addresses, no ports.").await?;

    told.scene("Two services start: an arm that takes typed messages, a station that publishes news").await?;
    let arm = cast.arm.insert(Player::start(Role::Arm, mesh)?);
    advertised(&told, arm).await?;
    let weather = cast.weather.insert(Player::start(Role::Weather, mesh)?);
    advertised(&told, weather).await?;

    told.scene("Two clients start, and find them by name").await?;
    let pilot = cast.pilot.insert(Player::start(Role::Pilot, mesh)?);
    found(&told, pilot).await?;
    let display = cast.display.insert(Player::start(Role::Display, mesh)?);
    found(&told, display).await?;

    told.scene("Calls: a message goes into the arm's actor, its reply comes back, both typed").await?;
    for (joint, degrees) in [(Joint::Shoulder, 45.0), (Joint::Elbow, 30.0), (Joint::Elbow, 300.0)] {
        call(&told, pilot, Move { joint, degrees }).await?;
    }

    told.scene("News: the station publishes, whoever subscribed to the topic hears it").await?;
    for _ in 0..3 {
        let (topic, reading) = display
            .hear("any news", |told| match told {
                Told::Heard { topic, reading } => Some((topic.clone(), *reading)),
                _ => None,
            })
            .await?;
        told.tell(
            "display",
            format!("{topic:<12} {:>5.1} °C, wind {:>2} km/h", reading.celsius, reading.wind),
        )
        .await?;
    }

    told.scene("The arm's process is killed (kill -9): it cannot say goodbye, and is missed").await?;
    let killed = Instant::now();
    told.tell("demo", format!("kill -9 {}", arm.pid())).await?;
    arm.kill().await?;
    let why = pilot
        .hear("that the arm is gone", |told| match told {
            Told::Down { why, .. } => Some(why.clone()),
            _ => None,
        })
        .await?;
    told.timed("pilot", format!("{} is gone: {why}", arm::NAME), millis(killed)).await?;
    call(&told, pilot, Move { joint: Joint::Elbow, degrees: 5.0 }).await?;

    told.scene("A new arm starts, at another address: the pilot goes on, with the handle it has").await?;
    let arm = cast.arm.insert(Player::start(Role::Arm, mesh)?);
    advertised(&told, arm).await?;
    pilot
        .hear("that an arm is back", |told| match told {
            Told::Up { address, .. } => Some(address.clone()),
            _ => None,
        })
        .await?;
    call(&told, pilot, Move { joint: Joint::Elbow, degrees: 5.0 }).await?;

    told.scene("How fast? Two processes each, on this machine, as it is now").await?;
    rates(&told, pilot, display).await?;

    told.scene(&format!(
        "Everything above happened between processes, in {:.1} s. Your turn:",
        told.seconds()
    ))
    .await?;
    told.note("mz advertise greeter --reply 'Hello, {}!'").await?;
    told.note("mz send greeter world      (from another terminal, or another machine)").await
}

async fn advertised(told: &Transcript<'_>, player: &mut Player) -> Result<(), Failure> {
    let (service, address) = player
        .hear("that it advertises", |told| match told {
            Told::Advertises { service, address } => Some((service.clone(), address.clone())),
            _ => None,
        })
        .await?;
    told.tell(player.role().name(), format!("process {} advertises {service} at {address}", player.pid()))
        .await
}

async fn found(told: &Transcript<'_>, player: &mut Player) -> Result<(), Failure> {
    let (service, address, ms) = player
        .hear("that it found anything", |told| match told {
            Told::Found { service, address, ms } => Some((service.clone(), address.clone(), *ms)),
            _ => None,
        })
        .await?;
    let what = format!("process {} found {service} at {address}", player.pid());
    told.timed(player.role().name(), what, ms).await
}

async fn call(told: &Transcript<'_>, pilot: &mut Player, message: Move) -> Result<(), Failure> {
    pilot.cue(&Cue::Send(message)).await?;
    let (message, outcome, ms) = pilot
        .hear("what came of a call", |told| match told {
            Told::Replied { message, outcome, ms } => Some((message.clone(), outcome.clone(), *ms)),
            _ => None,
        })
        .await?;
    let outcome = match outcome {
        Outcome::Done(pose) => format!("Ok({pose})"),
        Outcome::Declined(why) => format!("Err({why})"),
        Outcome::Failed(why) => why,
    };
    told.tell("pilot", message).await?;
    told.timed("", format!("-> {outcome}"), ms).await
}

async fn rates(told: &Transcript<'_>, pilot: &mut Player, display: &mut Player) -> Result<(), Failure> {
    pilot.cue(&Cue::Measure).await?;
    let (one_by_one, together, under_way) = pilot
        .hear("how many calls it made", |told| match told {
            Told::Calls { one_by_one, together, under_way } => Some((*one_by_one, *together, *under_way)),
            _ => None,
        })
        .await?;
    told.tell("pilot", format!("{:>9} calls a second, one after another", thousands(one_by_one))).await?;
    told.tell("pilot", format!("{:>9} calls a second, {under_way} at a time", thousands(together))).await?;
    display.cue(&Cue::Measure).await?;
    let (a_second, missed) = display
        .hear("how many news came", |told| match told {
            Told::News { a_second, missed } => Some((*a_second, *missed)),
            _ => None,
        })
        .await?;
    told.tell("display", format!("{:>9} news a second, {missed} missed", thousands(a_second))).await
}

/// A number that no other demo has, in all likelihood: the standard library seeds its maps with one.
fn random() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).unwrap_or(u32::MAX)
}
