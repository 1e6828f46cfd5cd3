//! A chat room: the hub passes on what one speaker says to all, speakers can whisper to each other, and status shows who
//! is present.
//!
//! ```text
//! all of it, played by itself      cargo run --example demo -- chat
//! or each in a terminal or on      cargo run --example chat -- hub
//! a machine of its own             cargo run --example chat -- status
//!                                  cargo run --example chat -- speaker ada
//!                                  cargo run --example chat -- speaker bob
//! ```
//!
//! All speakers read what one of them types; only Ada reads `@ada how are you?`; `?` lists who else is present. Ctrl-C
//! leaves, and so does Ctrl-D in a speaker.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;
use std::{env, io, thread};

use actix::prelude::*;
use meshzero::{Instance, Mesh, News, Publisher, ServiceRef, WatchEvent};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

const HUB: &str = "chat/hub";

/// A line for all speakers. The reply is the number of them.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<usize, String>")]
struct Say {
    who: String,
    text: String,
}

/// A line for one speaker only.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "()")]
struct Whisper {
    who: String,
    text: String,
}

struct Hub {
    news: Publisher,
}

impl Actor for Hub {
    type Context = Context<Self>;
}

impl Handler<Say> for Hub {
    type Result = Result<usize, String>;

    fn handle(&mut self, say: Say, _: &mut Context<Self>) -> Result<usize, String> {
        self.news.publish("line", &say).map_err(|error| error.to_string())?;
        Ok(self.news.subscribers())
    }
}

struct Speaker;

impl Actor for Speaker {
    type Context = Context<Self>;
}

impl Handler<Whisper> for Speaker {
    type Result = ();

    fn handle(&mut self, Whisper { who, text }: Whisper, _: &mut Context<Self>) {
        println!("{who} whispers: {text}");
    }
}

#[actix::main]
async fn main() -> Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mesh = Mesh::join().await?;
    match arguments[..] {
        ["hub"] => hub(&mesh).await?,
        ["status"] => status(&mesh).await?,
        ["speaker", who] => speaker(&mesh, who).await?,
        _ => return Err("usage: chat hub | status | speaker NAME".into()),
    }
    mesh.close().await;
    Ok(())
}

async fn hub(mesh: &Mesh) -> Result {
    let hub = mesh.advertise_with(HUB, |news| Hub { news }).handles::<Say>().fail_if_exists().await?;
    println!("the room is open at {}", hub.address());
    tokio::signal::ctrl_c().await?;
    Ok(())
}

async fn status(mesh: &Mesh) -> Result {
    let mut members = mesh.watch("chat/");
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut here = BTreeSet::new();
    loop {
        let event = tokio::select! {
            Some(event) = members.next() => event,
            interrupted = &mut interrupted => return Ok(interrupted?),
        };
        let who = short(event.instance()).to_owned();
        let change = match event {
            WatchEvent::Up(_) => format!("{who} came"),
            WatchEvent::Moved(_) => format!("{who} moved"),
            WatchEvent::Down { reason, .. } => format!("{who} left: {reason}"),
        };
        match event {
            WatchEvent::Down { .. } => here.remove(&who),
            WatchEvent::Up(_) | WatchEvent::Moved(_) => here.insert(who),
        };
        println!("{change:<40} here: {}", here.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    }
}

/// The name without the group.
fn short(member: &Instance) -> &str {
    member.service.trim_start_matches("chat/")
}

async fn speaker(mesh: &Mesh, who: &str) -> Result {
    let hub = mesh.discover(HUB).await?;
    let mut lines = hub.subscribe::<Say>("line").await?;
    let me = format!("chat/{who}");
    let _me = mesh.advertise(&me, || Speaker).handles::<Whisper>().fail_if_exists().await?;
    let mut typed = typed();
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            line = typed.recv() => match line {
                Some(line) => {
                    if let Err(error) = speak(mesh, &hub, who, &line).await {
                        println!("not said: {error}");
                    }
                }
                None => return Ok(()),
            },
            Some(news) = lines.next() => match news {
                Ok(News { item: Say { who, text }, .. }) => println!("{who}: {text}"),
                Err(error) => println!("({error})"),
            },
            interrupted = &mut interrupted => return Ok(interrupted?),
        }
    }
}

async fn speak(mesh: &Mesh, hub: &ServiceRef, who: &str, line: &str) -> Result {
    if line == "?" {
        let me = format!("chat/{who}");
        let others = mesh.discover_group("chat").except([HUB, &me]).within(Duration::from_secs(1)).await;
        let names: Vec<&str> = others.iter().map(short).collect();
        println!("(with you: {})", names.join(", "));
    } else if let Some((whom, text)) = line.strip_prefix('@').and_then(|line| line.split_once(' ')) {
        let friend = mesh.discover(format!("chat/{whom}")).await?;
        friend.send(Whisper { who: who.to_owned(), text: text.to_owned() }).await?;
    } else {
        let heard = hub.send(Say { who: who.to_owned(), text: line.to_owned() }).await??;
        println!("({heard} hear it)");
    }
    Ok(())
}

/// The lines of standard input. The channel closes at its end.
fn typed() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel(16);
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(io::Result::ok) {
            if typed.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}
