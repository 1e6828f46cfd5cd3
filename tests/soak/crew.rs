//! The programs of a soak, and the two accounts of their records: one for those whose links must last, and one for those whose
//! processes die.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use meshzero_testing::{
    Broken, FaultProxy, Links, Outcome, Promises, Record, Sockets, Tally, example, shut_down,
};

use crate::measure::Latencies;

/// The timeout of a program's start, and of its end.
const PATIENCE: Duration = Duration::from_secs(90);

/// The tolerance of deadlines on a busy machine.
const GRACE: Duration = Duration::from_secs(5);

/// All programs.
pub struct Crew {
    mesh: String,
    /// The service behind [`Crew::proxy`], which runs all the time.
    pub steady: Program,
    /// The proxy in front of the steady service.
    pub proxy: FaultProxy,
    steady_caller: Program,
    /// The caller that connects to the steady service without the proxy: over Unix sockets, and over TCP in between.
    near_caller: Program,
    steady_account: Account,
    /// The service under another name, which is killed or withdrawn and replaced by another.
    pub volatile: Option<Program>,
    volatile_caller: Program,
    /// Callers of the volatile service, each for some time.
    pub guests: Vec<Program>,
    volatile_account: Account,
    next: u64,
}

/// The results of all programs.
pub struct Ended {
    pub steady: (Tally, Result<(), Broken>),
    pub volatile: (Tally, Result<(), Broken>),
    /// The latencies of calls to the steady service.
    pub latencies: Latencies,
    /// Programs that did not end when they were told to.
    pub stuck: Vec<String>,
}

/// The checks and measurements of the records of some programs.
#[derive(Clone)]
pub struct Account(Arc<Mutex<Records>>);

struct Records {
    promises: Promises,
    latencies: Latencies,
    begun: Instant,
}

impl Account {
    fn new() -> Self {
        let kept = Records {
            promises: Promises::new(GRACE),
            latencies: Latencies::default(),
            begun: Instant::now(),
        };
        Self(Arc::new(Mutex::new(kept)))
    }

    fn note(&self, record: Record) {
        let mut kept = self.lock();
        if let Record::Ended { outcome: Outcome::Reply, took, .. } = record {
            let at = kept.begun.elapsed();
            kept.latencies.add(at, took);
        }
        kept.promises.record(record);
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, links: Links) -> (Tally, Result<(), Broken>) {
        let kept = self.lock();
        (kept.promises.tally(), kept.promises.verdict(links).map(drop))
    }
}

/// One program. Dropping it kills it.
pub struct Program {
    /// Its name in the report.
    pub name: String,
    /// Its number as a sender or as a server.
    number: u64,
    /// The address of its service, if it offers one.
    address: Option<SocketAddr>,
    child: Child,
    reader: Option<JoinHandle<()>>,
    told: mpsc::Receiver<String>,
}

impl Program {
    fn start(name: &str, number: u64, arguments: &[&str], account: &Account) -> Self {
        let mut command = Command::new(example("fault_program"));
        command.args(arguments).env("MESHZERO_INTERFACES", "lo");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // Its log would be longer than anything else.
        let mut child = command.stderr(Stdio::null()).spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
        let (tell, told) = mpsc::channel();
        let account = account.clone();
        let reader = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                match line.parse() {
                    Ok(record) => account.note(record),
                    // Nobody reads the lines that a program prints at its end.
                    Err(_) => drop(tell.send(line)),
                }
            }
        });
        Self { name: name.to_owned(), number, address: None, child, reader: Some(reader), told }
    }

    /// Starts a program that offers a service, and waits until it says at which address.
    fn serve(name: &str, number: u64, arguments: &[&str], account: &Account) -> Self {
        let mut program = Self::start(name, number, arguments, account);
        program.address = program.expect("at ").and_then(|address| address.parse().ok());
        program
    }

    /// Returns the address of its service.
    fn address(&self) -> SocketAddr {
        self.address.expect("a service says where it is")
    }

    /// Shuts down sockets of its service.
    pub fn shut_down(&self, sockets: &[Sockets]) {
        for sockets in sockets {
            shut_down(self.pid(), self.address(), *sockets);
        }
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that begins like this, and returns the rest of it.
    fn expect(&self, begin: &str) -> Option<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let line = self.told.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
            if let Some(rest) = line.strip_prefix(begin) {
                return Some(rest.trim().to_owned());
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal} is sent to {}", self.name);
    }

    /// Asks it to end.
    fn ask_to_end(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for the end of a program that was asked to end, and returns whether it did.
    fn ended(&mut self) -> bool {
        let is_closed = self.expect("closed").is_some();
        // A program that hangs is killed.
        drop(self.child.kill());
        self.reap();
        is_closed
    }

    /// Kills it and adds all records that it had printed.
    fn kill(&mut self) {
        drop(self.child.kill());
        self.reap();
    }

    fn reap(&mut self) {
        drop(self.child.wait());
        if let Some(reader) = self.reader.take() {
            reader.join().expect("what it said was understood");
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Crew {
    /// Starts all programs, and waits until they have found each other.
    pub fn start() -> Self {
        let mesh = format!("soak-{:016x}", fastrand::u64(..));
        let (steady_account, volatile_account) = (Account::new(), Account::new());
        let serve = ["serve", &mesh, "steady", "1", "publish=5", "panics=3001"];
        let steady = Program::serve("steady service", 1, &serve, &steady_account);
        let proxy = FaultProxy::in_front_of(steady.address());
        let target = proxy.address().to_string();
        let call = ["call", &mesh, &target, "1", "every=5", "allowed=60000", "most=200000", "listen=100"];
        let steady_caller = Program::start("steady caller", 1, &call, &steady_account);
        let target = steady.address().to_string();
        let call = ["call", &mesh, &target, "2", "every=5", "allowed=60000", "most=200000", "listen=110"];
        let near_caller = Program::start("near caller", 2, &call, &steady_account);
        let volatile = serve_volatile(&mesh, 2, &volatile_account);
        let call = ["call", &mesh, "volatile", "2", "every=5", "allowed=3000", "most=50000", "listen=200"];
        let volatile_caller = Program::start("volatile caller", 2, &call, &volatile_account);
        for caller in [&steady_caller, &near_caller, &volatile_caller] {
            caller.expect("found").expect("a caller finds its service");
        }
        Self {
            mesh,
            steady,
            proxy,
            steady_caller,
            near_caller,
            steady_account,
            volatile: Some(volatile),
            volatile_caller,
            guests: Vec::new(),
            volatile_account,
            next: 3,
        }
    }

    /// The programs that run all the time.
    pub fn watched(&self) -> impl Iterator<Item = (&str, u32)> {
        [&self.steady, &self.steady_caller, &self.near_caller, &self.volatile_caller]
            .into_iter()
            .map(|program| (program.name.as_str(), program.pid()))
    }

    /// Ends the volatile service, gracefully or not.
    pub fn end_volatile(&mut self, in_order: bool) {
        let Some(mut volatile) = self.volatile.take() else { return };
        if in_order {
            volatile.ask_to_end();
            assert!(volatile.ended(), "a service that is asked to end does");
        } else {
            volatile.kill();
        }
    }

    /// Starts another volatile service.
    pub fn begin_volatile(&mut self) {
        let number = self.number();
        self.volatile = Some(serve_volatile(&self.mesh, number, &self.volatile_account));
    }

    /// Adds a caller of the volatile service, without subscriptions.
    pub fn add_caller(&mut self) {
        let number = self.number();
        let sender = number.to_string();
        let call = ["call", &self.mesh, "volatile", &sender, "every=20", "allowed=2000", "most=5000"];
        self.guests.push(Program::start("guest", number, &call, &self.volatile_account));
    }

    /// Kills the oldest guest.
    pub fn kill_caller(&mut self) {
        if !self.guests.is_empty() {
            let mut guest = self.guests.remove(0);
            guest.kill();
            self.volatile_account.note(Record::Died { sender: guest.number });
        }
    }

    /// Ends all programs gracefully.
    pub fn finish(mut self) -> Ended {
        let mut stuck = Vec::new();
        let mut callers = vec![self.steady_caller, self.near_caller, self.volatile_caller];
        callers.append(&mut self.guests);
        let mut servers = vec![self.steady];
        servers.extend(self.volatile);
        callers.iter_mut().for_each(Program::ask_to_end);
        for caller in &mut callers {
            if caller.expect("finished").is_none() || !caller.ended() {
                stuck.push(caller.name.clone());
            }
        }
        servers.iter_mut().for_each(Program::ask_to_end);
        for server in &mut servers {
            if !server.ended() {
                stuck.push(server.name.clone());
            }
        }
        Ended {
            steady: self.steady_account.settle(Links::Lasted),
            volatile: self.volatile_account.settle(Links::Ended),
            latencies: self.steady_account.lock().latencies.clone(),
            stuck,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

fn serve_volatile(mesh: &str, number: u64, account: &Account) -> Program {
    let by = number.to_string();
    let serve = ["serve", mesh, "volatile", &by, "publish=5", "panics=1009"];
    Program::serve("volatile service", number, &serve, account)
}
