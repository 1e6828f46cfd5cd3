//! The age of a subscriber's newest state when its host loses the network for a while: `cargo bench --bench staleness`.
//!
//! Publisher and subscriber are on two hosts, which are network namespaces, and for a while all packets between them are lost.
//! The same outages affect a subscription whose connection is raced, one without racing, bare TCP and bare UDP, which shows how
//! long the network was down. It needs root; without, it prints that and does nothing. The program starts itself again as the
//! other processes, whose times are compared by the clock of the machine that they share.
#![allow(clippy::print_stdout)]

mod bare;
mod listener;
mod mesh;

use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meshzero_testing::{Host, Lan, Process, require};

/// The lengths of the outages in milliseconds.
const OUTAGES: [u64; 3] = [500, 1_500, 4_000];
/// Outages of each length.
const RUNS: u64 = 6;
/// The interval of 60 states a second, and their length.
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 60);
const STATE_BYTES: usize = 300;
/// The timeout of each step.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names the role of a process that the bench has started.
const ROLE: &str = "STALENESS_BENCH_ROLE";

/// The listeners: name, role, and limit of the dials beside the connection.
const LISTENERS: [(&str, &str, &str); 4] = [
    ("bare UDP", "listen udp", ""),
    ("racing", "listen", "100"),
    ("no racing", "listen", "0"),
    ("bare TCP", "listen bare", ""),
];

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    match (std::env::var(ROLE).unwrap_or_default().as_str(), &arguments[..]) {
        ("", _) => measure(),
        ("publish", _) => mesh::publish(),
        ("publish bare", _) => bare::publish(),
        ("listen", [at, races]) => mesh::listen(at, races.parse().expect("a number")),
        ("listen bare", [at, _]) => bare::listen(at),
        ("listen udp", [at, _]) => bare::listen_udp(at),
        (other, _) => panic!("no such role: {other}"),
    }
}

fn measure() {
    if !require::netns() {
        println!("this bench needs root for its networks of namespaces: nothing was measured");
        return;
    }
    let lan = Lan::new(2);
    let (mut meshed, mut bare) =
        (start(lan.host(0), "publish", &[]), start(lan.host(0), "publish bare", &[]));
    let (meshed_at, bare_at) = (address(&mut meshed), address(&mut bare));
    let mut listeners = LISTENERS.map(|(_, role, races)| {
        let at = if role == "listen" { &meshed_at } else { &bare_at };
        start(lan.host(1), role, &[at, races])
    });
    for listener in &mut listeners {
        listener.expect_line("listening", PATIENCE);
    }
    println!(
        "largest age of the newest state, {STATE_BYTES} B at 60 Hz, in {RUNS} outages, each a tenth longer than the one before:"
    );
    println!("by UDP, and by how much more otherwise, median and worst, in ms");
    println!("| outage | {} |", LISTENERS.map(|(name, ..)| name).join(" | "));
    println!("|---|{}", "---|".repeat(LISTENERS.len()));
    for outage in OUTAGES {
        let mut ages = [(); LISTENERS.len()].map(|()| Vec::new());
        for run in 0..RUNS {
            let outage = Duration::from_millis(outage + outage * run / 10);
            thread::sleep(Duration::from_secs(1));
            for listener in &mut listeners {
                worst(listener);
            }
            lan.hosts().iter().for_each(|host| host.loss_of_all(1.0));
            thread::sleep(outage);
            lan.hosts().iter().for_each(|host| host.loss_of_all(0.0));
            // Longer than TCP takes at worst.
            thread::sleep(outage + Duration::from_secs(1));
            let away = worst(&mut listeners[0]);
            ages[0].push(away);
            for (ages, listener) in ages.iter_mut().zip(&mut listeners).skip(1) {
                ages.push(worst(listener).saturating_sub(away));
            }
        }
        let cells = ages.map(|mut ages| {
            ages.sort_unstable();
            format!("{} / {}", ages[ages.len() / 2], ages[ages.len() - 1])
        });
        println!("| {} | {} |", outage, cells.join(" | "));
    }
}

fn start(host: &Host, role: &str, arguments: &[&str]) -> Process {
    let program = std::env::current_exe().expect("this program");
    let mut command: Command = host.command(program);
    Process::start(command.args(arguments).env(ROLE, role))
}

fn address(process: &mut Process) -> String {
    process.expect_line("at ", PATIENCE).trim_start_matches("at ").to_owned()
}

/// The largest age of a listener's newest state since the last question, in milliseconds.
fn worst(listener: &mut Process) -> u64 {
    listener.send_line("worst");
    let line = listener.expect_line("worst ", PATIENCE);
    line.trim_start_matches("worst ").parse().expect("a number")
}

/// The time on the clock that all processes share.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}
