//! What the demos of the examples share, and what has nothing to do with the mesh: a program starts itself again in
//! other roles, shows what each of them prints, and lets none of them outlive it.
//!
//! `MESHZERO_MESH` and `MESHZERO_INTERFACES` give every demo a mesh of its own, on this machine alone.

// Every example uses a part of it.
#![allow(dead_code)]

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{env, thread};

use tokio::sync::oneshot;

pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Anything that went wrong, which `main` shows as the sentence that it is.
pub(crate) struct Failure(String);

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long a demo may take. It ends by itself long before, unless something is wrong.
const LONGEST: Duration = Duration::from_secs(60);

/// Tells a role that it is part of a demo.
const PART: &str = "PART_OF_A_DEMO";

/// A play of several processes.
pub(crate) struct Demo {
    mesh: String,
    end: Instant,
}

/// One of the processes. Dropping it kills it.
pub(crate) struct Role {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    end: Instant,
}

impl Demo {
    pub(crate) fn new() -> Self {
        Self { mesh: format!("demo-{:08x}", fastrand::u32(..)), end: Instant::now() + LONGEST }
    }

    /// Starts this program again with other arguments; `name` stands before its lines.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> Result<Role> {
        let mut child = Command::new(env::current_exe()?)
            .args(arguments)
            .env("MESHZERO_MESH", &self.mesh)
            .env("MESHZERO_INTERFACES", "lo")
            .env_remove("MESHZERO_PEERS")
            .env(PART, "yes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (show, lines) = channel();
        let prefix = name.to_owned();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(io::Result::ok) {
                    println!("{prefix:>11} | {line}");
                    // The demo may not wait for lines any more; they are shown all the same.
                    let _ = show.send(line);
                }
            });
        }
        let input = child.stdin.take();
        Ok(Role { name: name.to_owned(), child, input, lines, end: self.end })
    }
}

impl Role {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it prints a line with `text` in it, and returns the line.
    pub(crate) fn says(&self, text: &str) -> Result<String> {
        loop {
            match self.lines.recv_timeout(self.end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{} did not say {text:?} in time", self.name).into());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("{} ended before it said {text:?}", self.name).into());
                }
            }
        }
    }

    /// Types a line into it.
    pub(crate) fn hears(&mut self, line: &str) -> Result {
        let input = self.input.as_mut().ok_or("its input is closed")?;
        Ok(writeln!(input, "{line}")?)
    }

    /// Waits until it has ended by itself, and well.
    pub(crate) fn ends(mut self) -> Result {
        while Instant::now() < self.end {
            match self.child.try_wait()? {
                Some(status) if status.success() => {
                    // All it said is shown before the demo goes on.
                    while self.lines.recv().is_ok() {}
                    return Ok(());
                }
                Some(status) => return Err(format!("{} ended with {status}", self.name).into()),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
        Err(format!("{} did not end in time", self.name).into())
    }

    /// Lets it leave as a user would who is done, and waits until it has.
    pub(crate) fn leaves(mut self) -> Result {
        self.input = None;
        self.ends()
    }

    /// Kills it without any warning.
    pub(crate) fn dies(mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Both fail for a process alone that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for Ctrl-C or, in a role of a demo, for the end of its input: that also comes when the demo is killed.
pub(crate) async fn stopped() {
    let (tell, told) = oneshot::channel();
    if env::var_os(PART).is_some() {
        thread::spawn(move || {
            // However reading ends, there is nobody any more who might write.
            let _ = io::stdin().read_to_end(&mut Vec::new());
            let _ = tell.send(());
        });
        // A demo's Ctrl-C ends the demo, and with it this.
        let _ = told.await;
    } else if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
