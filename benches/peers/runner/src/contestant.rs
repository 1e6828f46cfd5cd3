//! The contestants: the crate, the way of using it, and the cases that it supports.

/// One library, used in one way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contestant {
    /// Its id on the command line.
    pub(crate) id: &'static str,
    /// Its title in the tables.
    pub(crate) title: &'static str,
    /// The crate that builds it, and its program.
    pub(crate) package: &'static str,
    /// The way in its plan.
    pub(crate) way: &'static str,
    /// The cases it takes part in, as on the command line.
    pub(crate) cases: &'static [&'static str],
    pub(crate) processes: Processes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processes {
    /// A server and a client.
    Two,
    /// The client alone.
    One,
}

const CALLS: &[&str] = &["rtt-*", "calls64-*"];
const ONE_WAY: &[&str] = &["oneway*"];
const NEWS: &[&str] = &["oneway*", "fanout8"];
const GROWTH: &[&str] = &["oneway*", "services*", "links*"];
const ALL: &[&str] = &["rtt-*", "calls64-*", "oneway*", "fanout8"];

/// Every contestant, in the order in which they are run and shown.
pub(crate) const ALL_CONTESTANTS: &[Contestant] = &[
    two("bare-std", "bare std (blocking sockets)", "peer-bare", "std", &["rtt-*", "calls64-*", "oneway*"]),
    two("bare-tokio", "bare tokio (frames, one queue, coalesced writes)", "peer-bare", "tokio", ALL),
    two("bare-tokio-one", "bare tokio, all on one thread", "peer-bare", "tokio-one", ALL),
    two("meshzero-call", "meshzero calls", "peer-meshzero", "call", CALLS),
    two(
        "meshzero-spin",
        "meshzero calls, spinning for 50 µs",
        "peer-meshzero",
        "spin",
        &["rtt-free", "calls64-free"],
    ),
    two("meshzero-tell", "meshzero tells", "peer-meshzero", "tell", GROWTH),
    two("meshzero-news", "meshzero news", "peer-meshzero", "news", NEWS),
    two("meshzero-tcp-call", "meshzero calls over TCP", "peer-meshzero", "call-tcp", CALLS),
    two("meshzero-tcp-tell", "meshzero tells over TCP", "peer-meshzero", "tell-tcp", ONE_WAY),
    two("meshzero-tcp-news", "meshzero news over TCP", "peer-meshzero", "news-tcp", NEWS),
    two(
        "meshzero-foreign",
        "meshzero tells, to an `Addr` of the user's",
        "peer-meshzero",
        "foreign",
        ONE_WAY,
    ),
    two("meshzero-thread", "meshzero tells, from another thread", "peer-meshzero", "thread", ONE_WAY),
    two("zmq-call", "libzmq REQ/REP; DEALER/ROUTER with a window", "peer-zmq", "call", CALLS),
    two("zmq-push", "libzmq PUSH/PULL", "peer-zmq", "push", ONE_WAY),
    two("zmq-pub", "libzmq PUB/SUB, no drop", "peer-zmq", "pub", NEWS),
    two("zenoh-query", "zenoh query", "peer-zenoh", "query", CALLS),
    two("zenoh-put", "zenoh put both ways, a window", "peer-zenoh", "put", CALLS),
    two("zenoh-put-low", "zenoh put both ways, low-latency transport", "peer-zenoh", "put-low", CALLS),
    two("zenoh-pub", "zenoh put, congestion control block", "peer-zenoh", "pub", NEWS),
    two("tonic", "tonic unary; server stream", "peer-tonic", "tonic", ALL),
    two("nats", "NATS request; publish", "peer-nats", "nats", ALL),
    two("telepathy", "actix-telepathy (two tells, a window)", "peer-telepathy", "tell", ALL),
    two("ractor", "ractor_cluster", "peer-ractor", "cast", ALL),
    two("kameo", "kameo remote", "peer-kameo", "tell", &["rtt-*", "calls64-*", "oneway*"]),
    one("meshzero-inproc", "meshzero, a call in the same process", "peer-meshzero", "inproc"),
    one("actix-inproc", "actix `send` on the same arbiter", "peer-meshzero", "actix"),
];

const fn two(
    id: &'static str,
    title: &'static str,
    package: &'static str,
    way: &'static str,
    cases: &'static [&'static str],
) -> Contestant {
    Contestant { id, title, package, way, cases, processes: Processes::Two }
}

const fn one(id: &'static str, title: &'static str, package: &'static str, way: &'static str) -> Contestant {
    Contestant { id, title, package, way, cases: &["inproc"], processes: Processes::One }
}

impl Contestant {
    pub(crate) fn does(&self, case: &str) -> bool {
        self.cases.iter().any(|pattern| matches(pattern, case))
    }

    /// Returns whether one of the names means this contestant: its id, the id's beginning up to a hyphen, or a pattern.
    pub(crate) fn is_one_of(&self, names: &[String]) -> bool {
        let family = |name: &str| self.id.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
        names.is_empty() || names.iter().any(|name| matches(name, self.id) || family(name))
    }
}

/// Returns whether `name` matches `pattern`, of which a `*` at its end stands for any rest.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case;

    #[test]
    fn every_pattern_means_a_case() {
        for contestant in ALL_CONTESTANTS {
            for pattern in contestant.cases {
                assert!(
                    case::all().iter().any(|case| matches(pattern, case.name)),
                    "{}: {pattern}",
                    contestant.id
                );
            }
        }
    }

    #[test]
    fn a_family_is_named_by_its_beginning() {
        let named =
            |name: &str| ALL_CONTESTANTS.iter().filter(|one| one.is_one_of(&[name.to_owned()])).count();
        assert_eq!(named("bare"), 3);
        assert_eq!(named("bare-std"), 1);
        assert_eq!(named("bar"), 0);
    }
}
