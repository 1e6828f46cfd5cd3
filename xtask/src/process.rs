//! Child processes with a timeout: a command succeeds, or is a failure that names the command.

use std::fmt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The reason for which a task failed, as a sentence for the user.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// The result of a task.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs `command` with its output shown, and kills it when it takes longer than `within`.
pub(crate) fn run(command: &mut Command, within: Duration) -> Outcome {
    let child = command.stdin(Stdio::null()).spawn().map_err(|error| cannot_start(command, &error))?;
    let status =
        wait(child, within).ok_or_else(|| Failure(format!("`{}` took over {within:?}", shown(command))))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("`{}` failed: {status}", shown(command)))) }
}

/// Runs `command` and returns its standard output. A failure includes its standard error.
pub(crate) fn read(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(Failure(format!("`{}` failed: {}\n{}", shown(command), output.status, told.trim_end())));
    }
    String::from_utf8(output.stdout).map_err(|_| Failure(format!("`{}` did not print UTF-8", shown(command))))
}

/// The path of the program with that name, if there is one.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    program_folders().into_iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The folders that are searched for programs: those of `PATH`, and Debian's for Wine and for programs that only root needs.
pub(crate) fn program_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for folder in ["/usr/sbin", "/sbin", "/usr/lib/wine"].map(PathBuf::from) {
        if cfg!(unix) && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

fn wait(mut child: Child, within: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + within;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            // Killing fails only for a process that is gone already, and then waiting returns at once.
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure(format!("cannot start `{}`: {error}", shown(command)))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_a_failure_that_names_it() {
        let failure =
            run(Command::new("false").arg("word"), Duration::from_secs(60)).expect_err("false fails");
        assert!(failure.0.contains("false word"), "{failure}");
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let started = Instant::now();
        run(Command::new("sleep").arg("60"), Duration::from_millis(50)).expect_err("it is over its time");
        assert!(started.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn a_missing_program_is_a_failure() {
        read(&mut Command::new("no-such-program-at-all")).expect_err("there is no such program");
    }
}
