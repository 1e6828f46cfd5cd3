//! Random faults, one after the other and some at the same time, all derived from a seed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use meshzero_testing::{Cut, Direction, Event, Fault, Faults, Sockets};

use crate::crew::Crew;

/// The most guests at a time.
const MAX_CALLERS: usize = 4;

/// The current faults, each with the time at which it is undone.
pub struct Trouble {
    dice: fastrand::Rng,
    next: Instant,
    repairs: Vec<(Instant, Undo)>,
    counts: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undo {
    Release(Direction),
    QuickAgain,
    ResumeSteady,
    ResumeVolatile,
    BeginVolatile,
}

impl Trouble {
    pub fn new(seed: u64, now: Instant) -> Self {
        let next = now + Duration::from_secs(1);
        Self { dice: fastrand::Rng::with_seed(seed), next, repairs: Vec::new(), counts: BTreeMap::new() }
    }

    /// The faults so far, each with its count.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(what, count)| (*what, *count))
    }

    /// Undoes the faults that are due, and starts a new one if that is due.
    pub fn advance(&mut self, crew: &mut Crew, now: Instant) {
        let due: Vec<Undo> =
            self.repairs.extract_if(.., |(at, _)| *at <= now).map(|(_, repair)| repair).collect();
        due.into_iter().for_each(|repair| put_right(crew, repair));
        if self.next <= now {
            self.next = now + Duration::from_millis(self.dice.u64(100..2_500));
            let what = self.strike(crew, now);
            *self.counts.entry(what).or_default() += 1;
        }
    }

    /// Undoes all faults.
    pub fn end(&mut self, crew: &mut Crew) {
        self.repairs.drain(..).for_each(|(_, repair)| put_right(crew, repair));
    }

    fn strike(&mut self, crew: &mut Crew, now: Instant) -> &'static str {
        let how = if self.dice.bool() { Cut::Reset } else { Cut::Close };
        let way = if self.dice.bool() { Direction::Up } else { Direction::Down };
        match self.dice.u8(..17) {
            0 | 1 => {
                crew.proxy.cut(how);
                "connections cut"
            }
            2 => {
                let fault = Fault::after(self.dice.u64(..100_000), Event::Cut(how));
                crew.proxy.next(if way == Direction::Up {
                    Faults { up: fault, ..Faults::default() }
                } else {
                    Faults { down: fault, ..Faults::default() }
                });
                crew.proxy.cut(how);
                "connections cut, and the next one after some bytes"
            }
            3 => {
                crew.proxy.stall(way);
                self.repair(now, 3_000, Undo::Release(way));
                "connections stalled in one direction"
            }
            4 => {
                let slow = Fault {
                    delay: Duration::from_millis(self.dice.u64(..30)),
                    jitter: Duration::from_millis(self.dice.u64(..30)),
                    bytes_per_second: Some(self.dice.u64(500_000..5_000_000)),
                    ..Fault::default()
                };
                crew.proxy.all(Faults::both(slow));
                crew.proxy.cut(how);
                self.repair(now, 10_000, Undo::QuickAgain);
                "connections cut, and slow for some time"
            }
            5 => {
                crew.steady.signal("STOP");
                self.repair(now, 3_000, Undo::ResumeSteady);
                "steady service stopped"
            }
            6 if self.volatile_is_well(crew) => {
                if let Some(volatile) = &crew.volatile {
                    volatile.signal("STOP");
                }
                self.repair(now, 4_000, Undo::ResumeVolatile);
                "volatile service stopped"
            }
            7 | 8 if self.volatile_is_well(crew) => {
                crew.end_volatile(false);
                self.repair(now, 4_000, Undo::BeginVolatile);
                "volatile service killed"
            }
            9 if self.volatile_is_well(crew) => {
                crew.end_volatile(true);
                self.repair(now, 4_000, Undo::BeginVolatile);
                "volatile service withdrawn"
            }
            13 | 14 => {
                let (sockets, what) = self.sockets();
                crew.steady.shut_down(sockets);
                what
            }
            15 | 16 if self.volatile_is_well(crew) => {
                let (sockets, what) = self.sockets();
                crew.volatile.iter().for_each(|volatile| volatile.shut_down(sockets));
                what
            }
            10 | 11 if crew.guests.len() < MAX_CALLERS => {
                crew.add_caller();
                "guest comes"
            }
            _ => {
                crew.kill_caller();
                "guest killed"
            }
        }
    }

    /// Returns sockets of a service to shut down, so that its links on this host move between Unix sockets and TCP.
    fn sockets(&mut self) -> (&'static [Sockets], &'static str) {
        match self.dice.u8(..3) {
            0 => (&[Sockets::UnixConnections], "Unix connections shut down"),
            1 => {
                let all = &[Sockets::UnixListener, Sockets::UnixConnections];
                (all, "Unix connections and their listener shut down")
            }
            _ => (&[Sockets::TcpConnections], "TCP connections shut down"),
        }
    }

    /// Returns whether the volatile service runs without any other fault.
    fn volatile_is_well(&self, crew: &Crew) -> bool {
        let matters = |repair: &Undo| matches!(repair, Undo::ResumeVolatile | Undo::BeginVolatile);
        crew.volatile.is_some() && !self.repairs.iter().any(|(_, repair)| matters(repair))
    }

    fn repair(&mut self, now: Instant, within: u64, repair: Undo) {
        self.repairs.retain(|(_, other)| *other != repair);
        self.repairs.push((now + Duration::from_millis(self.dice.u64(50..within)), repair));
    }
}

fn put_right(crew: &mut Crew, repair: Undo) {
    match repair {
        Undo::Release(way) => crew.proxy.release(way),
        Undo::QuickAgain => {
            crew.proxy.all(Faults::default());
            crew.proxy.cut(Cut::Reset);
        }
        Undo::ResumeSteady => crew.steady.signal("CONT"),
        Undo::ResumeVolatile => crew.volatile.iter().for_each(|volatile| volatile.signal("CONT")),
        Undo::BeginVolatile => crew.begin_volatile(),
    }
}
