//! The second process of a measurement, started from this program and never left behind.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time;

use crate::failure::Failure;

/// The timeout for its start; a hundred times the usual.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The time for a graceful shutdown before it is killed.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(700);

/// A serving process. Dropping it kills it; it exits by itself when this process does.
pub(crate) struct ServerProcess {
    process: tokio::process::Child,
    /// The process exits when this is closed.
    stdin: Option<ChildStdin>,
    told: Lines<BufReader<ChildStdout>>,
}

impl ServerProcess {
    /// Starts it on the mesh `mesh`, on loopback only.
    pub(crate) fn start(mesh: &str, spin: Option<Duration>) -> Result<Self, Failure> {
        let cannot =
            |error: std::io::Error| Failure::Local(format!("cannot start the serving process: {error}"));
        let program = std::env::current_exe().map_err(cannot)?;
        let mut process = Command::new(program)
            .args(["bench", "serve", "--attached", "--json", "--mesh", mesh, "--interfaces", "lo"])
            .args(spin.map(|time| format!("--spin={}us", time.as_micros())))
            .env_remove("MESHZERO_PEERS")
            .env_remove("MESHZERO_PORTS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot)?;
        let missing = || Failure::Local("the serving process has no streams".to_owned());
        let stdin = Some(process.stdin.take().ok_or_else(missing)?);
        let told = BufReader::new(process.stdout.take().ok_or_else(missing)?).lines();
        Ok(Self { process, stdin, told })
    }

    /// Waits until it serves, and returns its address.
    pub(crate) async fn address(&mut self) -> Result<String, Failure> {
        let ended = || Failure::Local("the serving process exited before it served".to_owned());
        let line = time::timeout(TIMEOUT, self.told.next_line())
            .await
            .map_err(|_| Failure::Local(format!("the serving process did not serve within {TIMEOUT:?}")))?;
        let line = line.map_err(|_| ended())?.ok_or_else(ended)?;
        let told: serde_json::Value = serde_json::from_str(&line).map_err(|_| ended())?;
        told["address"].as_str().map(str::to_owned).ok_or_else(ended)
    }

    /// Shuts it down and reaps it.
    pub(crate) async fn dismiss(mut self) {
        self.stdin = None;
        if time::timeout(SHUTDOWN_TIMEOUT, self.process.wait()).await.is_err() {
            // This fails only for a process that has exited already.
            let _ = self.process.kill().await;
        }
    }
}
