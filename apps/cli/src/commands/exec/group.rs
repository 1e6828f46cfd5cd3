//! A program with all that it starts: a process group on Unix, with what has left it on Linux, and a tree of processes on Windows.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{self, Instant};

use super::mark::Mark;

/// The time between the request to end and the end by force.
const GRACE: Duration = Duration::from_millis(500);

/// The pause before it is looked again whether all that were killed are gone.
const PAUSE: Duration = Duration::from_millis(5);

/// A program that runs, and what it has started. Dropping it kills all of them.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    /// The number of the program, and of its group; `None` once the program has been waited for: from then on the number may be
    /// somebody else's, and what is left of the group is its own affair.
    id: Option<u32>,
    mark: Mark,
}

impl Group {
    /// Starts the program in a group of its own.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        #[cfg(unix)]
        command.process_group(0);
        // So that Ctrl-C in the console reaches this program alone, which lets them finish.
        #[cfg(windows)]
        command.creation_flags(windows::NEW_PROCESS_GROUP);
        let mark = Mark::new();
        mark.set(command);
        let child = command.kill_on_drop(true).spawn()?;
        let id = child.id();
        Ok(Self { child, id, mark })
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
        ask_to_end(id, &self.mark.find_processes().await).await;
        // Either will do.
        let _ = time::timeout(GRACE, gone).await;
        kill(id, &self.mark.find_processes().await);
        self.id = None;
        // It has been killed, or has ended.
        let _ = self.child.kill().await;
        self.kill_rest().await;
    }

    /// Kills what others have started while they were killed, until nobody is left.
    async fn kill_rest(&self) {
        let end = Instant::now() + GRACE;
        loop {
            let left = self.mark.find_processes().await;
            if left.is_empty() || Instant::now() > end {
                return;
            }
            kill_each(&left);
            time::sleep(PAUSE).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // On this thread: nothing else is done any more, and another might not come to it before the end of the process.
            kill(id, &self.mark.processes());
        }
    }
}

#[cfg(unix)]
use unix::{ask_to_end, kill, kill_each};

#[cfg(unix)]
mod unix {
    use nix::sys::signal::{Signal, kill as signal_one, killpg};
    use nix::unistd::Pid;

    /// Asks the group with this number and the other processes to end.
    pub(super) async fn ask_to_end(group: u32, others: &[u32]) {
        signal(group, others, Signal::SIGTERM);
    }

    /// Kills the group with this number and the other processes.
    pub(super) fn kill(group: u32, others: &[u32]) {
        signal(group, others, Signal::SIGKILL);
    }

    pub(super) fn kill_each(processes: &[u32]) {
        each(processes, Signal::SIGKILL);
    }

    fn signal(group: u32, others: &[u32], signal: Signal) {
        if let Some(group) = pid(group) {
            // Nobody may be left.
            let _ = killpg(group, signal);
        }
        each(others, signal);
    }

    fn each(processes: &[u32], signal: Signal) {
        for process in processes.iter().filter_map(|process| pid(*process)) {
            // It may have ended.
            let _ = signal_one(process, signal);
        }
    }

    /// 0 would be this program's own group, and 1 everybody.
    fn pid(number: u32) -> Option<Pid> {
        i32::try_from(number).ok().filter(|number| *number > 1).map(Pid::from_raw)
    }
}

#[cfg(windows)]
use windows::{ask_to_end, kill, kill_each};

#[cfg(windows)]
mod windows {
    use std::process::{Command, Stdio};

    /// `CREATE_NEW_PROCESS_GROUP`.
    pub(super) const NEW_PROCESS_GROUP: u32 = 0x200;

    /// A program without a window cannot be asked: it is ended, with all that descends from it. That goes by the numbers of
    /// parents, so what was started by one that has ended already is left.
    pub(super) async fn ask_to_end(id: u32, _: &[u32]) {
        // Where it is missing, the program itself is killed all the same.
        let _ = tokio::process::Command::from(taskkill(id)).status().await;
    }

    /// Does so without waiting for it.
    pub(super) fn kill(id: u32, _: &[u32]) {
        // As above.
        let _ = taskkill(id).spawn();
    }

    /// None are known.
    pub(super) fn kill_each(_: &[u32]) {}

    fn taskkill(id: u32) -> Command {
        let mut taskkill = Command::new("taskkill");
        taskkill.args(["/T", "/F", "/PID", &id.to_string()]);
        taskkill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        taskkill
    }
}
