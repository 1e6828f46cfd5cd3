//! A wall clock that a test can move, for the programs that are started with it: libfaketime, with the monotonic clocks
//! unchanged.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A wall clock. It is right until it is [set](Self::set).
#[derive(Debug)]
pub struct WallClock {
    library: String,
    file: PathBuf,
}

impl WallClock {
    /// A clock that is right.
    ///
    /// # Panics
    /// If there is no libfaketime: check [`require::faketime`](crate::require::faketime) first.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let library = library().unwrap_or_else(|reason| panic!("{reason}"));
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("meshzero-test-clock-{}-{number}", std::process::id());
        let clock = Self { library, file: std::env::temp_dir().join(name) };
        clock.set("+0");
        clock
    }

    /// Sets its offset from the right time, in seconds: `+86400`, `-86400`, `+0`.
    ///
    /// # Panics
    /// If the offset cannot be written.
    #[track_caller]
    pub fn set(&self, offset: &str) {
        // Renamed in one step, so that nobody reads half of it.
        let next = self.file.with_extension("next");
        let set = fs::write(&next, format!("{offset}\n")).and_then(|()| fs::rename(&next, &self.file));
        set.unwrap_or_else(|error| panic!("cannot set the clock in {}: {error}", self.file.display()));
    }

    /// Makes a program that is about to be started use this clock.
    pub fn apply_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_CACHE_DURATION", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DONT_RESET", "1");
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        // A leftover is a file of a few bytes in a folder for temporary files.
        drop(fs::remove_file(&self.file));
    }
}

/// Checks that there is a libfaketime. The error is the reason why not.
pub(crate) fn available() -> Result<(), String> {
    library().map(drop)
}

/// The library, as the `faketime` program would preload it.
fn library() -> Result<String, String> {
    let output = Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output();
    let output = output.map_err(|error| format!("cannot start faketime: {error}"))?;
    let library = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && !library.is_empty() {
        Ok(library)
    } else {
        Err(format!("faketime names no library: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}
