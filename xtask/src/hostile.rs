//! Tests with hostile bytes: the fuzz targets, and the protocol's tests under the address sanitizer.
//!
//! Both run on the stable toolchain. The fuzzer is LLVM's own, which the crate libfuzzer-sys compiles, and its instrumentation is
//! a set of passes of the stable compiler; the sanitizer is enabled as the toolchain's own build enables it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use crate::process::{Failure, Outcome, read, run};

/// The fuzz targets, each the name of a module in `fuzz/src`.
pub(crate) const TARGETS: &[&str] = &["frames", "hello", "query", "typed", "values", "words", "zmtp"];

/// The time for which each target runs as a part of all tests.
const SHORT: Duration = Duration::from_secs(6);

/// The timeout of a build, and of a target beyond the time that it is to run.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// The flags that show the fuzzer the code paths of an input.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
const SANITIZER: &str = "-Zsanitizer=address";

/// The thoroughness of the build of the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// The protocol alone, as fast as possible.
    Quick,
    /// With the dynamic values of the public API, and under the address sanitizer.
    Thorough,
}

/// Runs every target for a moment, two at a time, on the inputs of earlier runs and on generated ones.
pub(crate) fn fuzz_briefly(root: &Path, target: &Path) -> Outcome {
    let fuzzer = Fuzzer::build(root, target, Build::Quick)?;
    for pair in TARGETS.chunks(2) {
        thread::scope(|scope| {
            let runs: Vec<_> =
                pair.iter().map(|name| scope.spawn(|| fuzzer.run(name, SHORT, Stdio::null()))).collect();
            let ended = runs.into_iter().map(|run| {
                run.join().unwrap_or_else(|_| Err(Failure("a thread of this task panicked".into())))
            });
            ended.collect::<Outcome<Vec<()>>>()
        })?;
    }
    Ok(())
}

/// Runs one target, or all in turn, for this long each.
pub(crate) fn fuzz(root: &Path, target: &Path, only: Option<&str>, each: Duration) -> Outcome {
    let chosen: Vec<&str> =
        TARGETS.iter().copied().filter(|name| only.is_none_or(|only| only == *name)).collect();
    if chosen.is_empty() {
        return Err(Failure(format!("no such target; the targets are {}", TARGETS.join(", "))));
    }
    let fuzzer = Fuzzer::build(root, target, Build::Thorough)?;
    for name in chosen {
        println!("==> {name}");
        fuzzer.run(name, each, Stdio::inherit())?;
    }
    Ok(())
}

/// Runs the tests of the protocol under the address sanitizer.
pub(crate) fn sanitize(target: &Path) -> Outcome {
    let host = host()?;
    let folder = target.join("asan");
    let mut command = cargo(&host, SANITIZER);
    command.args(["test", "--quiet", "--locked", "--package", "meshzero-proto", "--lib", "--tests"]);
    command.args(["--target", &host, "--target-dir"]).arg(folder);
    // Stack frames are several times as large under the sanitizer.
    run(command.env("RUST_MIN_STACK", "16777216"), PATIENCE)
}

/// Returns the reason for which fuzzing and the sanitizer are impossible here, if there is one.
pub(crate) fn unavailable_reason() -> Option<String> {
    match host() {
        Ok(host) if host.ends_with("linux-gnu") => None,
        Ok(host) => Some(format!("it needs Linux with glibc, and this is {host}")),
        Err(failure) => Some(failure.0),
    }
}

/// The built targets.
struct Fuzzer {
    /// The folder of the programs.
    bins: PathBuf,
    /// The inputs of earlier runs, in the project.
    corpus: PathBuf,
    /// The inputs found since, and those that broke something.
    found: PathBuf,
    /// The inputs that every run begins with.
    seeds: PathBuf,
}

impl Fuzzer {
    fn build(root: &Path, target: &Path, build: Build) -> Outcome<Self> {
        let host = host()?;
        let (folder, flags, features) = match build {
            Build::Quick => ("fuzz-quick", COVERAGE.to_owned(), ""),
            Build::Thorough => ("fuzz", format!("{COVERAGE} {SANITIZER}"), "face"),
        };
        let folder = target.join(folder);
        let mut command = cargo(&host, &flags);
        command.args(["build", "--quiet", "--locked", "--release", "--bins"]);
        command.args(["--features", features, "--target", &host, "--target-dir"]).arg(&folder);
        command.arg("--manifest-path").arg(root.join("fuzz/Cargo.toml"));
        run(&mut command, PATIENCE)?;
        let bins = folder.join(host).join("release");
        let seeds = target.join("fuzz-seeds");
        Ok(Self { bins, corpus: root.join("fuzz/corpus"), found: target.join("fuzz-found"), seeds })
    }

    fn run(&self, name: &str, time: Duration, output: Stdio) -> Outcome {
        let found = self.found.join(name);
        let broken = self.found.join(format!("{name}-"));
        let cannot = |error| Failure(format!("cannot create {}: {error}", found.display()));
        fs::create_dir_all(&found).map_err(cannot)?;
        fs::create_dir_all(self.seeds.join(name)).map_err(cannot)?;
        let mut command = Command::new(self.bins.join(name));
        command.arg(&found).arg(self.corpus.join(name)).arg(self.seeds.join(name));
        command.arg(format!("-max_total_time={}", time.as_secs()));
        command.arg(format!("-artifact_prefix={}", broken.display()));
        command.args(["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        // Each target writes its seeds before it reads them: made by meshzero itself, they follow every change of the protocol.
        command.env("MESHZERO_FUZZ_SEEDS", &self.seeds);
        // Without the sanitizer for leaks, which needs more rights than a container has.
        command.env("ASAN_OPTIONS", "detect_leaks=0");
        run(command.stderr(output), time + PATIENCE).map_err(|Failure(reason)| {
            let again = "the failing input is at";
            Failure(format!(
                "{reason}; {again} {}: to reproduce, run cargo xtask fuzz {name}",
                broken.display()
            ))
        })
    }
}

/// Cargo with flags for the programs of the host, and not for build scripts and macros.
fn cargo(host: &str, flags: &str) -> Command {
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", host.replace('-', "_").to_uppercase());
    let mut command = Command::new(env!("CARGO"));
    command.env(variable, flags).env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTFLAGS");
    command
}

/// The system that the compiler runs on.
fn host() -> Outcome<String> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let told = read(Command::new(rustc).arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure("rustc does not name its host".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_its_module_its_program_and_bytes_to_begin_with() {
        let fuzz =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project").join("fuzz");
        let mut programs: Vec<_> = fs::read_dir(fuzz.join("fuzz_targets"))
            .expect("the targets are there")
            .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
            .collect();
        programs.sort();
        assert_eq!(programs, TARGETS.iter().map(|name| format!("{name}.rs")).collect::<Vec<_>>());
        for name in TARGETS {
            assert!(fuzz.join(format!("src/{name}.rs")).is_file(), "{name}");
            let kept = fs::read_dir(fuzz.join("corpus").join(name)).expect("some is kept").count();
            assert!((10..=100).contains(&kept), "{name}: {kept} files");
        }
    }
}
