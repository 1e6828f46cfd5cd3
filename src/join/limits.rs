//! The limits of a program as text, and their valid ranges.

use std::time::Duration;

use meshzero_proto::diagnosis::spelling;
use meshzero_proto::limits::{Limits, MAX_MESSAGE_BYTES};

use super::listed;
use crate::error::JoinError;

/// The variable of the environment.
const SETTING: &str = "MESHZERO_LIMITS";

/// Sets a limit. Returns false if its type cannot hold the value.
type Set = fn(&mut Limits, u64) -> bool;

/// Every limit by its name in the environment. The name of a time ends in its unit.
const NAMED: [(&str, Set); 26] = [
    ("message_bytes", |limits, value| set(&mut limits.message_bytes, value)),
    ("decoded_factor", |limits, value| set(&mut limits.decoded_factor, value)),
    ("nesting", |limits, value| set(&mut limits.nesting, value)),
    ("values", |limits, value| set(&mut limits.values, value)),
    ("handshake_ms", |limits, value| set_time(&mut limits.handshake, value)),
    ("handshakes", |limits, value| set(&mut limits.handshakes, value)),
    ("connections", |limits, value| set(&mut limits.connections, value)),
    ("connections_per_address", |limits, value| set(&mut limits.connections_per_address, value)),
    ("requests_in_flight", |limits, value| set(&mut limits.requests_in_flight, value)),
    ("mailbox", |limits, value| set(&mut limits.mailbox, value)),
    ("send_queue_bytes", |limits, value| set(&mut limits.send_queue_bytes, value)),
    ("unacknowledged_bytes", |limits, value| set(&mut limits.unacknowledged_bytes, value)),
    ("reconnect_ms", |limits, value| set_time(&mut limits.reconnect, value)),
    ("races_per_second", |limits, value| set(&mut limits.races_per_second, value)),
    ("subscriptions", |limits, value| set(&mut limits.subscriptions, value)),
    ("backlog_items", |limits, value| set(&mut limits.backlog_items, value)),
    ("backlog_bytes", |limits, value| set(&mut limits.backlog_bytes, value)),
    ("news_bytes", |limits, value| set(&mut limits.news_bytes, value)),
    ("news_patience_ms", |limits, value| set_time(&mut limits.news_patience, value)),
    ("topics", |limits, value| set(&mut limits.topics, value)),
    ("instances", |limits, value| set(&mut limits.instances, value)),
    ("instances_per_source", |limits, value| set(&mut limits.instances_per_source, value)),
    ("instances_per_node", |limits, value| set(&mut limits.instances_per_node, value)),
    ("drain_ms", |limits, value| set_time(&mut limits.drain, value)),
    ("request_timeout_ms", |limits, value| set_time(&mut limits.request_timeout, value)),
    ("keep_alive_ms", |limits, value| set_time(&mut limits.keep_alive, value)),
];

fn set<T: TryFrom<u64>>(limit: &mut T, value: u64) -> bool {
    T::try_from(value).map(|value| *limit = value).is_ok()
}

fn set_time(limit: &mut Duration, millis: u64) -> bool {
    *limit = Duration::from_millis(millis);
    true
}

/// Reads limits such as `mailbox=512, drain_ms=200`; the others have their defaults.
///
/// # Errors
/// [`JoinError::Setting`], with the valid form.
pub(super) fn read(text: &str) -> Result<Limits, JoinError> {
    let mut limits = Limits::default();
    for part in listed(text) {
        let wrong = |problem: String| JoinError::Setting {
            setting: SETTING,
            problem: format!("{part:?}: {problem}"),
        };
        let (name, value) = part.split_once('=').ok_or_else(|| wrong("write name=number".to_owned()))?;
        let (name, value) = (name.trim(), value.trim());
        let Some((_, set)) = NAMED.iter().find(|(known, _)| *known == name) else {
            return Err(wrong(unknown(name, value)));
        };
        let number = value.parse().map_err(|_| wrong(no_number(name, value)))?;
        if !set(&mut limits, number) {
            return Err(wrong("too large".to_owned()));
        }
    }
    Ok(limits)
}

/// The problem with an unknown name, with the limit that was probably meant.
fn unknown(name: &str, value: &str) -> String {
    let in_millis = format!("{name}_ms");
    if NAMED.iter().any(|(known, _)| *known == in_millis) {
        return format!("the unit is a part of the name; write {}", example(&in_millis, value));
    }
    let names: Vec<String> = NAMED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let meant = spelling::nearest(name, &names).map(|meant| format!(", but {meant}")).unwrap_or_default();
    format!("there is no such limit{meant}; there are {}", names.join(", "))
}

fn no_number(name: &str, value: &str) -> String {
    format!("the value is not a whole number; write {}", example(name, value))
}

/// An example of how to write a limit, with the value that was probably meant.
fn example(name: &str, value: &str) -> String {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let units: &[(&str, u64)] = if name.ends_with("_ms") {
        &[("ms", 1), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
    } else if name.ends_with("_bytes") {
        &[
            ("B", 1),
            ("kB", 1_000),
            ("MB", 1_000_000),
            ("k", 1 << 10),
            ("KiB", 1 << 10),
            ("M", 1 << 20),
            ("MiB", 1 << 20),
        ]
    } else {
        &[]
    };
    let factor = match unit.trim() {
        "" => Some(1),
        unit => units.iter().find(|(known, _)| *known == unit).map(|(_, factor)| *factor),
    };
    let meant =
        number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    format!("{name}={}", meant.unwrap_or(1_000))
}

/// The largest value of a limit on concurrent things.
const MOST_AT_ONCE: usize = 1 << 20;

/// The deepest nesting that fits the stack of a thread.
const DEEPEST: u32 = 1_024;

/// Rejects limits that would stop everything, or that cannot be enforced.
///
/// # Errors
/// [`JoinError::Setting`].
pub(super) fn check(limits: &Limits) -> Result<(), JoinError> {
    let counts = [
        ("message_bytes", limits.message_bytes, 1..=MAX_MESSAGE_BYTES),
        ("nesting", limits.nesting as usize, 1..=DEEPEST as usize),
        ("decoded_factor", limits.decoded_factor, 1..=usize::MAX),
        ("values", limits.values, 1..=usize::MAX),
        ("send_queue_bytes", limits.send_queue_bytes, 1..=usize::MAX),
        ("mailbox", limits.mailbox, 1..=MOST_AT_ONCE),
        ("requests_in_flight", limits.requests_in_flight, 1..=MOST_AT_ONCE),
        ("connections", limits.connections, 1..=MOST_AT_ONCE),
        ("connections_per_address", limits.connections_per_address, 1..=MOST_AT_ONCE),
        ("handshakes", limits.handshakes, 1..=MOST_AT_ONCE),
        ("subscriptions", limits.subscriptions, 1..=MOST_AT_ONCE),
        ("backlog_items", limits.backlog_items, 1..=MOST_AT_ONCE),
        ("instances", limits.instances, 1..=MOST_AT_ONCE),
        ("instances_per_source", limits.instances_per_source, 1..=usize::MAX),
        ("instances_per_node", limits.instances_per_node, 1..=usize::MAX),
    ];
    let least = [
        ("keep_alive", limits.keep_alive, Duration::from_secs(1)),
        ("handshake", limits.handshake, Duration::from_millis(1)),
    ];
    let problem = if let Some((name, value, range)) =
        counts.iter().find(|(_, value, range)| !range.contains(value))
    {
        match *range.end() {
            usize::MAX => format!("{name} is {value}; it must be {} at least", range.start()),
            most => format!("{name} is {value}; it must be {} at least and {most} at most", range.start()),
        }
    } else if let Some((name, value, least)) = least.iter().find(|(_, value, least)| value < least) {
        format!("{name} is {value:?}; it must be {least:?} at least")
    } else {
        return Ok(());
    };
    Err(JoinError::Setting { setting: SETTING, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let limits = read("mailbox=3, request_timeout_ms=250").expect("limits");
        assert_eq!((limits.mailbox, limits.request_timeout), (3, Duration::from_millis(250)));
    }

    #[test]
    fn limits_that_cannot_be_read_say_what_to_write() {
        for (text, said) in [
            ("mailbox", "write name=number"),
            ("mailbix=3", "no such limit, but mailbox; there are message_bytes, decoded_factor, nesting"),
            ("Mailbox=3", "no such limit, but mailbox;"),
            ("post=1", "no such limit; there are message_bytes"),
            ("post=1", "request_timeout_ms, keep_alive_ms"),
            ("reconnect=5s", "the unit is a part of the name; write reconnect_ms=5000"),
            ("reconnect=250", "write reconnect_ms=250"),
            ("reconnect=1h", "write reconnect_ms=3600000"),
            ("reconnect=never", "write reconnect_ms=1000"),
            ("reconnect_ms=5s", "the value is not a whole number; write reconnect_ms=5000"),
            ("reconnect_ms=18446744073709551615h", "write reconnect_ms=1000"),
            ("message_bytes=64MiB", "the value is not a whole number; write message_bytes=67108864"),
            ("message_bytes=1e9", "the value is not a whole number"),
            ("mailbox=-1", "the value is not a whole number"),
            ("nesting=4294967296", "too large"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(said) && error.contains(SETTING), "{text}: {error}");
        }
    }

    /// The names of all limits, as `MESHZERO_LIMITS` has them.
    fn names() -> Vec<String> {
        let all = format!("{:?}", Limits::default());
        let fields = all.trim_start_matches("Limits { ").trim_end_matches(" }").split(", ");
        let name = |field: &str| {
            let (name, value) = field.split_once(": ").expect("a name and a value");
            let is_time = value.ends_with('s');
            if is_time { format!("{name}_ms") } else { name.to_owned() }
        };
        fields.map(name).collect()
    }

    #[test]
    fn every_limit_has_a_name_in_the_environment() {
        assert!(names().len() > 25, "{:?}", names());
        for name in names() {
            let limits = read(&format!("{name}=1234567")).expect(&name);
            let (all, before) = (format!("{limits:?}"), format!("{:?}", Limits::default()));
            assert!(all != before && all.contains("1234"), "{name} changes nothing: {all}");
        }
    }

    #[test]
    fn limits_at_their_ends_are_taken_or_refused_with_their_range() {
        for name in names() {
            for value in [0, 1, u64::from(u32::MAX), u64::MAX] {
                let limit = format!("{name}={value}");
                let checked = read(&limit).and_then(|limits| check(&limits));
                let Err(error) = checked else { continue };
                let said = error.to_string();
                let names_its_range = said.contains(" at least") || said.contains("too large");
                assert!(said.contains(name.trim_end_matches("_ms")) && names_its_range, "{limit}: {said}");
            }
        }
    }

    #[test]
    fn limits_that_would_stop_everything_are_refused() {
        assert!(check(&Limits::default()).is_ok());
        for text in ["mailbox=0", "handshakes=0", "mailbox=18446744073709551615", "subscriptions=0"] {
            let error = check(&read(text).expect("read")).expect_err(text);
            assert!(error.to_string().contains("at most"), "{error}");
        }
        assert!(check(&read("message_bytes=99999999999").expect("read")).is_err());
    }
}
