//! The processes of the demo: started from this program, killed, and always reaped.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time;

use super::protocol::{DemoCommand, DemoEvent};
use super::role::Role;
use crate::failure::Failure;

/// The timeout for an event of a process; a hundred times the usual.
const TIMEOUT: Duration = Duration::from_secs(6);

/// The time for a graceful shutdown before a process is killed.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(700);

/// A process of the demo. Dropping it kills it; [`DemoProcess::dismiss`] shuts it down gracefully.
pub(crate) struct DemoProcess {
    role: Role,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl DemoProcess {
    /// Starts a process on the mesh `mesh`, on loopback only.
    pub(crate) fn start(role: Role, mesh: &str) -> Result<Self, Failure> {
        let cannot =
            |error: std::io::Error| Failure::Local(format!("cannot start the {}: {error}", role.name()));
        let program = std::env::current_exe().map_err(cannot)?;
        let mut child = Command::new(program)
            .args(["demo-part", role.name(), "--json", "--mesh", mesh, "--interfaces", "lo"])
            // The demo has a mesh of its own, whatever the user's settings are.
            .env_remove("MESHZERO_PEERS")
            .env_remove("MESHZERO_PORTS")
            .env_remove("MESHZERO_LIMITS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot)?;
        let missing = || Failure::Local(format!("the {} has no streams", role.name()));
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = BufReader::new(child.stdout.take().ok_or_else(missing)?).lines();
        Ok(Self { role, child, stdin: Some(stdin), stdout })
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Returns its process id; 0 once it has ended.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Sends it a command.
    pub(crate) async fn send_command(&mut self, command: &DemoCommand) -> Result<(), Failure> {
        let name = self.role.name();
        let mut line = serde_json::to_string(command).map_err(|error| {
            Failure::Local(format!("a command for the {name} cannot be written: {error}"))
        })?;
        line.push('\n');
        let stdin = self.stdin.as_mut().ok_or_else(|| gone(name))?;
        stdin.write_all(line.as_bytes()).await.map_err(|_| gone(name))
    }

    /// Waits until `wanted` accepts one of its events; others are discarded.
    pub(crate) async fn wait_for<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&DemoEvent) -> Option<T>,
    ) -> Result<T, Failure> {
        let name = self.role.name();
        let waiting = async {
            loop {
                let line =
                    self.stdout.next_line().await.map_err(|_| gone(name))?.ok_or_else(|| gone(name))?;
                let event = serde_json::from_str(&line)
                    .map_err(|error| Failure::Local(format!("the {name} printed {line:?}: {error}")))?;
                if let Some(found) = wanted(&event) {
                    return Ok(found);
                }
            }
        };
        time::timeout(TIMEOUT, waiting).await.unwrap_or_else(|_| {
            Err(Failure::OutcomeUnknown(format!("the {name} did not report {what} within {TIMEOUT:?}")))
        })
    }

    /// Kills it, so that it cannot withdraw its services.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        let name = self.role.name();
        self.child.kill().await.map_err(|error| Failure::Local(format!("cannot kill the {name}: {error}")))
    }

    /// Shuts it down gracefully and reaps it.
    pub(crate) async fn dismiss(mut self) {
        self.stdin = None;
        if time::timeout(SHUTDOWN_TIMEOUT, self.child.wait()).await.is_err() {
            // This fails only for a process that has ended already.
            let _ = self.child.kill().await;
        }
    }
}

fn gone(name: &str) -> Failure {
    Failure::Unavailable(format!("the {name} exited early"))
}
