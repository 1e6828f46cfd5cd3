//! The bottleneck of a measurement, as far as processor time and waiting show it.

use super::measurement::Side;
use super::plan::MessageKind;
use crate::bench::gauge::usage::ThreadShare;

/// The share of time from which on a thread counts as saturated.
const BUSY: f64 = 0.85;

/// The observations from which a bottleneck is derived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BottleneckInput {
    pub(crate) kind: MessageKind,
    /// Whether the schedule was kept, if there was one.
    pub(crate) kept_schedule: Option<bool>,
    pub(crate) sender: Side,
    pub(crate) receiver: Option<Side>,
    /// The share of the time for which the sender waited for room.
    pub(crate) waited: f64,
    /// The cores of this machine, if both sides run on it.
    pub(crate) shared_cores: Option<usize>,
}

/// Returns the bottleneck as a sentence without a full stop.
pub(crate) fn bottleneck(observed: &BottleneckInput) -> String {
    let BottleneckInput { kind, kept_schedule, sender, receiver, waited, shared_cores } = observed;
    if *kept_schedule == Some(true) {
        return "none: the schedule was kept".to_owned();
    }
    let waits = format!("the sender waited for room {:.0} % of the time", waited * 100.0);
    let Some(receiver) = receiver else {
        return match sender.busiest_thread {
            Some(busy) if is_busy(busy) => {
                format!("this process: sender and receiver share a thread, which {}", spent(busy))
            }
            _ => "waiting: this process is not busy".to_owned(),
        };
    };
    let (Some(sending), Some(receiving)) = (sender.busiest_thread, receiver.busiest_thread) else {
        // Without processor times only the waiting can tell.
        return match kind {
            MessageKind::Calls => "unknown: this platform does not report processor time".to_owned(),
            _ if *waited > 0.5 => format!("the receiver: {waits}"),
            _ => "the sender".to_owned(),
        };
    };
    match (is_busy(sending), is_busy(receiving)) {
        (true, true) => {
            let (sending, receiving) = (spent(sending), spent(receiving));
            return format!("both: the sender's busiest thread {sending}, the receiver's {receiving}");
        }
        (true, false) => return format!("the sender: its busiest thread {}", spent(sending)),
        (false, true) => return format!("the receiver: its busiest thread {}", spent(receiving)),
        (false, false) => {}
    }
    let cpu = sender.cpu.zip(receiver.cpu).map(|(sender, receiver)| sender + receiver);
    if let (Some(cpu), Some(cores)) = (cpu, *shared_cores)
        && cpu >= BUSY * cores as f64
    {
        return format!("the machine: both sides together use {cpu:.1} of {cores} cores");
    }
    match kind {
        MessageKind::Calls => "waiting: neither side is busy; each waits for the other to wake up".to_owned(),
        _ if *waited > 0.5 => format!("the receiver or the network: {waits}"),
        _ => format!(
            "unclear: the sender's busiest thread {}, the receiver's {}",
            spent(sending),
            spent(receiving)
        ),
    }
}

/// Returns whether a thread was saturated, be it that others took its core.
fn is_busy(busy: ThreadShare) -> bool {
    busy.ran + busy.starved >= BUSY
}

fn spent(busy: ThreadShare) -> String {
    let ran = format!("runs {:.0} % of the time", busy.ran * 100.0);
    if busy.starved < 0.05 {
        return ran;
    }
    format!("{ran} and waits for a core {:.0} %", busy.starved * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(busiest: f64) -> Side {
        let busy = ThreadShare { ran: busiest, starved: 0.0 };
        Side { busiest_thread: Some(busy), cpu: Some(busiest), ..Side::default() }
    }

    fn observed(sender: f64, receiver: f64) -> BottleneckInput {
        BottleneckInput {
            kind: MessageKind::Tells,
            kept_schedule: None,
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
            (observed(0.9, 0.9), "both: "),
            (BottleneckInput { waited: 0.9, ..observed(0.4, 0.4) }, "the receiver or the network"),
            (BottleneckInput { kind: MessageKind::Calls, ..observed(0.4, 0.4) }, "waiting"),
            (BottleneckInput { shared_cores: Some(1), ..observed(0.5, 0.5) }, "the machine"),
            (BottleneckInput { receiver: None, ..observed(0.9, 0.0) }, "this process"),
            (observed(0.4, 0.5), "unclear"),
            (BottleneckInput { kept_schedule: Some(true), ..observed(0.9, 0.9) }, "none"),
            (BottleneckInput { sender: Side::default(), waited: 0.8, ..observed(0.9, 0.9) }, "the receiver"),
        ] {
            let told = bottleneck(&observed);
            assert!(told.starts_with(begins), "{told}: {observed:?}");
        }
    }
}
