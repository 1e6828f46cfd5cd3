//! A mesh of its own for each test, and `mz` on it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use meshzero_testing::Process;
use serde_json::Value;

/// Ten times what anything here takes on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A mesh that no other test is on.
pub(crate) struct Room {
    pub(crate) mesh: String,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { mesh: format!("test-{:016x}", RandomState::new().build_hasher().finish()) }
    }

    /// `mz` with these arguments, on this mesh and loopback only.
    pub(crate) fn mz(&self, arguments: &[&str]) -> Command {
        // Before the other arguments, of which one may be `--`.
        let (command, rest) = arguments.split_at(1.min(arguments.len()));
        bare(&[command, &["--mesh", &self.mesh, "--interfaces", "lo"], rest].concat())
    }

    /// Starts `mz` with these arguments.
    #[track_caller]
    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        Process::start(&mut self.mz(arguments))
    }

    /// Starts a service and waits until it is there; its address comes back.
    #[track_caller]
    pub(crate) fn advertise(&self, arguments: &[&str]) -> (Process, String) {
        let mut all = vec!["advertise"];
        all.extend(arguments);
        let mut service = self.start(&all);
        let address = address_of(&mut service);
        (service, address)
    }

    /// Runs `mz` to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.mz(arguments).stdin(Stdio::null()).output().expect("mz runs"))
    }

    /// Runs `mz` to its end, with this on its standard input.
    #[track_caller]
    pub(crate) fn fed(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.mz(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut mz = command.spawn().expect("mz runs");
        // What fits into a pipe; one that ends before it has read it has its reasons, which it tells.
        let _ = mz.stdin.take().expect("it has one").write_all(input);
        Ran::from(mz.wait_with_output().expect("mz ends"))
    }
}

/// Waits until `mz advertise` has printed the address of its service.
#[track_caller]
pub(crate) fn address_of(service: &mut Process) -> String {
    let line = service.expect_line(" is at ", SOON);
    let address = line.split(" is at ").nth(1).and_then(|rest| rest.split(' ').next());
    address.expect("an address stands there").to_owned()
}

/// `mz` with these arguments and nothing from the environment.
pub(crate) fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_mz")));
    command.args(arguments);
    for variable in ["MESH", "INTERFACES", "PEERS", "PORTS", "UNIX_SOCKETS", "LIMITS"] {
        command.env_remove(format!("MESHZERO_{variable}"));
    }
    command
}

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("mz prints UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("mz prints UTF-8"),
        }
    }
}

impl Ran {
    /// Returns the output after a success.
    #[track_caller]
    pub(crate) fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// Returns the output as one JSON object, after a success.
    #[track_caller]
    pub(crate) fn object(self) -> Value {
        json(&self.succeeded())
    }

    /// Checks that it failed with this code, and said all of this on standard error and nothing else where.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        for part in said {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }
}

#[track_caller]
pub(crate) fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}"))
}

/// The processes that a process has started and that have not been reaped.
#[cfg(target_os = "linux")]
#[track_caller]
pub(crate) fn children(of: &Process) -> Vec<u32> {
    let of = of.pid();
    let file = format!("/proc/{of}/task/{of}/children");
    let listed = std::fs::read_to_string(file).expect("it runs");
    listed.split_whitespace().map(|pid| pid.parse().expect("it is a number")).collect()
}

/// Returns whether a process runs.
#[cfg(target_os = "linux")]
pub(crate) fn exists(pid: u32) -> bool {
    // A process that has ended and waits to be reaped by others is no longer there for our purposes.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
