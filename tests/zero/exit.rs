//! Programs of their own: the example across two processes, and what the others hear when one ends.

use std::process::Command;
use std::time::{Duration, Instant};

use meshzero::{CallError, Mesh, ServiceRef, Value, Watch, WatchEvent, Why};
use meshzero_testing::{Process, example};

use super::{PATIENCE, test_mesh};

fn program(name: &str, mesh: &str) -> Command {
    let mut command = Command::new(example(name));
    command.env("MESHZERO_MESH", mesh).env("MESHZERO_INTERFACES", "lo");
    command
}

#[test]
fn the_example_greets_across_two_processes() {
    let mesh = test_mesh();
    let mut server = Process::start(&mut program("hello_zero", &mesh));
    server.expect_line("hello is at 127.0.0.1:", PATIENCE);
    for name in ["World", "Tim"] {
        let printed = Process::start(program("hello_zero", &mesh).arg(name)).succeed(PATIENCE);
        assert_eq!(printed, format!("Hello, {name}!\n"));
    }
    assert!(server.is_running());
}

/// A program, and somebody who watches it.
struct Watched {
    process: Process,
    service: ServiceRef,
    watch: Watch,
}

impl Watched {
    async fn start() -> Self {
        let name = test_mesh();
        let mesh = Mesh::join().mesh(&name).interfaces("lo").await.expect("joined");
        let mut watch = mesh.watch("");
        let mut process = Process::start(program("zero_program", &name).arg("short-lived"));
        process.expect_line("127.0.0.1:", PATIENCE);
        let service = mesh.discover("short-lived").within(PATIENCE).await.expect("it is there");
        match up(&mut watch).await {
            WatchEvent::Up(instance) => assert_eq!(&*instance.service, "short-lived"),
            other => panic!("{other:?}"),
        }
        Self { process, service, watch }
    }

    async fn order(&mut self, order: &str) {
        let reply = self.service.send(Value::from(order)).timeout(PATIENCE).await;
        assert_eq!(reply.expect("it obeys"), Value::Null);
    }

    async fn goodbye(&mut self) {
        match up(&mut self.watch).await {
            WatchEvent::Down { why, .. } => assert_eq!(why, Why::Withdrawn),
            other => panic!("{other:?}"),
        }
    }
}

async fn up(watch: &mut Watch) -> WatchEvent {
    actix::clock::timeout(PATIENCE, watch.next()).await.expect("in time").expect("it goes on")
}

#[actix::test]
async fn a_program_that_returns_from_main_says_goodbye_and_ends_within_a_second() {
    let mut watched = Watched::start().await;
    watched.order("return").await;
    let told = Instant::now();
    watched.goodbye().await;
    assert!(watched.process.wait(PATIENCE).success());
    // Generous: half a second of subscribing, a second of leaving, and a busy machine.
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
}

#[actix::test]
async fn a_program_that_exits_says_goodbye_as_well() {
    let mut watched = Watched::start().await;
    watched.order("exit").await;
    watched.goodbye().await;
    assert_eq!(watched.process.wait(PATIENCE).code(), Some(7));
}

#[actix::test]
async fn a_program_that_closes_can_join_again() {
    let mut watched = Watched::start().await;
    watched.order("close").await;
    watched.goodbye().await;
    watched.process.expect_line("closed", PATIENCE);
    watched.process.expect_line("127.0.0.1:", PATIENCE);
    watched.order("").await;
    assert!(watched.process.wait(PATIENCE).success());
}

#[actix::test]
async fn an_error_that_main_returns_is_a_sentence() {
    let mut watched = Watched::start().await;
    watched.order("fail").await;
    let line = watched.process.expect_error_line("Error", PATIENCE);
    assert!(line.contains("nobody advertises \"nobody at all\""), "{line}");
    assert!(line.contains("heard \"short-lived\" on lo"), "{line}");
    assert_eq!(watched.process.wait(PATIENCE).code(), Some(1));
}

#[actix::test]
async fn a_program_that_is_killed_is_noticed() {
    let mut watched = Watched::start().await;
    watched.process.kill();
    assert!(matches!(up(&mut watched.watch).await, WatchEvent::Down { .. }));
    let call = watched.service.send(Value::Null).timeout(Duration::from_millis(200)).await;
    assert!(matches!(call, Err(CallError::NotSent { .. })), "{call:?}");
}
