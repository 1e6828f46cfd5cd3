//! The signals that were ignored when the program started.
//!
//! Listening for a signal ends its being ignored, and asking the system for its disposition takes unsafe code. Linux
//! has it in a file as well; elsewhere a shell is asked, because it inherits ignored signals and cannot trap them.

use std::fs;
use std::process::{Command, Stdio};

/// A script that prints the numbers of the signals that cannot be trapped.
const ASK: &str = "for signal in 1 2 3 15; do trap 'got=1' $signal; got=; kill -$signal $$; \
                   [ \"$got\" ] || echo $signal; done";

/// A set of ignored signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct IgnoredSignals {
    /// Bit `n - 1` stands for signal `n`.
    mask: u64,
}

impl IgnoredSignals {
    /// Returns the signals that are ignored before any is listened for. None where that is unknown, and on Windows.
    pub(crate) fn at_start() -> Self {
        if cfg!(windows) {
            return Self::default();
        }
        Self::of_proc().or_else(|| Self::of_shell(&mut Command::new("sh"))).unwrap_or_default()
    }

    pub(crate) fn contains(self, number: u8) -> bool {
        self.mask & bit(number) != 0
    }

    fn of_proc() -> Option<Self> {
        Self::of_status(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn of_status(status: &str) -> Option<Self> {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        Some(Self { mask: u64::from_str_radix(mask.trim(), 16).ok()? })
    }

    fn of_shell(shell: &mut Command) -> Option<Self> {
        let asked = shell.args(["-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let numbers = String::from_utf8(asked.stdout).ok()?;
        let mask = numbers
            .lines()
            .filter_map(|number| number.parse().ok())
            .fold(0, |mask, number| mask | bit(number));
        Some(Self { mask })
    }
}

fn bit(number: u8) -> u64 {
    1_u64.checked_shl(u32::from(number).saturating_sub(1)).unwrap_or(0)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const HANGUP: u8 = 1;
    const INTERRUPT: u8 = 2;
    const QUIT: u8 = 3;
    const TERMINATE: u8 = 15;

    #[test]
    fn the_file_of_linux_is_read() {
        let status = "Name:\tmz\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        let ignored = IgnoredSignals::of_status(status).expect("it has the line");
        assert!(ignored.contains(HANGUP));
        assert!(!ignored.contains(INTERRUPT) && !ignored.contains(TERMINATE));
        assert_eq!(IgnoredSignals::of_status("Name:\tmz\n"), None);
    }

    #[test]
    fn a_shell_tells_the_same() {
        let ignoring = |signals: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("trap '' {signals}; exec sh \"$@\""), "sh"]);
            IgnoredSignals::of_shell(&mut shell).expect("there is a shell")
        };
        let hangup = ignoring("HUP");
        assert!(hangup.contains(HANGUP) && !hangup.contains(TERMINATE), "{hangup:?}");
        let all = ignoring("HUP INT QUIT TERM");
        for signal in [HANGUP, INTERRUPT, QUIT, TERMINATE] {
            assert!(all.contains(signal), "{signal}");
        }
    }
}
