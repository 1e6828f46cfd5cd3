//! What hostile bytes are tried on: the fuzz targets, and the protocol's tests under the address sanitizer.
//!
//! Both run on the stable toolchain. The fuzzer is LLVM's own, which the crate libfuzzer-sys compiles, and its
//! instrumentation are passes that the stable compiler has; the sanitizer is asked for as the toolchain's own build does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use crate::process::{Failure, Outcome, read, run};

/// The fuzz targets, each the name of a module in `fuzz/src`.
pub(crate) const TARGETS: &[&str] = &["frames", "hello", "query", "typed", "values", "words", "zmtp"];

/// How long each target runs as a part of all tests.
const SHORT: Duration = Duration::from_secs(6);

/// Building takes no longer, and a target no longer than it was given and this.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// What tells the fuzzer which ways through the code an input takes.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
const SANITIZER: &str = "-Zsanitizer=address";

/// How thoroughly the targets are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// The protocol alone, as quickly as that goes.
    Quick,
    /// With the values of the face, and under the address sanitizer.
    Thorough,
}

/// Runs every target for a moment, two at a time, on what was kept of earlier runs and on what it makes up.
pub(crate) fn fuzz_briefly(root: &Path, target: &Path) -> Outcome {
    let fuzzer = Fuzzer::build(root, target, Build::Quick)?;
    for pair in TARGETS.chunks(2) {
        thread::scope(|scope| {
            let runs: Vec<_> =
                pair.iter().map(|name| scope.spawn(|| fuzzer.run(name, SHORT, Stdio::null()))).collect();
            let ended = runs.into_iter().map(|run| {
                run.join().unwrap_or_else(|_| Err(Failure("a thread of this task has panicked".into())))
            });
            ended.collect::<Outcome<Vec<()>>>()
        })?;
    }
    Ok(())
}

/// Runs one target, or one after the other, for so long each.
pub(crate) fn fuzz(root: &Path, target: &Path, only: Option<&str>, each: Duration) -> Outcome {
    let chosen: Vec<&str> =
        TARGETS.iter().copied().filter(|name| only.is_none_or(|only| only == *name)).collect();
    if chosen.is_empty() {
        return Err(Failure(format!("there is no such target; there are {}", TARGETS.join(", "))));
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
    // Each frame of the stack is several times as large.
    run(command.env("RUST_MIN_STACK", "16777216"), PATIENCE)
}

/// Why there can be no fuzzing and no sanitizer here, if so.
pub(crate) fn obstacle() -> Option<String> {
    match host() {
        Ok(host) if host.ends_with("linux-gnu") => None,
        Ok(host) => Some(format!("it is set up for Linux with glibc, and this is {host}")),
        Err(failure) => Some(failure.0),
    }
}

/// The targets, built.
struct Fuzzer {
    /// Where they are.
    bins: PathBuf,
    /// What was kept of earlier runs, in the project.
    corpus: PathBuf,
    /// What was found since, and bytes that broke something.
    found: PathBuf,
    /// What every run begins with.
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
        let cannot = |error| Failure(format!("cannot make {}: {error}", found.display()));
        fs::create_dir_all(&found).map_err(cannot)?;
        fs::create_dir_all(self.seeds.join(name)).map_err(cannot)?;
        let mut command = Command::new(self.bins.join(name));
        command.arg(&found).arg(self.corpus.join(name)).arg(self.seeds.join(name));
        command.arg(format!("-max_total_time={}", time.as_secs()));
        command.arg(format!("-artifact_prefix={}", broken.display()));
        command.args(["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        // It writes them before it reads them: made by meshzero itself, they follow every change of the protocol.
        command.env("MESHZERO_FUZZ_SEEDS", &self.seeds);
        // Its sanitizer is without the one for leaks, which needs more rights than a container has.
        command.env("ASAN_OPTIONS", "detect_leaks=0");
        run(command.stderr(output), time + PATIENCE).map_err(|Failure(why)| {
            let again = "what broke it lies beside";
            Failure(format!("{why}; {again} {}: cargo xtask fuzz {name} shows it", broken.display()))
        })
    }
}

/// Cargo, with flags for what is built for the host but not for what builds it.
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
    host.map(str::to_owned).ok_or_else(|| Failure("rustc does not say what it runs on".into()))
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
