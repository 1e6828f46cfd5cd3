//! A program with all that it starts: a process group on Unix, a tree of processes on Windows.
//!
//! A process that leaves its group, as a daemon does by `setsid`, is no longer a part of it.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{self, Instant};

/// The time between the request to end and the end by force.
const GRACE: Duration = Duration::from_millis(500);

/// The pause before it is looked again whether all have ended.
const LOOK: Duration = Duration::from_millis(10);

/// A program that runs, and what it has started. Dropping it kills all of them.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    /// The number of the program, and of its group; `None` once nothing has to be ended any more.
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

    /// Waits until the program itself has ended.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Lets what is left of the group go on.
    pub(super) fn release(&mut self) {
        self.id = None;
    }

    /// Asks all of them to end, and kills those that have not after a moment.
    ///
    /// # Cancel safety
    /// Dropping the future and this kills them at once.
    pub(super) async fn end(&mut self) {
        let Some(id) = self.id else { return };
        let deadline = Instant::now() + GRACE;
        ask_to_end(id);
        // Its status is of no interest. Until it has been waited for, its number is nobody else's; after that, while others
        // of its group are there.
        let _ = time::timeout_at(deadline, self.child.wait()).await;
        while is_there(id) && Instant::now() < deadline {
            time::sleep(LOOK).await;
        }
        if is_there(id) {
            kill(id);
        }
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
use unix::{ask_to_end, is_there, kill};

#[cfg(unix)]
mod unix {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    pub(super) fn ask_to_end(id: u32) {
        signal(id, Some(Signal::SIGTERM));
    }

    pub(super) fn kill(id: u32) {
        signal(id, Some(Signal::SIGKILL));
    }

    pub(super) fn is_there(id: u32) -> bool {
        signal(id, None)
    }

    /// Returns whether there was somebody to get it.
    fn signal(id: u32, signal: Option<Signal>) -> bool {
        // 0 would be this program's own group, and 1 everybody.
        i32::try_from(id).is_ok_and(|id| id > 1 && killpg(Pid::from_raw(id), signal).is_ok())
    }
}

#[cfg(windows)]
use windows::{ask_to_end, is_there, kill};

#[cfg(windows)]
mod windows {
    use std::process::{Command, Stdio};

    /// `CREATE_NEW_PROCESS_GROUP`.
    pub(super) const NEW_PROCESS_GROUP: u32 = 0x200;

    /// A program without a window cannot be asked: it is ended, with all that descends from it. That goes by the numbers of
    /// parents, so what was started by one that has ended already is left.
    pub(super) fn ask_to_end(id: u32) {
        let mut taskkill = Command::new("taskkill");
        let quiet = taskkill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Where it is missing, the program itself is killed all the same.
        let _ = quiet.args(["/T", "/F", "/PID", &id.to_string()]).status();
    }

    pub(super) fn kill(id: u32) {
        ask_to_end(id);
    }

    /// Nobody is left to be asked again.
    pub(super) fn is_there(_: u32) -> bool {
        false
    }
}
