//! One simulation, from its seed to the verdict.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use meshzero_simulation::Wires;
use meshzero_testing::{Links, Record, Tally};
use turmoil::{Builder, Sim};

use crate::account::{Account, Scene, number};
use crate::log;
use crate::program::{self, Start};
use crate::scenario::{Fault, FaultKind, Scenario, Target, ip};

/// The step of the simulated clock.
const TICK: Duration = Duration::from_millis(5);

/// The interval at which hosts check their connections.
const TEND: Duration = Duration::from_millis(100);

/// The time for everything to settle.
const SETTLE: Duration = Duration::from_secs(30);

/// The result of one simulation.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub tally: Tally,
    /// A digest of all events and their times.
    pub digest: u64,
    /// All events, if the trace was to be kept.
    pub told: Vec<String>,
}

/// Selects whether the trace of all events is kept and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    No,
    Yes,
}

/// Runs the simulation of `seed`.
///
/// # Errors
/// The promise that was broken, or another failure.
pub fn run(seed: u64, trace: Trace) -> Result<Run, String> {
    let scenario = Scenario::draw(seed);
    // The library's own random numbers: jitter, and the choice between two instances.
    fastrand::seed(seed);
    let mut play = Simulation::new(&scenario, trace);
    let account = (trace == Trace::Yes).then(|| play.account.clone());
    let ended = log::logged_to(account, || play.run());
    let verdict = ended.and_then(|()| play.verdict());
    verdict.map_err(|reason| {
        let mut told = format!("seed {seed}: {reason}\n{scenario:#?}\n");
        for line in play.account.trace() {
            writeln!(told, "{line}").expect("a string takes everything");
        }
        told
    })
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    sim: Sim<'a>,
    wires: Wires,
    account: Account,
    scene: Rc<Scene>,
    /// The number of faults that hold the packets between two hosts, and the time of the first.
    held: BTreeMap<(Ipv4Addr, Ipv4Addr), (usize, Duration)>,
    /// The number of faults that keep a host down.
    down: BTreeMap<usize, usize>,
}

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario, trace: Trace) -> Self {
        let sim = Builder::new()
            .rng_seed(scenario.seed)
            .tick_duration(TICK)
            .simulation_duration(scenario.healed + SETTLE * 4)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(scenario.latency)
            .tcp_capacity(scenario.pieces)
            .build();
        let wires = Wires::new(scenario.seed, scenario.most_in_segment);
        let mut play = Self {
            scenario,
            sim,
            wires,
            account: Account::new(trace == Trace::Yes),
            scene: Scene::new(),
            held: BTreeMap::new(),
            down: BTreeMap::new(),
        };
        let servers: Vec<usize> =
            (0..scenario.hosts.len()).filter(|host| scenario.hosts[*host].serves).collect();
        for (host, program) in scenario.hosts.iter().enumerate() {
            let start = Rc::new(Start {
                host,
                seed: scenario.seed,
                program: program.clone(),
                servers: servers.clone(),
                network: play.wires.network(ip(host)),
                account: play.account.clone(),
                scene: Rc::clone(&play.scene),
            });
            play.sim.host(ip(host), move || program::run(Rc::clone(&start)));
        }
        play
    }

    fn run(&mut self) -> Result<(), String> {
        let mut events: Vec<(Duration, bool, Fault)> = Vec::new();
        for fault in &self.scenario.faults {
            events.push((fault.at, true, *fault));
            events.push((fault.at + fault.lasts, false, *fault));
        }
        events.sort_by_key(|(at, begins, _)| (*at, *begins));
        for (at, begins, fault) in events {
            self.until(at, |_| false)?;
            if begins { self.begin(fault.what) } else { self.undo(fault.what) }
        }
        self.until(self.scenario.healed, |_| false)?;
        self.scene.is_healed.set(true);
        let published = self.scene.published.borrow().clone();
        // One more message from everybody without faults; then the pending ones end.
        let settled = self.scenario.healed + SETTLE;
        let has_news = |play: &Self| {
            play.living_streams().all(|(stream, publisher)| {
                let by = number(publisher, play.scene.running(publisher), 0);
                let due = published.get(&by).copied().unwrap_or_default();
                play.scene
                    .last_items
                    .borrow()
                    .get(&stream)
                    .is_some_and(|(from, item)| (*from, *item + 1) >= (by, due))
            })
        };
        if !self.until(settled, has_news)? {
            let wanting = format!(
                "not all subscribers have the news: {:?}, {:?}",
                self.scene.last_items, self.scene.published
            );
            self.scene.complain(wanting);
        }
        self.scene.is_over.set(true);
        if !self.until(settled + SETTLE, |play| play.scene.busy.get() == 0)? {
            self.scene.complain(format!("{} callers have not come to an end", self.scene.busy.get()));
        }
        Ok(())
    }

    /// The subscriptions of the running programs, each with the host of its publisher.
    fn living_streams(&self) -> impl Iterator<Item = (u64, usize)> {
        let scene = Rc::clone(&self.scene);
        let subscribed = scene.subscribed.borrow().clone();
        subscribed.into_iter().filter(move |(stream, _)| {
            let (host, program) = ((*stream / 100_000 - 1) as usize, *stream / 100 % 1_000);
            scene.running(host) == program
        })
    }

    /// Lets time pass until `at`, or until `is_enough` holds, and returns whether it does.
    fn until(&mut self, at: Duration, is_enough: impl Fn(&Self) -> bool) -> Result<bool, String> {
        while self.sim.elapsed() < at {
            self.sim.step().map_err(|error| error.to_string())?;
            let now = self.sim.elapsed();
            if now.as_millis().is_multiple_of(TEND.as_millis()) {
                let held = &self.held;
                self.wires.tend_connections(now, |one, other| match (one, other) {
                    (IpAddr::V4(one), IpAddr::V4(other)) => {
                        held.get(&pair(one, other)).map(|(_, since)| *since)
                    }
                    _ => None,
                });
                if is_enough(self) {
                    return Ok(true);
                }
            }
        }
        Ok(is_enough(self))
    }

    fn begin(&mut self, what: FaultKind) {
        self.account.observe(&format!("{:?} {what:?}", self.sim.elapsed()));
        match what {
            FaultKind::Hold(one, other) => self.hold(one, other),
            FaultKind::Isolate(host) => self.others(host).for_each(|other| self.hold(host, other)),
            FaultKind::Reset(one, other, ends) => self.wires.reset(ip(one), ip(other), ends),
            FaultKind::Slow(one, other, latency) => {
                self.sim.set_link_max_message_latency(ip(one), ip(other), latency.max(self.scenario.latency));
            }
            FaultKind::Kill(host) => self.kill(host),
            FaultKind::PowerLoss(host) => {
                self.others(host).for_each(|other| self.hold(host, other));
                self.kill(host);
                for other in self.others(host) {
                    // Its last packets included.
                    self.sim.partition(ip(host), ip(other));
                    self.sim.hold(ip(host), ip(other));
                }
            }
        }
    }

    fn undo(&mut self, what: FaultKind) {
        self.account.observe(&format!("{:?} no more {what:?}", self.sim.elapsed()));
        match what {
            FaultKind::Hold(one, other) => self.release(one, other),
            FaultKind::Isolate(host) => self.others(host).for_each(|other| self.release(host, other)),
            FaultKind::Reset(..) => {}
            FaultKind::Slow(one, other, _) => {
                self.sim.set_link_max_message_latency(ip(one), ip(other), self.scenario.latency);
            }
            FaultKind::Kill(host) => self.restart(host),
            FaultKind::PowerLoss(host) => {
                self.restart(host);
                self.others(host).for_each(|other| self.release(host, other));
            }
        }
    }

    fn others(&self, host: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.scenario.hosts.len()).filter(move |other| *other != host)
    }

    fn hold(&mut self, one: usize, other: usize) {
        let now = self.sim.elapsed();
        let (count, since) = self.held.entry(pair(ip(one), ip(other))).or_insert((0, now));
        *count += 1;
        if *count == 1 {
            *since = now;
            self.sim.hold(ip(one), ip(other));
            self.wires.partition(ip(one), ip(other));
        }
    }

    fn release(&mut self, one: usize, other: usize) {
        let key = pair(ip(one), ip(other));
        let Some((count, _)) = self.held.get_mut(&key) else { return };
        *count -= 1;
        if *count == 0 {
            self.held.remove(&key);
            self.sim.release(ip(one), ip(other));
            self.wires.rejoin(ip(one), ip(other));
        }
    }

    fn kill(&mut self, host: usize) {
        let count = self.down.entry(host).or_default();
        *count += 1;
        if *count > 1 {
            return;
        }
        self.wires.silence(ip(host));
        self.sim.crash(ip(host));
        let program = self.scene.running(host);
        for index in 0..self.scenario.hosts[host].calls.len() {
            self.account.note(Record::Died { sender: number(host, program, 10 + index as u64) });
            self.scene.busy.set(self.scene.busy.get() - 1);
        }
    }

    fn restart(&mut self, host: usize) {
        let Some(count) = self.down.get_mut(&host) else { return };
        *count -= 1;
        if *count == 0 {
            self.sim.bounce(ip(host));
        }
    }

    fn verdict(&self) -> Result<Run, String> {
        let wrong = self.scene.failures.borrow();
        // Two instances of a name are two links, and no order is promised between those.
        let is_one = self.scenario.hosts.iter().filter(|host| host.serves).count() == 1;
        let is_addressed =
            |host: &crate::scenario::Program| host.calls.iter().all(|target| matches!(target, Target::At(_)));
        let lasted = self.scenario.is_gentle && (is_one || self.scenario.hosts.iter().all(is_addressed));
        let links = if lasted { Links::Lasted } else { Links::Ended };
        let verdict = self.account.promises(|promises| promises.verdict(links));
        match verdict {
            Ok(tally) if wrong.is_empty() => {
                Ok(Run { tally, digest: self.account.digest(), told: self.account.trace() })
            }
            Ok(_) => Err(wrong.join("\n")),
            Err(broken) => Err(format!("{broken}{}", wrong.join("\n"))),
        }
    }
}

fn pair(one: Ipv4Addr, other: Ipv4Addr) -> (Ipv4Addr, Ipv4Addr) {
    (one.min(other), one.max(other))
}
