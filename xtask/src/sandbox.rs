//! The network that tests run in: a private one with only a loopback interface, where the system allows that.

use std::ffi::OsString;
use std::process::Command;

use crate::process::{program_folders, read};
use crate::report::Skip;

/// The strongest isolation from real networks that works here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// A fresh network namespace.
    Root,
    /// The same for a user other than root: a user namespace whose `/run` is its own, because `ip netns` writes there.
    User,
    /// The machine's own network, of which the tests are asked to use loopback alone.
    Loopback,
}

/// Brings loopback up and becomes the program given as arguments.
const ENTER: &str = "ip link set lo up && exec \"$@\"";
const ENTER_AS_USER: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$@\"";

impl Sandbox {
    /// Finds the strongest isolation that works.
    pub(crate) fn find() -> Self {
        let works = |sandbox: &Self| read(&mut sandbox.command("true")).is_ok();
        [Self::Root, Self::User].into_iter().find(works).unwrap_or(Self::Loopback)
    }

    /// The parts that are skipped because the isolation is not complete.
    pub(crate) fn weakness(self) -> Option<Skip> {
        (self == Self::Loopback).then(|| Skip {
            what: "a private network namespace for the tests".into(),
            reason: "the system does not allow one (it needs Linux, and root or user namespaces); MESHZERO_INTERFACES=lo \
                  asks them to stay on loopback"
                .into(),
        })
    }

    /// `program`, to be started inside.
    pub(crate) fn command(self, program: &str) -> Command {
        let mut command = match self {
            Self::Loopback => Command::new(program),
            Self::Root | Self::User => {
                let (flags, enter) =
                    if self == Self::Root { ("-n", ENTER) } else { ("-Urnm", ENTER_AS_USER) };
                let mut command = Command::new("unshare");
                command.args([flags, "--", "sh", "-c", enter, "sh", program]);
                command
            }
        };
        // The user's settings for a mesh of their own must not affect the tests.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MESHZERO_"))
        {
            command.env_remove(name);
        }
        // Loopback is the only interface inside too; hosts of a test's own network do not inherit this.
        command.env("MESHZERO_INTERFACES", "lo").env("PATH", search_path());
        command
    }

    /// A shell script, to be run inside.
    pub(crate) fn shell(self, script: &str) -> Command {
        let mut command = self.command("sh");
        command.args(["-c", script]);
        command
    }
}

/// The user's search path, and Debian's folders of programs for root, which is the user inside.
fn search_path() -> OsString {
    std::env::join_paths(program_folders()).unwrap_or_else(|_| std::env::var_os("PATH").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_no_interface_but_loopback() {
        let sandbox = Sandbox::find();
        if sandbox == Sandbox::Loopback {
            println!("skipped: the system allows no private network namespace");
            return;
        }
        let links = read(&mut sandbox.shell("ip -o link show up")).expect("links can be listed");
        assert_eq!(links.lines().count(), 1, "{links}");
        assert!(links.contains("lo:"), "{links}");
    }

    #[test]
    fn arguments_reach_the_program_unchanged() {
        let mut command = Sandbox::find().command("printf");
        let printed = read(command.args(["%s|", "two words", "$HOME", ""])).expect("printf works");
        assert_eq!(printed, "two words|$HOME||");
    }
}
