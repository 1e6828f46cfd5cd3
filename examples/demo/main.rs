//! Demos of the other examples: several processes on this machine, each playing a role, ended by themselves.
//!
//! ```text
//! cargo run --example demo -- chat
//! cargo run --example demo -- game_server
//! cargo run --example demo -- robots
//! cargo run --release --example demo -- throughput
//! ```
//!
//! An example that has not been built is built first. Nothing in this folder is about the mesh: read `chat.rs` and the
//! others for that.

mod process;

use std::collections::BTreeMap;
use std::env;

use process::{Demo, Result, Role};

fn main() -> Result {
    match env::args().nth(1).as_deref() {
        Some("chat") => chat(&Demo::of("chat")?),
        Some("game_server") => game_server(&Demo::of("game_server")?),
        Some("robots") => robots(&Demo::of("robots")?),
        Some("throughput") => throughput(&Demo::of("throughput")?),
        _ => Err("usage: demo chat | game_server | robots | throughput".into()),
    }
}

fn chat(demo: &Demo) -> Result {
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

fn game_server(demo: &Demo) -> Result {
    let server = demo.start("server", &["server"])?;
    let ada = demo.start("ada", &["bot", "ada"])?;
    let bob = demo.start("bob", &["bot", "bob"])?;
    let slow = demo.start("slow", &["bot", "slow", "300"])?;
    for _ in 0..5 {
        slow.says("tick")?;
    }
    slow.leaves()?;
    bob.leaves()?;
    ada.leaves()?;
    server.leaves()
}

fn robots(demo: &Demo) -> Result {
    let coordinator = demo.start("coordinator", &["coordinator"])?;
    let mut robots = ["a", "b", "c"]
        .into_iter()
        .map(|name| Ok((name, demo.start(name, &["robot", name])?)))
        .collect::<Result<BTreeMap<_, _>>>()?;

    let line = coordinator.says("goes to")?;
    let first = robots.keys().copied().find(|name| line.contains(&format!("robot/{name} ")));
    let robot = first.and_then(|name| robots.remove(name)).ok_or("an unknown robot goes")?;
    robot.says("drives to")?;
    println!("{:>11} | (process {} is killed)", "demo", robot.pid());
    robot.dies()?;
    coordinator.says("gives back")?;
    coordinator.says("9 of 9 waypoints reached")?;
    coordinator.ends()?;
    robots.into_values().try_for_each(Role::leaves)
}

fn throughput(demo: &Demo) -> Result {
    let server = demo.start("server", &["server"])?;
    demo.start("client", &["client"])?.ends()?;
    server.leaves()
}
