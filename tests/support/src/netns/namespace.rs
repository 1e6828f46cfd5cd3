//! Network namespaces: their names, their removal, and the leftovers of killed tests.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};
use std::{env, fs};

use super::command::{check, run};

/// The prefix of the names of all our namespaces.
const PREFIX: &str = "meshzero-test-";

/// A network namespace with loopback. Dropping it ends every process inside and removes it.
#[derive(Debug)]
pub(super) struct Namespace {
    pub(super) name: String,
}

impl Namespace {
    #[track_caller]
    pub(super) fn new(lan: &str, host: &str) -> Self {
        let name = format!("{lan}-{host}");
        run(Command::new("ip").args(["netns", "add", &name]));
        // From here on it is removed, whatever fails.
        let namespace = Self { name };
        run(namespace.ip().args(["link", "set", "lo", "up"]));
        namespace
    }

    /// The command `ip` for this namespace.
    pub(super) fn ip(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name]);
        command
    }

    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("MESHZERO_") && !name.starts_with("MESHZERO_TEST_") {
                command.env_remove(&*name);
            }
        }
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Checks that namespaces can be created here. The error is the reason why not.
pub(crate) fn available() -> Result<(), String> {
    static TRIED: OnceLock<Result<(), String>> = OnceLock::new();
    TRIED.get_or_init(try_namespace).clone()
}

fn try_namespace() -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("network namespaces are Linux's".into());
    }
    for program in ["bridge", "sysctl", "iptables-legacy", "ip6tables-legacy", "nft"] {
        check(Command::new(program).arg("-V"))?;
    }
    let name = format!("{}-try", unique_name());
    check(Command::new("ip").args(["netns", "add", &name]))?;
    let entered = check(Command::new("ip").args(["netns", "exec", &name, "true"])).map(drop);
    remove(&name);
    entered
}

pub(super) fn unique_name() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!("{PREFIX}{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Removes the namespaces of killed tests, once per process.
pub(super) fn remove_leftovers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let listed = Command::new("ip").args(["netns", "list"]).output();
        let text =
            listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        names.filter(|name| owner(name).is_some_and(is_dead)).for_each(remove);
    });
}

/// The id of the process that created a namespace, if it is one of ours.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn is_dead(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

/// Kills the processes in a namespace and removes it. Another test may be removing the same leftovers, and a test that panics
/// must continue with its other namespaces: a failure is printed, and only if the namespace is really still there.
fn remove(name: &str) {
    let running = Command::new("ip").args(["netns", "pids", name]).stderr(Stdio::null()).output();
    let pids = running.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for pid in pids.split_whitespace() {
        // The process may end by itself meanwhile.
        drop(Command::new("kill").args(["-s", "KILL", pid]).stderr(Stdio::null()).status());
    }
    let removed = check(Command::new("ip").args(["netns", "del", name]));
    if let Err(reason) = removed
        && fs::exists(Path::new("/run/netns").join(name)).unwrap_or(true)
    {
        eprintln!("{name} stays behind: {reason}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_have_an_owner() {
        assert_eq!(owner("meshzero-test-17-3-switch"), Some(17));
        for name in
            ["meshzero-test-", "meshzero-test-x-1", "mh1", "meshzero-17-1", "other-meshzero-test-17-1"]
        {
            assert_eq!(owner(name), None, "{name}");
        }
    }

    #[test]
    fn a_running_process_is_not_dead() {
        assert!(!is_dead(process::id()));
        assert!(is_dead(u32::MAX));
    }
}
