//! One run of one case by one contestant: starts its processes, leads them through the run, and reads the resources that they
//! used.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use peers_common::{Order, Outcome, Plan, Result, Role, Told};
use serde::Serialize;

use crate::case::{Case, Cores};
use crate::contestant::{Contestant, Processes};
use crate::process::{Event, Process};
use crate::usage;

/// The timeout of everything around the measured window.
const PATIENCE: Duration = Duration::from_secs(40);

/// The times of a case.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Times {
    pub(crate) warm_up_ms: u64,
    pub(crate) measure_ms: u64,
}

/// The resources that one process used.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Used {
    /// Processor time within the measured window.
    pub(crate) cpu_seconds: f64,
    /// Resident memory before the load.
    pub(crate) idle_kib: u64,
    /// The most resident memory at any time.
    pub(crate) peak_kib: u64,
}

/// The result of one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) outcome: Outcome,
    pub(crate) server: Used,
    pub(crate) client: Used,
}

/// Runs the case.
///
/// # Errors
/// A process ended, sent an unexpected message, or was silent for too long.
pub(crate) fn run(programs: &Path, contestant: &Contestant, case: &Case, times: Times) -> Result<Measured> {
    let times = Times { warm_up_ms: times.warm_up_ms.max(case.settling_ms()), ..times };
    let program = programs.join(contestant.package);
    let deadline = Instant::now() + PATIENCE + Duration::from_millis(times.warm_up_ms + times.measure_ms);
    let (events, told) = channel();
    let mut stage = Stage { told, deadline, processes: Vec::new(), used: [Used::default(); 2] };
    let mut plan = plan(contestant, case, times);
    if contestant.processes == Processes::Two {
        stage.processes.push((Role::Server, Process::start(&program, &plan, events.clone())?));
        plan.at = stage.ready(Role::Server)?;
    }
    plan.role = Role::Client;
    stage.processes.push((Role::Client, Process::start(&program, &plan, events)?));
    stage.ready(Role::Client)?;
    let outcome = stage.lead()?;
    stage.note(|used, pids| {
        used.peak_kib = usage::peak_kib(pids)?;
        Ok(())
    })?;
    // Together, so that neither waits for the other.
    stage.processes.iter_mut().for_each(|(_, process)| process.end());
    let [server, client] = stage.used;
    Ok(Measured { outcome, server, client })
}

fn plan(contestant: &Contestant, case: &Case, times: Times) -> Plan {
    Plan {
        role: Role::Server,
        way: contestant.way.to_owned(),
        load: case.load,
        size: case.size,
        in_flight: case.in_flight,
        subscribers: case.subscribers(),
        services: case.services(),
        links: case.links(),
        core: (case.cores == Cores::One).then_some(last_core()),
        warm_up_ms: times.warm_up_ms,
        measure_ms: times.measure_ms,
        at: String::new(),
    }
}

/// The last core, because the first ones serve most interrupts.
fn last_core() -> usize {
    std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1)
}

/// The processes of one run.
struct Stage {
    told: Receiver<Event>,
    deadline: Instant,
    processes: Vec<(Role, Process)>,
    /// Of the server and the client.
    used: [Used; 2],
}

impl Stage {
    /// Waits until that process has started, and reads its memory before the load.
    fn ready(&mut self, who: Role) -> Result<String> {
        let (address, helpers) = match self.next()? {
            (role, Told::Ready { address, helpers }) if role == who => (address, helpers),
            other => return Err(format!("{other:?} before {who:?} was ready").into()),
        };
        for (role, process) in &mut self.processes {
            if *role == who {
                process.pids.extend(&helpers);
            }
        }
        Ok(address)
    }

    /// From the start of the load to the outcome.
    fn lead(&mut self) -> Result<Outcome> {
        self.note(|used, pids| {
            used.idle_kib = usage::resident_kib(pids)?;
            Ok(())
        })?;
        self.order(Order::Go)?;
        loop {
            match self.next()?.1 {
                Told::Begin => self.note(|used, pids| {
                    used.cpu_seconds = -usage::cpu_seconds(pids)?;
                    Ok(())
                })?,
                Told::End => {
                    self.note(|used, pids| {
                        used.cpu_seconds += usage::cpu_seconds(pids)?;
                        Ok(())
                    })?;
                    self.order(Order::Stop)?;
                }
                Told::Sent(count) => self.order(Order::Sent(count))?,
                Told::Outcome(outcome) => return Ok(outcome),
                Told::Ready { .. } => return Err("a process was ready twice".into()),
            }
        }
    }

    fn note(&mut self, mut read: impl FnMut(&mut Used, &[u32]) -> Result) -> Result {
        for (role, process) in &self.processes {
            read(&mut self.used[*role as usize], &process.pids)?;
        }
        Ok(())
    }

    fn order(&mut self, order: Order) -> Result {
        self.processes.iter_mut().try_for_each(|(_, process)| process.tell(order))
    }

    fn next(&mut self) -> Result<(Role, Told)> {
        match self.told.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok((role, Some(told))) => Ok((role, told)),
            Ok((role, None)) => Err(format!("the {role:?} ended").into()),
            Err(RecvTimeoutError::Timeout) => Err("it took too long".into()),
            Err(RecvTimeoutError::Disconnected) => Err("both ended".into()),
        }
    }
}
