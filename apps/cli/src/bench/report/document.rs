//! A whole run as a document: `--json` prints it, `--html` renders it and `--compare` reads it.

use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::comparison::Comparison;
use super::rate_search::RateSearch;
use crate::bench::gauge::machine::Machine;
use crate::bench::gauge::percentiles::Percentiles;
use crate::bench::measure::baseline::Baseline;
use crate::bench::measure::measurement::Measurement;
use crate::bench::measure::plan::Plan;
use crate::bench::peer::transport::{Peer, Transport};
use crate::encoding;
use crate::failure::Failure;

/// The version of the format; raise it with every change that an older mz cannot read.
const FORMAT: u32 = 1;
/// The largest file that is read as a saved run.
const LONGEST: u64 = 16 << 20;

/// The benchmark that was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Benchmark {
    Latency,
    Throughput,
    Fanout,
    Sweep,
    Discovery,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) bench: Benchmark,
    pub(crate) header: Header,
    /// The measurement; none for a sweep and discovery.
    pub(crate) run: Option<Case>,
    /// The search for the highest rate.
    pub(crate) find_max: Option<RateSearch>,
    /// Throughput by size, of a sweep.
    pub(crate) sizes: Vec<Case>,
    /// Latency by load, of a sweep.
    pub(crate) loads: Vec<Case>,
    pub(crate) discovery: Option<DiscoveryTimes>,
    pub(crate) comparison: Option<Comparison>,
}

/// The setup of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) transport: String,
    /// The time for which connections spun before they slept, in microseconds.
    pub(crate) spin_us: u64,
    /// The measuring machine and program.
    pub(crate) here: Machine,
    /// The serving machine and program.
    pub(crate) there: Machine,
    /// The end of the run, in seconds since 1970.
    pub(crate) time: u64,
}

/// One measurement with its plan and baselines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) plan: Plan,
    pub(crate) measured: Measurement,
    #[serde(rename = "floors")]
    pub(crate) baselines: Vec<Baseline>,
}

/// Discovery times, round by round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DiscoveryTimes {
    /// From the start of advertising in one process until a watcher in another sees it.
    pub(crate) seen: RoundTimes,
    /// A `discover` by a node without any knowledge.
    pub(crate) cold: RoundTimes,
    /// The same including the time to join the mesh.
    pub(crate) joined: RoundTimes,
}

/// The times of rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RoundTimes {
    /// In microseconds.
    pub(crate) percentiles: Percentiles,
    pub(crate) rounds_ms: Vec<f64>,
}

impl Report {
    pub(crate) fn new(bench: Benchmark, transport: &Transport, peer: &Peer) -> Self {
        let header = Header {
            transport: transport.to_string(),
            spin_us: peer.spin.as_micros() as u64,
            here: Machine::this(),
            there: peer.greeting.machine.clone(),
            // A clock before 1970 is not worth a failure.
            time: SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()),
        };
        let (sizes, loads) = (Vec::new(), Vec::new());
        Self {
            format: FORMAT,
            bench,
            header,
            run: None,
            find_max: None,
            sizes,
            loads,
            discovery: None,
            comparison: None,
        }
    }

    /// Reads a run of this kind that `--json` printed.
    pub(crate) fn read(path: &Path, bench: Benchmark) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }

        let shown = path.display();
        let cannot = |error: std::io::Error| Failure::Usage(format!("cannot read {shown}: {error}"));
        if std::fs::metadata(path).map_err(cannot)?.len() > LONGEST {
            return Err(Failure::Usage(format!("{shown} is too long for a saved run")));
        }
        let bytes = std::fs::read(path).map_err(cannot)?;
        let text = encoding::decode(&bytes).map_err(|error| Failure::Usage(format!("{shown} {error}")))?;
        let form: Form = serde_json::from_str(&text).map_err(|error| {
            Failure::Usage(format!(
                "{shown} is not a saved run ({error}); save one with: mz bench {} --json > {shown}",
                bench.name()
            ))
        })?;
        if form.format != FORMAT {
            return Err(Failure::Usage(format!(
                "{shown} was saved in format {}, and this mz reads format {FORMAT}: measure again with the same mz",
                form.format
            )));
        }
        let read: Self = serde_json::from_str(&text)
            .map_err(|error| Failure::Usage(format!("{shown} is not a complete saved run: {error}")))?;
        if read.bench != bench {
            return Err(Failure::Usage(format!(
                "{shown} is a saved run of {}, and this is one of {}",
                read.bench.name(),
                bench.name()
            )));
        }
        Ok(read)
    }

    /// Returns all measurements of the run.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &Case> {
        self.run.iter().chain(&self.sizes).chain(&self.loads)
    }

    /// Returns whether both sides are builds with meaningful results.
    pub(crate) fn is_release(&self) -> bool {
        self.header.here.is_release() && self.header.there.is_release()
    }
}

impl Benchmark {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Throughput => "throughput",
            Self::Fanout => "fanout",
            Self::Sweep => "sweep",
            Self::Discovery => "discovery",
        }
    }
}
