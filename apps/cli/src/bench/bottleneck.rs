//! Which side held the other up, as far as processor time and waiting tell.

use super::measured::Side;
use super::plan::Kind;

/// A thread that is so busy has no time left.
const BUSY: f64 = 0.85;

/// What is known of a measurement when its bottleneck is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observed {
    pub(crate) kind: Kind,
    /// The timetable, if there was one, was kept.
    pub(crate) kept_timetable: Option<bool>,
    pub(crate) sender: Side,
    pub(crate) receiver: Option<Side>,
    /// The share of the time for which the sender waited for room.
    pub(crate) waited: f64,
    /// Cores of this machine, if both sides are on it.
    pub(crate) shared_cores: Option<usize>,
}

/// A sentence without an end.
pub(crate) fn bottleneck(observed: &Observed) -> String {
    let Observed { kind, kept_timetable, sender, receiver, waited, shared_cores } = observed;
    if *kept_timetable == Some(true) {
        return "none: the timetable was kept".to_owned();
    }
    let waits = format!("the sender waited for room {:.0} % of the time", waited * 100.0);
    let Some(receiver) = receiver else {
        return match sender.busiest_thread {
            Some(busy) if busy >= BUSY => {
                "this process: sender and receiver share a thread that is busy".to_owned()
            }
            _ => "waiting: the thread of this process is not busy".to_owned(),
        };
    };
    let (Some(sending), Some(receiving)) = (sender.busiest_thread, receiver.busiest_thread) else {
        // Without processor times waiting is all there is to go by.
        return if *kind == Kind::Calls {
            "unknown: this platform does not tell processor time".to_owned()
        } else if *waited > 0.5 {
            format!("the receiver: {waits}")
        } else {
            "the sender".to_owned()
        };
    };
    let busy = format!("its busiest thread runs {:.0} % of the time", sending.max(receiving) * 100.0);
    let cpu = sender.cpu.zip(receiver.cpu).map(|(sender, receiver)| sender + receiver);
    if sending.max(receiving) >= BUSY {
        return match (sending >= BUSY, receiving >= BUSY) {
            (true, true) => "both sides: each has a thread that is busy all the time".to_owned(),
            (true, false) => format!("the sender: {busy}"),
            _ => format!("the receiver: {busy}"),
        };
    }
    if let (Some(cpu), Some(cores)) = (cpu, *shared_cores)
        && cpu >= BUSY * cores as f64
    {
        return format!("the machine: both sides together use {cpu:.1} of {cores} cores");
    }
    if *kind == Kind::Calls {
        return "waiting: neither side is busy; each waits for the other to wake up".to_owned();
    }
    if *waited > 0.5 {
        format!("the receiver or the network: {waits}")
    } else {
        format!("the sender: {busy}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(busiest: f64) -> Side {
        Side { busiest_thread: Some(busiest), cpu: Some(busiest), ..Side::default() }
    }

    fn observed(sender: f64, receiver: f64) -> Observed {
        Observed {
            kind: Kind::Tells,
            kept_timetable: None,
            sender: side(sender),
            receiver: Some(side(receiver)),
            waited: 0.0,
            shared_cores: Some(8),
        }
    }

    #[test]
    fn the_busy_side_is_named() {
        for (observed, begins) in [
            (observed(0.99, 0.4), "the sender"),
            (observed(0.4, 0.99), "the receiver:"),
            (observed(0.9, 0.9), "both sides"),
            (Observed { waited: 0.9, ..observed(0.4, 0.4) }, "the receiver or the network"),
            (Observed { kind: Kind::Calls, ..observed(0.4, 0.4) }, "waiting"),
            (Observed { shared_cores: Some(1), ..observed(0.5, 0.5) }, "the machine"),
            (Observed { receiver: None, ..observed(0.9, 0.0) }, "this process"),
            (Observed { kept_timetable: Some(true), ..observed(0.9, 0.9) }, "none"),
            (Observed { sender: Side::default(), waited: 0.8, ..observed(0.9, 0.9) }, "the receiver"),
        ] {
            let told = bottleneck(&observed);
            assert!(told.starts_with(begins), "{told}: {observed:?}");
        }
    }
}
