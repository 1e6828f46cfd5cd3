//! The process under attack: what it costs it, and whether it serves others.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use meshzero_testing::Process;

use super::stranger::{Caller, Stranger};
use crate::support::{Room, SOON, exists};

/// The longest wait of another client. It takes a millisecond without an attack, and a tenth of this where the machine
/// has nothing else to do.
const SERVED: Duration = Duration::from_secs(10);

/// The cost of an attack unless it says otherwise: bytes of memory in use at once, beyond those before.
const LITTLE: usize = 8 << 20;

/// The largest growth after an attack. The allocator keeps what it has once had, so that the cost of an attack would
/// not show after a larger one.
const ALL: usize = 160 << 20;

/// The actions of a stranger.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// Bytes that the process may grow by while it lasts.
    budget: usize,
    attack: fn(&Victim) -> Vec<TcpStream>,
}

impl Attack {
    /// An attack that may cost little. The connections that it gives back stay open while others are served.
    pub(super) fn new(name: &'static str, attack: fn(&Victim) -> Vec<TcpStream>) -> Self {
        Self { name, budget: LITTLE, attack }
    }

    /// May cost so many bytes.
    pub(super) fn within(self, budget: usize) -> Self {
        Self { budget, ..self }
    }
}

/// `mz advertise --echo`, on a mesh of its own.
pub(super) struct Victim {
    process: Process,
    pub(super) room: Room,
    pub(super) address: SocketAddr,
    /// One who was connected before all attacks.
    friend: Caller,
    /// Bytes of memory before all attacks.
    begun: usize,
}

impl Victim {
    pub(super) fn start() -> Self {
        let room = Room::new();
        let (process, address) = room.advertise(&["victim", "--echo"]);
        let address = address.parse().expect("an address with a port");
        let friend = Caller::connect(Stranger { address, mesh: &room.mesh }, SERVED);
        let mut victim = Self { process, room, address, friend, begun: 0 };
        victim.begun = victim.memory("VmRSS");
        victim
    }

    /// Somebody who knows where it is and of which mesh.
    pub(super) fn stranger(&self) -> Stranger<'_> {
        Stranger { address: self.address, mesh: &self.room.mesh }
    }

    /// Attacks it; says by how many bytes it has grown at most.
    #[track_caller]
    pub(super) fn survives(&mut self, attack: &Attack) -> usize {
        let before = self.memory("VmRSS");
        self.forget_peak();
        let held = (attack.attack)(self);
        self.serves(attack.name, "during");
        drop(held);
        self.serves(attack.name, "after");
        let grown = self.memory("VmHWM").saturating_sub(before);
        assert!(grown <= attack.budget, "{}: it has grown by {grown} bytes", attack.name);
        grown
    }

    /// Checks that it answers earlier clients and new ones.
    #[track_caller]
    fn serves(&mut self, attack: &str, when: &str) {
        assert!(exists(self.process.pid()), "{attack}: it has ended");
        let begun = Instant::now();
        self.friend
            .call("friend", SERVED)
            .unwrap_or_else(|reason| panic!("{when} {attack}, an old client: {reason}"));
        let mut another = Caller::connect(self.stranger(), SERVED);
        another
            .call("another", SERVED)
            .unwrap_or_else(|reason| panic!("{when} {attack}, a new client: {reason}"));
        assert!(begun.elapsed() < SERVED, "{when} {attack} it took {:?}", begun.elapsed());
    }

    /// It has not grown for good, and what it has printed is text for people, and no panic.
    #[track_caller]
    pub(super) fn leaves_no_trace(mut self) {
        let grown = self.memory("VmRSS").saturating_sub(self.begun);
        assert!(grown <= ALL, "it has grown by {grown} bytes");
        self.process.interrupt();
        self.process.wait(SOON);
        let (printed, complained) = (self.process.stdout(), self.process.stderr());
        assert!(!printed.contains('\u{1b}'), "an escape reached the terminal");
        assert!(!complained.contains("panicked"), "{complained}");
    }

    /// Resets the peak of memory.
    fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.process.pid()), "5").expect("its peak can be reset");
    }

    fn memory(&self, of: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(':'));
        let kib =
            line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<usize>().ok());
        kib.expect("the system says how much memory it uses") << 10
    }
}
