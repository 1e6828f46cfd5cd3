//! Passes the commit to the program, where git is available.

use std::path::Path;
use std::process::Command;

fn main() {
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=MZ_COMMIT={commit}");
    println!("cargo::rerun-if-changed=build.rs");
    // The log of HEAD changes with every commit; a path that is not there would rebuild each time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"])
        && Path::new(&log).exists()
    {
        println!("cargo::rerun-if-changed={log}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let told = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !told.is_empty()).then_some(told)
}
