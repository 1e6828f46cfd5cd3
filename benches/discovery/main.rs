//! The latency of finding services and of detecting their loss, between processes on loopback, and the traffic that this causes
//! between hosts: `cargo bench --bench discovery`.
//!
//! The program starts itself again as the other processes. Times of two processes are compared by the clock of the host they
//! share.
#![allow(clippy::print_stdout)]

mod crowd;
mod report;
mod rig;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use report::Row;
use rig::{Event, Rig};

/// Values of each median.
const RUNS: usize = 50;
/// The timeout of each step.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    // A bench that hangs fails.
    std::thread::spawn(|| {
        std::thread::sleep(PATIENCE * 10);
        eprintln!("the bench did not end in time");
        std::process::exit(1);
    });
    let role = std::env::var("DISCOVERY_BENCH_ROLE").unwrap_or_default();
    match role.as_str() {
        "" => measure(),
        "watch" => watch(),
        "offer" => offer(),
        "find" => find(),
        "crowd" => crowd::member(),
        other => panic!("no such role: {other}"),
    }
}

/// Measures everything, or the part that the first argument names.
fn measure() {
    type Measure = fn() -> Vec<Row>;
    let measures: [(&str, Measure); 5] = [
        ("new", new_service),
        ("cold", cold_discover),
        ("killed", killed),
        ("crowd", crowd::all_know_all),
        ("hosts", crowd::on_hosts),
    ];
    let chosen = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let chosen = measures.iter().filter(|(name, _)| chosen.as_deref().is_none_or(|chosen| chosen == *name));
    report::print(chosen.flat_map(|(_, measure)| measure()));
}

/// The time from `advertise` in one process to the event in another that watches.
fn new_service() -> Vec<Row> {
    let mesh = own_mesh();
    let mut watcher = Other::start("watch", &mesh);
    watcher.expect("ready");
    let rig = Rig::join(&mesh);
    let mut times = Vec::new();
    for run in 0..RUNS {
        let begun = now();
        let service = rig.advertise(&format!("new/{run}"));
        let heard = watcher.expect(&format!("up new/{run}"));
        times.push(heard.saturating_sub(begun));
        drop(service);
    }
    rig.leave();
    vec![Row::of("a new service is seen by a watcher", times).median_below(Duration::from_millis(3))]
}

/// The time from `discover` in a process without any services to a connected service, again and again, so that each question
/// comes right after one of another process.
fn cold_discover() -> Vec<Row> {
    let mesh = own_mesh();
    let mut offering = Other::start("offer", &mesh);
    offering.expect("ready");
    let mut cold = Vec::new();
    let mut joined = Vec::new();
    for _ in 0..RUNS {
        let mut finder = Other::start("find", &mesh);
        cold.push(Duration::from_nanos(finder.word("found")));
        joined.push(Duration::from_nanos(finder.word("joined")));
        finder.end();
    }
    offering.end();
    vec![
        Row::of("a running service is discovered cold", cold).median_below(Duration::from_millis(3)),
        Row::of("  the same with joining the mesh", joined),
    ]
}

/// The time from `kill -9` to the event in another process that watches: with a connection to the victim, and right after it was
/// discovered.
fn killed() -> Vec<Row> {
    // A connection to a discovered node is started within a tenth of a second.
    let connected = killed_after(Duration::from_millis(400));
    let unconnected = killed_after(Duration::ZERO);
    let aim = Duration::from_secs(2);
    vec![
        Row::of("the loss of a killed process, seen by a watcher", connected).most_below(aim),
        Row::of("  the same right after it has started", unconnected).most_below(aim),
    ]
}

fn killed_after(pause: Duration) -> Vec<Duration> {
    let mesh = own_mesh();
    let rig = Rig::join(&mesh);
    let mut watcher = rig.watch();
    let mut seen = Vec::new();
    for _ in 0..10 {
        let mut victim = Other::start("offer", &mesh);
        victim.expect("ready");
        watcher.next(|event| matches!(event, Event::Up(_)));
        std::thread::sleep(pause);
        let begun = now();
        victim.kill();
        watcher.next(|event| matches!(event, Event::Down(_)));
        seen.push(now().saturating_sub(begun));
    }
    // `discover` detects the loss by itself, without an announcement.
    let asking = Rig::join(&mesh);
    let mut victim = Other::start("offer", &mesh);
    victim.expect("ready");
    asking.discover("bench/offered");
    victim.kill();
    assert!(asking.detects_loss_of("bench/offered"), "a killed service is discovered");
    asking.leave();
    rig.leave();
    seen
}

fn watch() {
    let rig = Rig::join(&std::env::var("DISCOVERY_BENCH_MESH").expect("set by the parent"));
    let mut watcher = rig.watch();
    say("ready");
    loop {
        if let Event::Up(name) = watcher.next(|_| true) {
            say(&format!("up {name}"));
        }
    }
}

fn offer() {
    let rig = Rig::join(&std::env::var("DISCOVERY_BENCH_MESH").expect("set by the parent"));
    let _service = rig.advertise("bench/offered");
    say("ready");
    wait_for_end();
    rig.leave();
}

fn find() {
    let begun = std::time::Instant::now();
    let rig = Rig::join(&std::env::var("DISCOVERY_BENCH_MESH").expect("set by the parent"));
    let joined = std::time::Instant::now();
    rig.discover("bench/offered");
    println!("found {}", joined.elapsed().as_nanos());
    println!("joined {}", begun.elapsed().as_nanos());
    rig.leave();
}

fn say(word: &str) {
    println!("{word} {}", now().as_nanos());
    std::io::stdout().flush().expect("the parent listens");
}

/// Returns when the parent closes this process's input, or ends.
fn wait_for_end() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("input can be read");
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970")
}

fn this_program() -> std::path::PathBuf {
    std::env::current_exe().expect("this program has a path")
}

fn own_mesh() -> String {
    format!("bench {} {}", std::process::id(), now().as_nanos())
}

/// Another process of this bench. It is killed when dropped.
struct Other {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Other {
    fn start(role: &str, mesh: &str) -> Self {
        Self::start_by(Command::new(this_program()).env("DISCOVERY_BENCH_INTERFACES", "lo"), role, mesh)
    }

    /// As [`Other::start`], with a command that starts this program.
    fn start_by(command: &mut Command, role: &str, mesh: &str) -> Self {
        let mut child = command
            .env("DISCOVERY_BENCH_ROLE", role)
            .env("DISCOVERY_BENCH_MESH", mesh)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let input = child.stdin.take();
        Self { child, input, output }
    }

    /// The number behind the next line that begins with `word`.
    fn word(&mut self, word: &str) -> u64 {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("the child's output can be read");
            assert!(read > 0, "the child ended before it said {word:?}");
            if let Some(number) = line.trim_end().strip_prefix(word) {
                return number.trim().parse().expect("a number");
            }
        }
    }

    /// The time of the next line that begins with `word`.
    fn expect(&mut self, word: &str) -> Duration {
        Duration::from_nanos(self.word(word))
    }

    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was started here");
    }

    /// Lets the child leave gracefully.
    fn end(mut self) {
        self.input.take();
        self.child.wait().expect("it was started here");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}
