//! Programs that serve, call and subscribe, and the account of what they print.

use std::process::Command;
use std::time::Duration;

use meshzero_testing::{Host, Links, Process, Promises, Tally, eventually, example};

use super::rig::GRACE;
use crate::pair::PATIENCE;

/// A host for a program.
pub trait Place {
    /// `program`, to be started there.
    fn command(&self, program: std::path::PathBuf) -> Command;
}

impl Place for &Host {
    fn command(&self, program: std::path::PathBuf) -> Command {
        Host::command(self, program)
    }
}

/// This machine, of which only loopback is used.
pub struct Here;

impl Place for Here {
    fn command(&self, program: std::path::PathBuf) -> Command {
        let mut command = Command::new(program);
        command.env("MESHZERO_INTERFACES", "lo");
        command
    }
}

/// A mesh with a worker and a caller that also subscribes to its news.
pub struct Scene {
    mesh: String,
    /// All servers, also those that have ended.
    pub servers: Vec<Process>,
    pub callers: Vec<Process>,
}

impl Scene {
    pub fn new() -> Self {
        let mesh = format!("test-{:032x}", fastrand::u128(..));
        Self { mesh, servers: Vec::new(), callers: Vec::new() }
    }

    /// A worker on one host, and a caller on another, which calls every `every` milliseconds with a timeout of `allowed`
    /// milliseconds.
    pub fn begin(server: impl Place, caller: impl Place, every: u64, allowed: u64) -> Self {
        let mut scene = Self::new();
        scene.serve(server, &[&format!("publish={every}")]);
        scene.call(caller, &[&format!("every={every}"), &format!("allowed={allowed}"), "listen=100"]);
        scene
    }

    /// The name of the mesh.
    pub fn mesh(&self) -> &str {
        &self.mesh
    }

    /// Starts a worker, and returns its address.
    pub fn serve(&mut self, place: impl Place, options: &[&str]) -> String {
        let by = (self.servers.len() + 1).to_string();
        let arguments = [&["serve", &self.mesh, "worker", &by], options].concat();
        let mut server = Process::start(place.command(example("fault_program")).args(arguments));
        let line = server.expect_line("at ", PATIENCE);
        self.servers.push(server);
        line.trim_start_matches("at ").to_owned()
    }

    /// Starts a caller, and waits until it has found the worker and received its first reply.
    pub fn call(&mut self, place: impl Place, options: &[&str]) {
        self.call_at(place, "worker", options);
    }

    /// As [`Scene::call`], of the worker at an address.
    pub fn call_at(&mut self, place: impl Place, target: &str, options: &[&str]) {
        let sender = (self.callers.len() + 1).to_string();
        let arguments = [&["call", &self.mesh, target, &sender], options].concat();
        let mut caller = Process::start(place.command(example("fault_program")).args(arguments));
        caller.expect_line("found", PATIENCE);
        caller.expect_line(" reply ", PATIENCE);
        self.callers.push(caller);
    }

    /// The current tally.
    pub fn tally(&self) -> Tally {
        self.account().tally()
    }

    /// Waits until this many more calls have had their reply.
    #[track_caller]
    pub fn replies(&self, more: u64, within: Duration) {
        let before = self.tally().replies;
        eventually(within, "calls are answered", || (self.tally().replies >= before + more).then_some(()));
    }

    /// Ends all callers, which wait for their calls to end, and then the servers, and returns the verdict.
    #[track_caller]
    pub fn finish(&mut self, links: Links) -> Tally {
        for caller in &mut self.callers {
            caller.close_stdin();
        }
        for caller in &mut self.callers {
            caller.expect_line("finished", PATIENCE * 2);
            caller.wait(PATIENCE);
        }
        // Tells may still be in flight; a service that closes handles what it has accepted.
        let told = |tally: Tally| tally.executed >= tally.replies + tally.sent;
        if links == Links::Lasted {
            eventually(PATIENCE, "all tells are handled", || told(self.tally()).then_some(()));
        }
        for server in &mut self.servers {
            if server.is_running() {
                server.close_stdin();
                server.wait(PATIENCE);
            }
        }
        let account = self.account();
        let tally = account.tally();
        eprintln!("{tally:?}");
        account.verdict(links).unwrap_or_else(|broken| panic!("{broken}"))
    }

    fn account(&self) -> Promises {
        let mut promises = Promises::new(GRACE);
        for process in self.servers.iter().chain(&self.callers) {
            promises.record_lines(&process.stdout());
        }
        promises
    }
}
