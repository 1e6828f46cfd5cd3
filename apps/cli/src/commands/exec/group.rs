//! A program with all its descendants: a process group on Unix, with processes that have left it on Linux, and a
//! process tree on Windows.

use std::io;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{self, Instant};

use super::mark::EnvironmentMark;
use crate::detached::run_detached;

/// The time between termination and killing.
const GRACE: Duration = Duration::from_millis(500);

/// The timeout of the search for processes outside of the group. It may block: reading the environment of a process
/// takes a lock that the process may hold forever.
const LOOK: Duration = Duration::from_millis(500);

/// The pause between two searches for survivors.
const PAUSE: Duration = Duration::from_millis(5);

/// A running program and its descendants. Dropping it kills all of them.
#[derive(Debug)]
pub(super) struct ProcessGroup {
    child: Child,
    /// The id of the program and of its group; `None` once the program has been reaped: from then on the id may be
    /// reused, and the rest of the group is left alone.
    id: Option<u32>,
    mark: EnvironmentMark,
}

impl ProcessGroup {
    /// Starts the program in a group of its own.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        #[cfg(unix)]
        command.process_group(0);
        // Ctrl-C in the console reaches this program alone, which lets them finish.
        #[cfg(windows)]
        command.creation_flags(windows::NEW_PROCESS_GROUP);
        let mark = EnvironmentMark::new();
        mark.set(command);
        let child = command.kill_on_drop(true).spawn()?;
        let id = child.id();
        Ok(Self { child, id, mark })
    }

    /// Takes its standard input and output.
    pub(super) fn streams(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>) {
        (self.child.stdin.take(), self.child.stdout.take())
    }

    /// Waits until the program itself has ended. Its background processes go on.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.id = None;
        Ok(status)
    }

    /// Terminates all of them, and kills those that are left after a moment, or once `gone` completes.
    ///
    /// # Cancel safety
    /// This method is cancel safe. Dropping the group as well kills them at once.
    pub(super) async fn end(&mut self, gone: impl Future<Output = ()>) {
        let Some(id) = self.id else { return };
        // The program is reaped only after all have been killed: until then its id is not reused.
        // Its group is signalled before the search for the others, which may take long.
        ask_to_end(id).await;
        self.reach(move |process| ask_outside(id, process)).await;
        // Either will do.
        let _ = time::timeout(GRACE, gone).await;
        kill(id);
        self.reach(kill_one).await;
        self.id = None;
        // It has been killed, or has ended.
        let _ = self.child.kill().await;
        self.kill_rest().await;
    }

    /// Kills processes that were started meanwhile, until none is left.
    async fn kill_rest(&self) {
        let end = Instant::now() + GRACE;
        while self.reach(kill_one).await > 0 && Instant::now() <= end {
            time::sleep(PAUSE).await;
        }
    }

    /// Signals all processes with the mark. Returns their number, or 0 if that is not known in time; then they are
    /// signalled later.
    async fn reach(&self, signal: impl Fn(u32) + Send + 'static) -> usize {
        let mark = self.mark.clone();
        // Without room for a thread, those outside of the group are left.
        let reached = time::timeout(LOOK, run_detached(move || mark.reach(signal))).await;
        reached.ok().flatten().unwrap_or_default()
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        kill(id);
        let (mark, (tx, rx)) = (self.mark.clone(), mpsc::channel());
        let started = thread::Builder::new().spawn(move || {
            mark.reach(kill_one);
            // The receiver may be gone.
            let _ = tx.send(());
        });
        if started.is_ok() {
            // This thread waits: it has nothing else to do, and the other might not finish before the end of the
            // process.
            let _ = rx.recv_timeout(LOOK);
        }
    }
}

#[cfg(unix)]
use unix::{ask_outside, ask_to_end, kill, kill_one};

#[cfg(unix)]
mod unix {
    use nix::sys::signal::{Signal, kill as signal_one, killpg};
    use nix::unistd::{Pid, getpgid};

    /// Terminates the group with this id.
    pub(super) async fn ask_to_end(group: u32) {
        signal_group(group, Signal::SIGTERM);
    }

    /// Terminates a process unless it is in that group, which has been terminated: a second signal may mean at once.
    pub(super) fn ask_outside(group: u32, process: u32) {
        let is_inside = pid(process).is_some_and(|process| getpgid(Some(process)).ok() == pid(group));
        if !is_inside {
            signal(process, Signal::SIGTERM);
        }
    }

    /// Kills the group with this id.
    pub(super) fn kill(group: u32) {
        signal_group(group, Signal::SIGKILL);
    }

    pub(super) fn kill_one(process: u32) {
        signal(process, Signal::SIGKILL);
    }

    fn signal_group(group: u32, signal: Signal) {
        if let Some(group) = pid(group) {
            // The group may be empty.
            let _ = killpg(group, signal);
        }
    }

    fn signal(process: u32, signal: Signal) {
        if let Some(process) = pid(process) {
            // It may have ended.
            let _ = signal_one(process, signal);
        }
    }

    /// Converts an id. 0 would be this program's own group, and 1 every process.
    fn pid(number: u32) -> Option<Pid> {
        i32::try_from(number).ok().filter(|number| *number > 1).map(Pid::from_raw)
    }
}

#[cfg(windows)]
use windows::{ask_outside, ask_to_end, kill, kill_one};

#[cfg(windows)]
mod windows {
    use std::process::{Command, Stdio};

    /// The flag `CREATE_NEW_PROCESS_GROUP`.
    pub(super) const NEW_PROCESS_GROUP: u32 = 0x200;

    /// Ends a program with its descendants. A program without a window cannot be asked to end. Descendants are found
    /// by the ids of parents, so those of a parent that has ended already are left.
    pub(super) async fn ask_to_end(id: u32) {
        // Without taskkill, the program itself is killed all the same.
        let _ = tokio::process::Command::from(taskkill(id)).status().await;
    }

    /// Ends them without waiting.
    pub(super) fn kill(id: u32) {
        // As above.
        let _ = taskkill(id).spawn();
    }

    /// None are known.
    pub(super) fn ask_outside(_: u32, _: u32) {}

    /// As above.
    pub(super) fn kill_one(_: u32) {}

    fn taskkill(id: u32) -> Command {
        let mut taskkill = Command::new("taskkill");
        taskkill.args(["/T", "/F", "/PID", &id.to_string()]);
        taskkill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        taskkill
    }
}
