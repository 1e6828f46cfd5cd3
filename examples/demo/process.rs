//! The processes of a demo: each runs an example, its lines are shown with its name, and none outlives the demo.
//!
//! `MESHZERO_MESH` and `MESHZERO_INTERFACES` give every demo a mesh of its own, on this machine only.

use std::env;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// The timeout of a demo, which ends long before unless something is wrong.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs a program that is interrupted, as Ctrl-C does, when the input of the shell ends.
const INTERRUPTED_AT_END_OF_INPUT: &str =
    r#"exec 3<&0; (cat <&3; kill -INT $$) >/dev/null 2>&1 & exec "$0" "$@" 3<&- </dev/null"#;

/// Several processes of one example.
pub(crate) struct Demo {
    program: PathBuf,
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
    /// Finds the example beside this program, and builds it if it is not there.
    pub(crate) fn of(example: &str) -> Result<Self> {
        let program = env::current_exe()?.with_file_name(format!("{example}{}", env::consts::EXE_SUFFIX));
        if !program.exists() {
            build(example)?;
        }
        let mesh = format!("demo-{:08x}", fastrand::u32(..));
        Ok(Self { program, mesh, end: Instant::now() + LONGEST })
    }

    /// Starts the example with these arguments; its lines are shown after `name`. It is interrupted when the demo ends, however that
    /// happens.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> Result<Role> {
        if cfg!(unix) {
            let mut shell = Command::new("sh");
            shell.args(["-c", INTERRUPTED_AT_END_OF_INPUT]).arg(&self.program);
            self.spawn(name, shell.args(arguments))
        } else {
            self.spawn(name, Command::new(&self.program).args(arguments))
        }
    }

    /// Starts the example as [`Demo::start`] does, if it reads lines and leaves at the end of its input.
    pub(crate) fn start_reader(&self, name: &str, arguments: &[&str]) -> Result<Role> {
        self.spawn(name, Command::new(&self.program).args(arguments))
    }

    fn spawn(&self, name: &str, command: &mut Command) -> Result<Role> {
        let mut child = command
            .env("MESHZERO_MESH", &self.mesh)
            .env("MESHZERO_INTERFACES", "lo")
            .env_remove("MESHZERO_PEERS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (show, lines) = channel();
        let prefix = name.to_owned();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(io::Result::ok) {
                    println!("{prefix:>11} | {line}");
                    // The demo may have stopped waiting for lines; they are shown all the same.
                    let _ = show.send(line);
                }
            });
        }
        let input = child.stdin.take();
        Ok(Role { name: name.to_owned(), child, input, lines, end: self.end })
    }
}

fn build(example: &str) -> Result {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--example", example]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    if build.status()?.success() { Ok(()) } else { Err(format!("cannot build the example {example}").into()) }
}

impl Role {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it prints a line with `text` in it, and returns the line.
    pub(crate) fn expect_line(&self, text: &str) -> Result<String> {
        loop {
            match self.lines.recv_timeout(self.end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{} did not print {text:?} in time", self.name).into());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("{} ended before it printed {text:?}", self.name).into());
                }
            }
        }
    }

    /// Types a line into it.
    pub(crate) fn send_line(&mut self, line: &str) -> Result {
        let input = self.input.as_mut().ok_or("its input is closed")?;
        Ok(writeln!(input, "{line}")?)
    }

    /// Waits until it has ended by itself, with success.
    pub(crate) fn ends(mut self) -> Result {
        while Instant::now() < self.end {
            match self.child.try_wait()? {
                Some(status) if status.success() => {
                    // All its lines are shown before the demo goes on.
                    while self.lines.recv().is_ok() {}
                    return Ok(());
                }
                Some(status) => return Err(format!("{} ended with {status}", self.name).into()),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
        Err(format!("{} did not end in time", self.name).into())
    }

    /// Ends its input, which interrupts it, and waits until it has left. Where there is no shell, it is killed.
    pub(crate) fn close(mut self) -> Result {
        self.input = None;
        if cfg!(unix) { self.ends() } else { self.dies() }
    }

    /// Kills it.
    pub(crate) fn dies(mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
