//! Programs in processes of their own: the example across two processes, and the errors of its peers when one ends.

use std::process::Command;

use meshzero::{CallError, Instance, Mesh, Refusal, ServiceRef, Value, Watch, WatchEvent};
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

/// A program, and a watch on it.
struct Watched {
    process: Process,
    mesh: Mesh,
    watch: Watch,
    instance: Instance,
}

impl Watched {
    async fn start() -> Self {
        let name = test_mesh();
        let mesh = Mesh::join().mesh(&name).interfaces("lo").await.expect("joined");
        let mut watch = mesh.watch("");
        let mut process = Process::start(program("zero_program", &name).arg("short-lived"));
        process.expect_line("127.0.0.1:", PATIENCE);
        match next(&mut watch).await {
            WatchEvent::Up(instance) => Self { process, mesh, watch, instance },
            other => panic!("{other:?}"),
        }
    }

    async fn service(&self) -> ServiceRef {
        self.mesh.discover("short-lived").within(PATIENCE).await.expect("it is there")
    }

    /// Sends the order while a message waits, whose sender gets the error of a service that ended: a connection that just broke
    /// would be another error.
    async fn ends_with_goodbye(&mut self, order: &str) {
        // By its address: under its name, a replacement would be called instead.
        let address = self.instance.address().expect("it has one").to_string();
        let service = self.mesh.discover(address).within(PATIENCE).await.expect("it is there");
        let call = actix::spawn(service.send(Value::Null).timeout(PATIENCE));
        // The reply to a later message shows that this one has arrived.
        service.describe().await.expect("it describes itself");
        self.process.send_line(order);
        let ended = call.await.expect("it ran");
        let told = matches!(ended, Err(CallError::Refused { reason: Refusal::Draining, .. }));
        assert!(told, "{ended:?}");
        self.gone().await;
    }

    /// Waits until the others know that it is gone.
    async fn gone(&mut self) {
        let is_it =
            |event| matches!(event, WatchEvent::Down { instance, .. } if instance.id == self.instance.id);
        while !is_it(next(&mut self.watch).await) {}
    }
}

async fn next(watch: &mut Watch) -> WatchEvent {
    actix::clock::timeout(PATIENCE, watch.next()).await.expect("in time").expect("it continues")
}

#[actix::test]
async fn a_program_that_returns_from_main_says_goodbye() {
    let mut watched = Watched::start().await;
    watched.ends_with_goodbye("return").await;
    assert!(watched.process.wait(PATIENCE).success());
}

#[actix::test]
async fn a_program_that_exits_says_goodbye_as_well() {
    let mut watched = Watched::start().await;
    watched.ends_with_goodbye("exit").await;
    assert_eq!(watched.process.wait(PATIENCE).code(), Some(7));
}

#[actix::test]
async fn a_program_that_closes_can_join_again() {
    let mut watched = Watched::start().await;
    watched.ends_with_goodbye("close").await;
    watched.process.expect_line("closed", PATIENCE);
    watched.process.expect_line("127.0.0.1:", PATIENCE);
    let reply = watched.service().await.send(Value::from("done")).timeout(PATIENCE).await;
    assert_eq!(reply.expect("it takes messages"), Value::Null);
    assert!(watched.process.wait(PATIENCE).success());
}

#[actix::test]
async fn an_error_that_main_returns_is_a_sentence() {
    let mut watched = Watched::start().await;
    watched.process.send_line("fail");
    let line = watched.process.expect_error_line("Error", PATIENCE);
    assert!(line.contains("nobody advertises \"nobody at all\""), "{line}");
    assert!(line.contains("heard \"short-lived\" on lo"), "{line}");
    assert_eq!(watched.process.wait(PATIENCE).code(), Some(1));
}

#[actix::test]
async fn a_program_that_is_killed_is_noticed() {
    let mut watched = Watched::start().await;
    watched.process.kill();
    watched.gone().await;
}
