//! A game with an authoritative server: 30 times a second it moves each player as the player last asked, and publishes a
//! snapshot. Players join, steer and leave by calls; each receives the latest snapshot that it has time for.
//!
//! ```text
//! all of it, played by itself      cargo run --example demo -- game_server
//! or each in a terminal or on      cargo run --example game_server -- server
//! a machine of its own             cargo run --example game_server -- bot ada
//!                                  cargo run --example game_server -- bot bob 300
//! ```
//!
//! A number after a bot's name is the time in milliseconds that it thinks about each snapshot. Ctrl-C leaves.

use std::env;
use std::error::Error;
use std::time::Duration;

use actix::prelude::*;
use meshzero::{CallError, Mesh, Publisher};
use serde::{Deserialize, Serialize};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const TICKS_A_SECOND: u32 = 30;
/// A player that has not steered for this many ticks is removed.
const PATIENCE: u64 = 20 * TICKS_A_SECOND as u64;
const PLAYERS: usize = 8;
const COINS: usize = 5;
const FIELD: Place = Place { x: 60, y: 24 };

#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    x: i16,
    y: i16,
}

/// Joins the game. The reply is the key to steer with, which no other player receives.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<u64, String>")]
struct Join {
    name: String,
}

/// Steers towards a place from the next tick on. The reply is the current tick.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<u64, String>")]
struct Input {
    key: u64,
    towards: Place,
}

/// Leaves the game. The reply is the score.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<u32, String>")]
struct Leave {
    key: u64,
}

/// The state of the game after a tick.
#[derive(Default, Serialize, Deserialize)]
struct Snapshot {
    tick: u64,
    players: Vec<Player>,
    coins: Vec<Place>,
}

#[derive(Serialize, Deserialize)]
struct Player {
    name: String,
    at: Place,
    score: u32,
    #[serde(skip)]
    key: u64,
    #[serde(skip)]
    towards: Place,
    #[serde(skip)]
    steered: u64,
}

struct Game {
    news: Publisher,
    state: Snapshot,
}

impl Actor for Game {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.run_interval(Duration::from_secs(1) / TICKS_A_SECOND, Self::tick);
    }
}

impl Handler<Join> for Game {
    type Result = Result<u64, String>;

    fn handle(&mut self, Join { name }: Join, _: &mut Context<Self>) -> Self::Result {
        if self.state.players.len() == PLAYERS {
            return Err(format!("there are {PLAYERS} players already"));
        }
        if self.state.players.iter().any(|player| player.name == name) {
            return Err(format!("there is a {name} already"));
        }
        println!("{:6}  {name} joins", self.state.tick);
        let (key, at, steered) = (fastrand::u64(..), Place::anywhere(), self.state.tick);
        self.state.players.push(Player { name, at, score: 0, key, towards: at, steered });
        Ok(key)
    }
}

impl Handler<Input> for Game {
    type Result = Result<u64, String>;

    fn handle(&mut self, Input { key, towards }: Input, _: &mut Context<Self>) -> Self::Result {
        let Snapshot { tick, players, .. } = &mut self.state;
        let player = players.iter_mut().find(|player| player.key == key).ok_or("you do not play")?;
        player.towards = towards;
        player.steered = *tick;
        Ok(*tick)
    }
}

impl Handler<Leave> for Game {
    type Result = Result<u32, String>;

    fn handle(&mut self, Leave { key }: Leave, _: &mut Context<Self>) -> Self::Result {
        let Snapshot { tick, players, .. } = &mut self.state;
        let place = players.iter().position(|player| player.key == key).ok_or("you do not play")?;
        let player = players.remove(place);
        println!("{tick:6}  {} leaves with a score of {}", player.name, player.score);
        Ok(player.score)
    }
}

impl Game {
    fn new(news: Publisher) -> Self {
        Self { news, state: Snapshot::default() }
    }

    fn tick(&mut self, context: &mut Context<Self>) {
        let Snapshot { tick, players, coins } = &mut self.state;
        *tick += 1;
        coins.resize_with(COINS, Place::anywhere);
        for player in players.iter_mut() {
            player.at = player.at.step(player.towards);
            let before = coins.len();
            coins.retain(|coin| *coin != player.at);
            if coins.len() < before {
                player.score += 1;
            }
        }
        players.retain(|player| {
            let plays = *tick - player.steered < PATIENCE;
            if !plays {
                println!("{tick:6}  {} is silent and out", player.name);
            }
            plays
        });
        if tick.is_multiple_of(u64::from(TICKS_A_SECOND)) && !players.is_empty() {
            let scores: Vec<_> =
                players.iter().map(|player| format!("{} {}", player.name, player.score)).collect();
            println!("{tick:6}  {}", scores.join("  "));
        }
        if self.news.publish("snapshot", &self.state).is_err() {
            context.stop();
        }
    }
}

impl Place {
    fn anywhere() -> Self {
        Self { x: fastrand::i16(0..FIELD.x), y: fastrand::i16(0..FIELD.y) }
    }

    fn step(self, towards: Place) -> Self {
        // Players may steer beyond the field.
        let step = |from: i16, to: i16| from + i16::from(from < to) - i16::from(from > to);
        let (x, y) = (step(self.x, towards.x), step(self.y, towards.y));
        Self { x: x.clamp(0, FIELD.x - 1), y: y.clamp(0, FIELD.y - 1) }
    }
}

#[actix::main]
async fn main() -> Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mesh = Mesh::join().await?;
    match arguments[..] {
        ["server"] => server(&mesh).await?,
        ["bot", name] => bot(&mesh, name, Duration::ZERO).await?,
        ["bot", name, think] => bot(&mesh, name, Duration::from_millis(think.parse()?)).await?,
        _ => return Err("usage: game_server server | bot NAME [MS]".into()),
    }
    mesh.close().await;
    Ok(())
}

async fn server(mesh: &Mesh) -> Result {
    let game = mesh
        .advertise_with("game", Game::new)
        .handles::<Join>()
        .handles::<Input>()
        .handles::<Leave>()
        .publishes::<Snapshot>("snapshot")
        .fail_if_exists()
        .await?;
    println!("the game is on at {}", game.address());
    tokio::signal::ctrl_c().await?;
    Ok(())
}

async fn bot(mesh: &Mesh, name: &str, think: Duration) -> Result {
    let game = mesh.discover("game").await?;
    let mut snapshots = game.subscribe::<Snapshot>("snapshot").latest().await?;
    let key = game.send(Join { name: name.to_owned() }).await??;
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut goal = None;
    let (mut seen, mut missed, mut next_report) = (0, 0, 0);
    loop {
        let news = tokio::select! {
            Some(news) = snapshots.next() => news?,
            interrupted = &mut interrupted => {
                interrupted?;
                break;
            }
        };
        tokio::time::sleep(think).await;
        let snapshot = news.item;
        (seen, missed) = (seen + 1, missed + news.skipped);
        let Some(me) = snapshot.players.iter().find(|player| player.name == name) else { continue };
        // Any coin: two bots that chose the nearest would soon follow each other.
        goal = goal.filter(|coin| snapshot.coins.contains(coin));
        goal = goal.or_else(|| fastrand::choice(&snapshot.coins).copied());
        let now = match game.send(Input { key, towards: goal.unwrap_or(me.at) }).await {
            Ok(now) => now?,
            // The next snapshot brings another chance.
            Err(CallError::Unknown { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        if snapshot.tick >= next_report {
            next_report = snapshot.tick + u64::from(TICKS_A_SECOND);
            let behind = now.saturating_sub(snapshot.tick);
            println!(
                "tick {:4}, {behind:2} behind, {seen:4} snapshots seen, {missed:4} skipped, score {:2}",
                snapshot.tick, me.score
            );
        }
    }
    match game.send(Leave { key }).await {
        Ok(score) => println!("left with a score of {}", score?),
        Err(error @ CallError::Refused { .. }) => return Err(error.into()),
        Err(error) => println!("left without goodbye: {error}"),
    }
    Ok(())
}
