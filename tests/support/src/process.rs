//! A program under test: its output is awaited with deadlines, and it never outlives its test.

use std::collections::VecDeque;
use std::env;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::wait::POLL;

/// The limit of buffered lines of each stream; a program that prints more loses its oldest ones.
const MAX_LINES: usize = 20_000;

/// The limit of printed characters of a command that fails: some contain a whole script.
const MAX_SHOWN: usize = 200;

/// The timeout for the last lines of a program that has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The limit of buffered bytes of a line.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// The path of a binary of the workspace, such as `mz`, as built beside the running test.
///
/// # Panics
/// If it was not built: `cargo build --workspace --all-targets` builds all of them.
#[must_use]
#[track_caller]
pub fn binary(name: &str) -> PathBuf {
    built(PathBuf::from(name))
}

/// The path of an example of the workspace, as built beside the running test.
///
/// # Panics
/// If it was not built: `cargo build --workspace --all-targets` builds all of them.
#[must_use]
#[track_caller]
pub fn example(name: &str) -> PathBuf {
    built(PathBuf::from("examples").join(name))
}

/// A running program. Dropping it kills and reaps it.
///
/// ```
/// # use std::{process::Command, time::Duration};
/// # use meshzero_testing::Process;
/// let soon = Duration::from_secs(10);
/// let mut cat = Process::start(&mut Command::new("cat"));
/// cat.send_line("hello, cat");
/// assert_eq!(cat.expect_line("hello", soon), "hello, cat");
/// cat.close_stdin();
/// assert!(cat.wait(soon).success());
/// ```
#[derive(Debug)]
pub struct Process {
    called: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Arc<Stream>,
    stderr: Arc<Stream>,
    started: Instant,
}

impl Process {
    /// Starts `command` with all its streams piped to the test.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let called = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let called: String = called.chars().take(MAX_SHOWN).collect();
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("cannot start `{called}`: {error}"));
        let stdin = child.stdin.take();
        let stdout = Stream::follow(child.stdout.take().expect("standard output is a pipe"));
        let stderr = Stream::follow(child.stderr.take().expect("standard error is a pipe"));
        Self { called, child, stdin, stdout, stderr, started: Instant::now() }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line of standard output that contains `wanted`, skipping those before it.
    ///
    /// # Panics
    /// If there is none `within` that time, or the program ends without it, showing all its output.
    #[track_caller]
    pub fn expect_line(&mut self, wanted: &str, within: Duration) -> String {
        let line = self.stdout.next(wanted, within);
        line.unwrap_or_else(|reason| self.fail(&format!("no line with {wanted:?}: {reason}")))
    }

    /// Waits for the next line of standard error that contains `wanted`, skipping those before it.
    ///
    /// # Panics
    /// If there is none `within` that time, or the program ends without it, showing all its output.
    #[track_caller]
    pub fn expect_error_line(&mut self, wanted: &str, within: Duration) -> String {
        let line = self.stderr.next(wanted, within);
        line.unwrap_or_else(|reason| self.fail(&format!("no line of errors with {wanted:?}: {reason}")))
    }

    /// Waits for the next line of standard output, whatever its content.
    ///
    /// # Panics
    /// As [`expect_line`](Self::expect_line).
    #[track_caller]
    pub fn next_line(&mut self, within: Duration) -> String {
        self.expect_line("", within)
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// If it has closed its standard input.
    #[track_caller]
    pub fn send_line(&mut self, line: &str) {
        let sent = match &mut self.stdin {
            Some(stdin) => writeln!(stdin, "{line}").and_then(|()| stdin.flush()),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        };
        sent.unwrap_or_else(|error| self.fail(&format!("cannot write {line:?} to it: {error}")));
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until it has ended and all its output has been read.
    ///
    /// # Panics
    /// If it still runs after that time, showing all its output.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    // The last lines are still in the pipes, unless another process holds them open.
                    self.stdout.ended();
                    self.stderr.ended();
                    return status;
                }
                Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
                Ok(None) => self.fail(&format!("it still runs after {within:?}")),
                Err(error) => self.fail(&format!("it cannot be waited for: {error}")),
            }
        }
    }

    /// Waits until it has ended with success, and returns its standard output.
    ///
    /// # Panics
    /// If it still runs after that time or ends with another code than 0, showing all its output.
    #[track_caller]
    pub fn succeed(&mut self, within: Duration) -> String {
        let status = self.wait(within);
        if !status.success() {
            self.fail(&format!("it ended with {status}"));
        }
        self.stdout()
    }

    /// Returns whether it still runs.
    #[track_caller]
    pub fn is_running(&mut self) -> bool {
        match self.child.try_wait() {
            Ok(status) => status.is_none(),
            Err(error) => self.fail(&format!("it cannot be waited for: {error}")),
        }
    }

    /// Kills it at once (SIGKILL) and reaps it.
    #[track_caller]
    pub fn kill(&mut self) -> ExitStatus {
        // It may have ended already, which is the aim.
        let _ = self.child.kill();
        self.wait(Duration::from_secs(30))
    }

    /// Interrupts it as Ctrl-C does (SIGINT).
    #[track_caller]
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Asks it to end (SIGTERM).
    #[track_caller]
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Suspends it (SIGSTOP), as a debugger would.
    #[track_caller]
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Resumes it (SIGCONT).
    #[track_caller]
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// All standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// All standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    #[track_caller]
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        let sent = status.is_ok_and(|status| status.success());
        assert!(sent, "cannot send {name} to `{}`", self.called);
    }

    #[track_caller]
    fn fail(&self, reason: &str) -> ! {
        panic!(
            "`{}`, {:.3} s after its start: {reason}\n--- standard output\n{}--- standard error\n{}---",
            self.called,
            self.started.elapsed().as_secs_f64(),
            self.stdout(),
            self.stderr(),
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("`{}` printed:\n{}{}", self.called, self.stdout(), self.stderr());
        }
    }
}

/// The lines of a stream, collected by a thread that ends with the stream.
#[derive(Debug, Default)]
struct Stream {
    state: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    /// The number of buffered lines that have been skipped or returned.
    read: usize,
    is_ended: bool,
}

impl Stream {
    fn follow(pipe: impl Read + Send + 'static) -> Arc<Self> {
        let stream = Arc::new(Self::default());
        let follower = Arc::clone(&stream);
        thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            while let Some(line) = read_line(&mut reader) {
                follower.push(line);
            }
            follower.lock().is_ended = true;
            follower.changed.notify_all();
        });
        stream
    }

    fn push(&self, line: String) {
        let mut lines = self.lock();
        if lines.kept.len() == MAX_LINES {
            lines.kept.pop_front();
            lines.read = lines.read.saturating_sub(1);
        }
        lines.kept.push_back(line);
        self.changed.notify_all();
    }

    fn next(&self, wanted: &str, within: Duration) -> Result<String, String> {
        let deadline = Instant::now() + within;
        let mut lines = self.lock();
        loop {
            while let Some(line) = lines.kept.get(lines.read) {
                let line = line.clone();
                lines.read += 1;
                if line.contains(wanted) {
                    return Ok(line);
                }
            }
            if lines.is_ended {
                return Err("the stream has ended".into());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("not within {within:?}"));
            }
            lines = self.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end of the stream of a program that has ended. A stream that a child of it holds open is given up.
    fn ended(&self) {
        drop(self.changed.wait_timeout_while(self.lock(), DRAIN_TIMEOUT, |lines| !lines.is_ended));
    }

    fn text(&self) -> String {
        self.lock().kept.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next line, truncated if it is too long; none at the end of the stream.
fn read_line(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut bytes = Vec::new();
    let length = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes).ok()?;
    (length > 0).then(|| String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

#[track_caller]
fn built(below: PathBuf) -> PathBuf {
    let own = env::current_exe().expect("a test knows its own file");
    let profile = profile_folder(&own);
    let file = profile.join(below).with_extension(env::consts::EXE_EXTENSION);
    assert!(file.is_file(), "{} is not there: cargo build --workspace --all-targets", file.display());
    file
}

/// `target/debug`, from the path of a test, an example or a binary below it.
fn profile_folder(own: &std::path::Path) -> PathBuf {
    let folder = own.parent().unwrap_or(own);
    let is_below = folder.ends_with("deps") || folder.ends_with("examples");
    if is_below { folder.parent().unwrap_or(folder).to_owned() } else { folder.to_owned() }
}
