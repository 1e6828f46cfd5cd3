//! The capabilities of the machine that a test needs: without one, the test reports that it is skipped and why, or fails.
//!
//! `cargo xtask test` probes the machine and lists its capabilities in `MESHZERO_TEST_REQUIRE`, separated by commas; a listed
//! capability must be there. A skip is also appended to the file that `MESHZERO_TEST_SKIPS` names, since test runners hide the
//! output of a passing test.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::thread;

use crate::{avahi, faketime as clock, netns, python};

/// The user `nobody` of Linux.
#[cfg(unix)]
pub const ANOTHER_USER: u32 = 65_534;

/// Returns whether networks of namespaces can be created here ([`Lan`](crate::Lan)). A test that gets `false` returns.
///
/// # Panics
/// If they cannot, although `MESHZERO_TEST_REQUIRE` names `netns`.
///
/// ```
/// if !meshzero_testing::require::netns() {
///     return;
/// }
/// let lan = meshzero_testing::Lan::new(2);
/// assert_ne!(lan.host(0).address(), lan.host(1).address());
/// ```
#[must_use]
#[track_caller]
pub fn netns() -> bool {
    decide("netns", netns::available())
}

/// Returns whether Avahi can be started in a network of namespaces ([`Avahi`](crate::Avahi)). A test that gets `false` returns.
///
/// # Panics
/// If it cannot, although `MESHZERO_TEST_REQUIRE` names `avahi`.
#[must_use]
#[track_caller]
pub fn avahi() -> bool {
    decide("avahi", netns::available().and_then(|()| avahi::available()))
}

/// Returns whether python-zeroconf can be started in a network of namespaces ([`mod@crate::zeroconf`]). A test that gets `false`
/// returns.
///
/// # Panics
/// If it cannot, although `MESHZERO_TEST_REQUIRE` names `zeroconf`.
#[must_use]
#[track_caller]
pub fn zeroconf() -> bool {
    decide("zeroconf", netns::available().and_then(|()| python::has("zeroconf")))
}

/// Returns whether pyzmq and the real NetworkZero are installed, for programs on loopback. A test that gets `false` returns.
///
/// # Panics
/// If they are not, although `MESHZERO_TEST_REQUIRE` names `networkzero`.
#[must_use]
#[track_caller]
pub fn networkzero() -> bool {
    decide("networkzero", python::has("zmq, networkzero"))
}

/// Returns whether programs can be given a wall clock that a test moves ([`WallClock`](crate::WallClock)). A test that gets
/// `false` returns.
///
/// # Panics
/// If they cannot, although `MESHZERO_TEST_REQUIRE` names `faketime`.
#[must_use]
#[track_caller]
pub fn faketime() -> bool {
    decide("faketime", clock::available())
}

/// Returns whether a program can be run as [`ANOTHER_USER`], which needs root. A test that gets `false` returns.
#[cfg(unix)]
#[must_use]
#[track_caller]
pub fn another_user(program: &std::path::Path) -> bool {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    let mut command = Command::new(program);
    let status =
        command.arg("--version").uid(ANOTHER_USER).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let available = status.map_err(|error| error.to_string()).and_then(|status| match status.success() {
        true => Ok(()),
        false => Err(format!("it ended with {status}")),
    });
    decide("another user", available)
}

#[track_caller]
fn decide(name: &str, available: Result<(), String>) -> bool {
    let required = env::var("MESHZERO_TEST_REQUIRE").unwrap_or_default();
    match judge(name, &required, available) {
        Verdict::Run => true,
        Verdict::Fail(reason) => panic!("{name} must be there, and is not: {reason}"),
        Verdict::Skip(reason) => {
            tell(name, &reason);
            false
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Run,
    Skip(String),
    Fail(String),
}

fn judge(name: &str, required: &str, available: Result<(), String>) -> Verdict {
    match available {
        Ok(()) => Verdict::Run,
        Err(reason) if required.split(',').any(|word| word == name) => Verdict::Fail(reason),
        Err(reason) => Verdict::Skip(reason),
    }
}

fn tell(name: &str, reason: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    eprintln!("skipped: {test}: it needs {name}: {reason}");
    let Some(path) = env::var_os("MESHZERO_TEST_SKIPS") else { return };
    let file = OpenOptions::new().append(true).create(true).open(&path);
    let line = format!("{}: it needs {name}: {reason}\n", test.replace(": ", ":"));
    // One write per line, so that lines of several processes do not mix.
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the file of skipped tests can be written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_capabilities_fail_and_others_are_skipped() {
        let missing = || Err("no such thing".to_owned());
        assert_eq!(judge("avahi", "netns,avahi", Ok(())), Verdict::Run);
        assert_eq!(judge("avahi", "netns,avahi", missing()), Verdict::Fail("no such thing".into()));
        assert_eq!(judge("avahi", "netns", missing()), Verdict::Skip("no such thing".into()));
        assert_eq!(judge("avahi", "", missing()), Verdict::Skip("no such thing".into()));
    }
}
