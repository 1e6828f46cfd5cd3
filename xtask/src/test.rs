//! `cargo xtask test`: every check and every test, those first that find a failure soonest.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, fs};

use crate::capability::{Capability, python_in, venv};
use crate::metadata::Metadata;
use crate::process::{Failure, Outcome, run};
use crate::report::{Report, Skip};
use crate::sandbox::Sandbox;
use crate::{
    compiler, cross, dependencies, folders, hostile, hygiene, policy, publishing, python, references, setup,
    sizes, stair, words,
};

/// The extent of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything.
    Full,
    /// Without setting anything up, and without the documentation.
    Quick,
}

/// The timeout of a step of cargo.
const STEP: Duration = Duration::from_secs(30 * 60);

/// Runs all steps and prints the report.
pub(crate) fn start(scope: Scope) -> ExitCode {
    let mut report = Report::default();
    let outcome = all(&mut report, scope);
    println!("{}", report.summary());
    match outcome {
        Ok(()) => {
            println!("all checks passed");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn all(report: &mut Report, scope: Scope) -> Outcome {
    report.step("fetch dependencies", || {
        cargo(&["fetch", "--locked"])?;
        cargo(&["fetch", "--locked", "--manifest-path", FUZZ])
    })?;
    let metadata = Metadata::load()?;
    let scene = prepare(report, scope, &metadata)?;

    report.step("formatting", || {
        cargo(&["fmt", "--all", "--check"])?;
        cargo(&["fmt", "--manifest-path", FUZZ, "--check"])
    })?;
    report.step("dependencies", || check_dependencies(&metadata))?;
    report.step("the stair", || check_stair(&metadata))?;
    report.step("hygiene", || check_hygiene(&metadata))?;
    report.step("words", || none_of(&words::violations(&metadata)?))?;
    report.step("packages", || {
        none_of(&publishing::violations(&metadata))?;
        publishing::package()
    })?;
    report.step("clippy", || {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            ALL_FEATURES,
            LOCKED,
            OFFLINE,
            "--",
            "-D",
            "warnings",
        ])
    })?;
    report
        .step("build", || cargo(&["build", "--workspace", "--all-targets", ALL_FEATURES, LOCKED, OFFLINE]))?;
    report.step("the compiler's explanations", || {
        compiler::check(&metadata, &["--workspace", "--all-targets", ALL_FEATURES, LOCKED, OFFLINE])
    })?;
    let tested = report.step("tests", || scene.run_tests());
    scene.collect_skips(report)?;
    tested?;
    if scene.present.contains(&Capability::Wheel) {
        python::test(report, &metadata, &scene.python, scene.sandbox)?;
    }
    if scope == Scope::Full {
        if scene.present.contains(&Capability::Cross) {
            cross::all(report, &metadata, scene.sandbox)?;
        }
        if scene.present.contains(&Capability::Fuzzing) {
            report.step("fuzzing", || hostile::fuzz_briefly(&metadata.root, &metadata.target))?;
            report.step("address sanitizer", || hostile::sanitize(&metadata.target))?;
        }
        report.step("documentation tests", || {
            scene.cargo(&["test", "--doc", "--workspace", ALL_FEATURES, LOCKED, OFFLINE])
        })?;
        report.step("documentation", || {
            let arguments = ["doc", "--no-deps", "--workspace", ALL_FEATURES, LOCKED, OFFLINE];
            run(Command::new(env!("CARGO")).args(arguments).env("RUSTDOCFLAGS", "-D warnings"), STEP)
        })?;
    }
    Ok(())
}

const ALL_FEATURES: &str = "--all-features";
const LOCKED: &str = "--locked";
const OFFLINE: &str = "--offline";
const FUZZ: &str = "fuzz/Cargo.toml";

fn prepare(report: &mut Report, scope: Scope, metadata: &Metadata) -> Outcome<Scene> {
    let venv = venv(&metadata.target);
    if scope == Scope::Full {
        let skipped = report.step("set up", || {
            let mut skipped = setup::install(&venv);
            skipped.extend(setup::install_for_cross(&metadata.target));
            Ok(skipped)
        })?;
        // A CI server must not quietly test less than it could.
        let must_succeed = env::var_os("CI").is_some() && setup::has_rights();
        let failed = skipped.first().filter(|_| must_succeed);
        if let Some(Skip { what, reason }) = failed {
            return Err(Failure(format!("{what}: {reason}")));
        }
        skipped.into_iter().for_each(|skip| report.skip(skip));
    }
    let sandbox = Sandbox::find();
    if let Some(skip) = sandbox.weakness() {
        report.skip(skip);
    }
    let mut present = Vec::new();
    for capability in Capability::ALL {
        match capability.probe(sandbox, &metadata.target) {
            Ok(()) => present.push(capability),
            Err(skip) => report.skip(skip),
        }
    }
    let skips = metadata.target.join("test-skips");
    fs::write(&skips, "").map_err(|error| Failure(format!("cannot write {}: {error}", skips.display())))?;
    Ok(Scene { sandbox, present, python: python_in(&venv), skips })
}

/// The environment that the tests run in.
struct Scene {
    sandbox: Sandbox,
    present: Vec<Capability>,
    /// The interpreter that has the packages from PyPI.
    python: PathBuf,
    /// The file to which a skipped test appends a line.
    skips: PathBuf,
}

impl Scene {
    /// Runs all tests but the documentation tests.
    fn run_tests(&self) -> Outcome {
        if self.present.contains(&Capability::Nextest) {
            return self.cargo(&["nextest", "run", "--workspace", ALL_FEATURES, LOCKED, OFFLINE]);
        }
        self.cargo(&[
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
            ALL_FEATURES,
            LOCKED,
            OFFLINE,
        ])
    }

    /// Runs cargo inside the sandbox, with the capabilities that the tests must find there.
    fn cargo(&self, arguments: &[&str]) -> Outcome {
        let required: Vec<&str> = self.present.iter().map(|capability| capability.name()).collect();
        let mut command = self.sandbox.command(env!("CARGO"));
        command
            .args(arguments)
            .env("MESHZERO_TEST_REQUIRE", required.join(","))
            .env("MESHZERO_TEST_PYTHON", &self.python)
            .env("MESHZERO_TEST_SKIPS", &self.skips);
        run(&mut command, STEP)
    }

    /// Adds the skips of the tests to the report.
    fn collect_skips(&self, report: &mut Report) -> Outcome {
        let text = fs::read_to_string(&self.skips)
            .map_err(|error| Failure(format!("cannot read {}: {error}", self.skips.display())))?;
        for (what, reason) in text.lines().filter_map(|line| line.split_once(": ")) {
            report.skip(Skip { what: what.to_owned(), reason: reason.to_owned() });
        }
        Ok(())
    }
}

fn check_dependencies(metadata: &Metadata) -> Outcome {
    let (library, most) = policy::LIBRARY;
    if let Some(crates) = dependencies::count(metadata, library) {
        println!("{library} depends on {crates} crates, itself included; at most {most} are allowed");
    }
    none_of(&dependencies::violations(metadata))
}

fn check_stair(metadata: &Metadata) -> Outcome {
    let mut found = stair::violations(metadata);
    found.extend(stair::foreign_words(&metadata.root)?);
    found.extend(folders::violations(policy::FOLDERS, &hygiene::rust_files(&metadata.root)?));
    none_of(&found)
}

fn check_hygiene(metadata: &Metadata) -> Outcome {
    let (rust_files, pages) =
        (hygiene::rust_files(&metadata.root)?, hygiene::files(&metadata.root, &[".md"])?);
    let mut found = hygiene::violations(&rust_files);
    found.extend(references::violations(&pages, &rust_files, |path| metadata.root.join(path).exists()));
    found.extend(sizes::violations(&hygiene::files(&metadata.root, &[".rs", ".py", ".pyi"])?));
    none_of(&found)
}

pub(crate) fn none_of(violations: &[String]) -> Outcome {
    if violations.is_empty() { Ok(()) } else { Err(Failure(violations.join("\n"))) }
}

fn cargo(arguments: &[&str]) -> Outcome {
    run(Command::new(env!("CARGO")).args(arguments), STEP)
}
