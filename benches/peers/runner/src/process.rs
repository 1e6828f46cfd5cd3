//! One contestant's process, from its start to its end.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use peers_common::{Order, Plan, Result, Role, Told};

/// The timeout of a process's end after it has been told to end.
const FAREWELL: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(5);

/// A message of a process; `None` when it has closed its output.
pub(crate) type Event = (Role, Option<Told>);

/// A process that has been started. Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    /// Its own id, and those of the processes that work for it.
    pub(crate) pids: Vec<u32>,
}

impl Process {
    /// Starts the program, whose messages go to `events`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(program: &Path, plan: &Plan, events: Sender<Event>) -> Result<Self> {
        let mut child = Command::new(program)
            .arg(serde_json::to_string(plan)?)
            .env("MESHZERO_INTERFACES", "lo")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let orders = child.stdin.take();
        let out = child.stdout.take().ok_or("the output is piped")?;
        let role = plan.role;
        let pids = vec![child.id()];
        let process = Self { child, orders, pids };
        thread::Builder::new().spawn(move || {
            for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
                match serde_json::from_str(&line) {
                    // Nobody receives it any more when the case is over.
                    Ok(told) => drop(events.send((role, Some(told)))),
                    Err(error) => eprintln!("{role:?} says {line:?}: {error}"),
                }
            }
            drop(events.send((role, None)));
        })?;
        Ok(process)
    }

    /// Sends it an order.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn tell(&mut self, order: Order) -> Result {
        let orders = self.orders.as_mut().ok_or("the process was told to end")?;
        let mut line = serde_json::to_string(&order)?;
        line.push('\n');
        Ok(orders.write_all(line.as_bytes())?)
    }

    /// Closes its input, so that it ends.
    pub(crate) fn end(&mut self) {
        self.orders = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        let deadline = Instant::now() + FAREWELL;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= deadline {
                // It may have ended just now.
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(GLANCE);
        }
    }
}
