//! Compares meshzero with other libraries: the same cases, in turns, each contestant as two processes over 127.0.0.1.

mod builds;
mod case;
mod contestant;
mod machine;
mod process;
mod report;
mod run;
mod table;
mod target;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use peers_common::Result;

use builds::Profile;
use case::Case;
use contestant::{ALL_CONTESTANTS, Contestant};
use report::Report;
use run::Times;

/// Compares meshzero with other libraries, on this machine, in one run.
#[derive(Debug, Parser)]
struct Arguments {
    /// Contestants, by their ids or the beginnings of these up to a hyphen: meshzero,bare-tokio. All if missing.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Cases, whose names may end with a star: oneway64,rtt-*. All if missing.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// The number of rounds; the tables show medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The length of the measured window of one case.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// The time of the load before the window.
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// One round of half a second each, to see that everything works.
    #[arg(long)]
    quick: bool,
    /// The file for all results as JSON.
    #[arg(long, default_value = "peers.json")]
    json: PathBuf,
    /// The profiles in which the contestants are built; each case is run in all of them, in turns.
    #[arg(long, value_delimiter = ',', default_value = "default,lto")]
    profiles: Vec<Profile>,
    /// Uses the programs as they were built.
    #[arg(long)]
    no_build: bool,
    /// Lists contestants and cases, and measures nothing.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match compare(Arguments::parse()) {
        Ok(complete) if complete => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, and returns whether every case of every contestant was completed.
fn compare(arguments: Arguments) -> Result<bool> {
    let named = |case: &Case| arguments.cases.iter().any(|pattern| contestant::matches(pattern, case.name));
    let mut cases = case::all();
    cases.retain(|case| arguments.cases.is_empty() || named(case));
    let mut contestants = ALL_CONTESTANTS.to_vec();
    contestants.retain(|one| one.is_one_of(&arguments.only) && cases.iter().any(|case| one.does(case.name)));
    if arguments.list {
        list(&contestants, &cases);
        return Ok(true);
    }
    if contestants.is_empty() {
        return Err("no contestant supports such a case; see --list".into());
    }
    let (rounds, measure, warm_up) = if arguments.quick {
        (1, 0.5, 0.2)
    } else {
        (arguments.rounds, arguments.seconds, arguments.warm_up)
    };
    let times = Times { warm_up_ms: millis(warm_up)?, measure_ms: millis(measure)? };
    let mut report = Report::new(times, rounds);
    if !arguments.no_build {
        build(&arguments.profiles, &mut contestants, &mut report);
    }
    for round in 1..=rounds {
        for case in &cases {
            for contestant in contestants.iter().filter(|contestant| contestant.does(case.name)) {
                for &profile in &arguments.profiles {
                    eprint!(
                        "round {round} of {rounds}: {:<16} {:<18} {profile:<8?} ",
                        case.name, contestant.id
                    );
                    let measured = run::run(&profile.programs()?, contestant, case, times);
                    eprintln!("{}", table::in_short(case, &measured));
                    report.add(contestant, case, profile, measured);
                }
            }
        }
    }
    println!("{}", table::markdown(&report, &contestants, &arguments.profiles));
    if let Some(&profile) = arguments.profiles.first() {
        println!("{}", target::markdown(&report, profile));
    }
    report.write(&arguments.json)?;
    eprintln!("all figures are in {}", arguments.json.display());
    Ok(report.is_complete())
}

fn build(profiles: &[Profile], contestants: &mut Vec<Contestant>, report: &mut Report) {
    let mut packages: Vec<&str> = contestants.iter().map(|contestant| contestant.package).collect();
    packages.sort_unstable();
    packages.dedup();
    for package in packages {
        eprintln!("building {package}");
        if let Err(error) = profiles.iter().try_for_each(|profile| profile.build(package)) {
            contestants.retain(|contestant| contestant.package != package);
            report.leave_out(package, &error.to_string());
        }
    }
}

fn millis(seconds: f64) -> Result<u64> {
    let millis = seconds * 1_000.0;
    if (1.0..=600_000.0).contains(&millis) {
        Ok(millis as u64)
    } else {
        Err("a time of up to ten minutes".into())
    }
}

fn list(contestants: &[Contestant], cases: &[Case]) {
    for contestant in contestants {
        println!("{:<18} {}", contestant.id, contestant.title);
    }
    println!();
    for case in cases {
        println!("{:<18} {:?}, {} bytes", case.name, case.load, case.size);
    }
}
