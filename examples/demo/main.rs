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
    let mut ada = demo.start_reader("ada", &["speaker", "ada"])?;
    let mut bob = demo.start_reader("bob", &["speaker", "bob"])?;
    status.expect_line("here: ada, bob, hub")?;

    ada.send_line("?")?;
    ada.expect_line("(with you: bob)")?;
    ada.send_line("hello, everybody")?;
    bob.expect_line("ada: hello, everybody")?;
    bob.send_line("hello, Ada")?;
    ada.expect_line("bob: hello, Ada")?;
    bob.send_line("@ada shall we go?")?;
    ada.expect_line("bob whispers: shall we go?")?;

    bob.close()?;
    status.expect_line("here: ada, hub")?;
    let eve = demo.start_reader("eve", &["speaker", "eve"])?;
    status.expect_line("here: ada, eve, hub")?;
    eve.dies()?;
    status.expect_line("here: ada, hub")?;

    ada.close()?;
    hub.close()?;
    status.close()
}

fn game_server(demo: &Demo) -> Result {
    let server = demo.start("server", &["server"])?;
    let ada = demo.start("ada", &["bot", "ada"])?;
    let bob = demo.start("bob", &["bot", "bob"])?;
    let slow = demo.start("slow", &["bot", "slow", "300"])?;
    for _ in 0..5 {
        slow.expect_line("tick")?;
    }
    slow.close()?;
    bob.close()?;
    ada.close()?;
    server.close()
}

fn robots(demo: &Demo) -> Result {
    let coordinator = demo.start("coordinator", &["coordinator"])?;
    let mut robots = ["a", "b", "c"]
        .into_iter()
        .map(|name| Ok((name, demo.start(name, &["robot", name])?)))
        .collect::<Result<BTreeMap<_, _>>>()?;

    let line = coordinator.expect_line("goes to")?;
    let first = robots.keys().copied().find(|name| line.contains(&format!("robot/{name} ")));
    let robot = first.and_then(|name| robots.remove(name)).ok_or("an unknown robot goes")?;
    robot.expect_line("drives to")?;
    println!("{:>11} | (process {} is killed)", "demo", robot.pid());
    robot.dies()?;
    coordinator.expect_line("gives back")?;
    coordinator.expect_line("9 of 9 waypoints reached")?;
    coordinator.ends()?;
    robots.into_values().try_for_each(Role::close)
}

fn throughput(demo: &Demo) -> Result {
    let server = demo.start("server", &["server"])?;
    demo.start("client", &["client"])?.ends()?;
    server.close()
}
