//! A chat room: the hub tells everybody what one of them says, speakers talk to it or to each other, and status shows
//! who is there.
//!
//! ```text
//! all of it, ended by itself      cargo run --example chat -- demo
//! or each on a terminal or        cargo run --example chat -- hub
//! machine of its own              cargo run --example chat -- status
//!                                 cargo run --example chat -- speaker ada
//!                                 cargo run --example chat -- speaker bob
//! ```
//!
//! What a speaker types everybody reads; `@ada how are you?` only Ada does; `?` tells who else is there. Ctrl-D or
//! Ctrl-C leaves.

mod demo;

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;
use std::{env, io, thread};

use actix::prelude::*;
use meshzero::{Instance, Mesh, News, Publisher, ServiceRef, WatchEvent};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use demo::{Demo, Result, stopped};

const HUB: &str = "chat/hub";

/// Says something to everybody. The reply is how many hear it.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Result<usize, String>")]
struct Say {
    who: String,
    text: String,
}

/// Says something to one speaker alone.
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
    if arguments == ["demo"] {
        return play();
    }
    let mesh = Mesh::join().await?;
    match arguments[..] {
        ["hub"] => hub(&mesh).await?,
        ["status"] => status(&mesh).await?,
        ["speaker", who] => speaker(&mesh, who).await?,
        _ => return Err("say: chat demo, chat hub, chat status, or chat speaker NAME".into()),
    }
    mesh.close().await;
    Ok(())
}

async fn hub(mesh: &Mesh) -> Result {
    let hub = mesh.advertise_with(HUB, |news| Hub { news }).handles::<Say>().fail_if_exists().await?;
    println!("the room is open at {}", hub.address());
    stopped().await;
    Ok(())
}

async fn status(mesh: &Mesh) -> Result {
    let mut members = mesh.watch("chat/");
    let mut stopped = std::pin::pin!(stopped());
    let mut here = BTreeSet::new();
    loop {
        let event = tokio::select! {
            Some(event) = members.next() => event,
            () = &mut stopped => return Ok(()),
        };
        let who = short(event.instance()).to_owned();
        let change = match event {
            WatchEvent::Up(_) => format!("{who} came"),
            WatchEvent::Moved(_) => format!("{who} moved"),
            WatchEvent::Down { why, .. } => format!("{who} left: {why}"),
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
            _ = &mut interrupted => return Ok(()),
        }
    }
}

async fn speak(mesh: &Mesh, hub: &ServiceRef, who: &str, line: &str) -> Result<(), Box<dyn Error>> {
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

/// The lines that are typed; it ends with them.
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

fn play() -> Result {
    let demo = Demo::new();
    let hub = demo.start("hub", &["hub"])?;
    let status = demo.start("status", &["status"])?;
    let mut ada = demo.start("ada", &["speaker", "ada"])?;
    let mut bob = demo.start("bob", &["speaker", "bob"])?;
    status.says("here: ada, bob, hub")?;

    ada.hears("?")?;
    ada.says("(with you: bob)")?;
    ada.hears("hello, everybody")?;
    bob.says("ada: hello, everybody")?;
    bob.hears("hello, Ada")?;
    ada.says("bob: hello, Ada")?;
    bob.hears("@ada shall we go?")?;
    ada.says("bob whispers: shall we go?")?;

    bob.leaves()?;
    status.says("here: ada, hub")?;
    let eve = demo.start("eve", &["speaker", "eve"])?;
    status.says("here: ada, eve, hub")?;
    eve.dies()?;
    status.says("here: ada, hub")?;

    ada.leaves()?;
    hub.leaves()?;
    status.leaves()
}
