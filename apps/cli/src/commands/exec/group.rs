//! A program with all that it starts: a process group on Unix, a tree of processes on Windows.
//!
//! A process that leaves its group, as a daemon does by `setsid`, is no longer a part of it.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time;

/// The time between the request to end and the end by force.
const GRACE: Duration = Duration::from_millis(500);

/// A program that runs, and what it has started. Dropping it kills all of them.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    /// The number of the program, and of its group; `None` once the program has been waited for: from then on the number may be
    /// somebody else's, and what is left of the group is its own affair.
    id: Option<u32>,
}

impl Group {
    /// Starts the program in a group of its own.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        #[cfg(unix)]
        command.process_group(0);
        // So that Ctrl-C in the console reaches this program alone, which lets them finish.
        #[cfg(windows)]
        command.creation_flags(windows::NEW_PROCESS_GROUP);
        let child = command.kill_on_drop(true).spawn()?;
        let id = child.id();
        Ok(Self { child, id })
    }

    /// Its standard input and output, once.
    pub(super) fn streams(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>) {
        (self.child.stdin.take(), self.child.stdout.take())
    }

    /// Waits until the program itself has ended. What it has left in the background goes on.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.id = None;
        Ok(status)
    }

    /// Asks all of them to end, and kills those that have not after a moment, or once `gone` says that nobody is left.
    ///
    /// # Cancel safety
    /// Dropping the future and this kills them at once.
    pub(super) async fn end(&mut self, gone: impl Future<Output = ()>) {
        let Some(id) = self.id else { return };
        // The program is not waited for before all have been killed: until then its number is nobody else's.
        ask_to_end(id).await;
        // Either will do.
        let _ = time::timeout(GRACE, gone).await;
        kill(id);
        self.id = None;
        // It has been killed, or has ended.
        let _ = self.child.kill().await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            kill(id);
        }
    }
}

#[cfg(unix)]
use unix::{ask_to_end, kill};

#[cfg(unix)]
mod unix {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    pub(super) async fn ask_to_end(id: u32) {
        signal(id, Signal::SIGTERM);
    }

    pub(super) fn kill(id: u32) {
        signal(id, Signal::SIGKILL);
    }

    fn signal(id: u32, signal: Signal) {
        // 0 would be this program's own group, and 1 everybody.
        if let Some(id) = i32::try_from(id).ok().filter(|id| *id > 1) {
            // Nobody may be left.
            let _ = killpg(Pid::from_raw(id), signal);
        }
    }
}

#[cfg(windows)]
use windows::{ask_to_end, kill};

#[cfg(windows)]
mod windows {
    use std::process::{Command, Stdio};

    /// `CREATE_NEW_PROCESS_GROUP`.
    pub(super) const NEW_PROCESS_GROUP: u32 = 0x200;

    /// A program without a window cannot be asked: it is ended, with all that descends from it. That goes by the numbers of
    /// parents, so what was started by one that has ended already is left.
    pub(super) async fn ask_to_end(id: u32) {
        // Where it is missing, the program itself is killed all the same.
        let _ = tokio::process::Command::from(taskkill(id)).status().await;
    }

    /// Does so without waiting for it.
    pub(super) fn kill(id: u32) {
        // As above.
        let _ = taskkill(id).spawn();
    }

    fn taskkill(id: u32) -> Command {
        let mut taskkill = Command::new("taskkill");
        taskkill.args(["/T", "/F", "/PID", &id.to_string()]);
        taskkill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        taskkill
    }
}
