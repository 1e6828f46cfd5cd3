//! The targets of meshzero beside the others, as ratios from one run.

use crate::builds::Profile;
use crate::contestant::{ALL_CONTESTANTS, Contestant};
use crate::report::{Medians, Report, megabytes};

/// One figure of meshzero's, beside another's.
struct Target {
    what: &'static str,
    case: &'static str,
    ours: &'static str,
    figure: Figure,
    against: Against,
    bound: f64,
}

/// The kind of figure; more is better for rates only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Figure {
    Rate,
    RoundTrip,
    Cpu,
    IdleMb,
    PeakMb,
}

#[derive(Clone, Copy)]
enum Against {
    /// Another contestant in the same case.
    One(&'static str),
    /// The best of all that are neither meshzero nor bare.
    BestPeer,
    /// The same contestant in another case.
    Case(&'static str),
    /// The same contestant in the same case, with LTO.
    Lto,
    /// The figure itself.
    Nothing,
}

const fn target(
    what: &'static str,
    case: &'static str,
    ours: &'static str,
    figure: Figure,
    against: Against,
    bound: f64,
) -> Target {
    Target { what, case, ours, figure, against, bound }
}

const TARGETS: &[Target] = {
    use Against::{BestPeer, Case, Lto, Nothing, One};
    use Figure::{Cpu, IdleMb, PeakMb, Rate, RoundTrip};
    const TOKIO: Against = One("bare-tokio");
    const TELLS: Against = One("meshzero-tell");
    &[
        target("round trip, one core", "rtt-pinned", "meshzero-call", RoundTrip, TOKIO, 1.1),
        target("round trip, one core", "rtt-pinned", "meshzero-call", RoundTrip, BestPeer, 1.0),
        target("round trip, free cores", "rtt-free", "meshzero-call", RoundTrip, TOKIO, 0.8),
        target("round trip, free cores", "rtt-free", "meshzero-call", RoundTrip, BestPeer, 1.0),
        target("round trip, spinning, µs", "rtt-free", "meshzero-spin", RoundTrip, Nothing, 10.0),
        target("calls, one core", "calls64-pinned", "meshzero-call", Rate, TOKIO, 3.0),
        target("calls, free cores", "calls64-free", "meshzero-call", Rate, TOKIO, 1.1),
        target("calls, free cores", "calls64-free", "meshzero-call", Rate, One("zmq-call"), 1.0),
        target("tells, 8 B", "oneway8", "meshzero-tell", Rate, TOKIO, 4.0),
        target("tells, 8 B", "oneway8", "meshzero-tell", Rate, BestPeer, 4.0),
        target("tells, 64 B", "oneway64", "meshzero-tell", Rate, TOKIO, 3.0),
        target("tells, 64 B", "oneway64", "meshzero-tell", Rate, BestPeer, 4.0),
        target("news, 8 B", "oneway8", "meshzero-news", Rate, TELLS, 0.9),
        target("news, 8 B", "oneway8", "meshzero-news", Rate, BestPeer, 4.0),
        target("news, 64 B", "oneway64", "meshzero-news", Rate, TELLS, 0.9),
        target("news, 64 B", "oneway64", "meshzero-news", Rate, BestPeer, 4.0),
        target("tells to the user's `Addr`", "oneway64", "meshzero-foreign", Rate, TOKIO, 1.0),
        target("tells from another thread", "oneway64", "meshzero-thread", Rate, TOKIO, 1.5),
        target("tells, 1 KiB", "oneway1k", "meshzero-tell", Rate, TOKIO, 1.15),
        target("news, 1 KiB", "oneway1k", "meshzero-news", Rate, TOKIO, 1.15),
        target("tells, 64 KiB", "oneway64k", "meshzero-tell", Rate, TOKIO, 1.5),
        target("news, 64 KiB", "oneway64k", "meshzero-news", Rate, TOKIO, 1.5),
        target("tells, 1 MiB", "oneway1m", "meshzero-tell", Rate, TOKIO, 1.5),
        target("news, 1 MiB", "oneway1m", "meshzero-news", Rate, TOKIO, 1.5),
        target("1 to 8", "fanout8", "meshzero-news", Rate, TOKIO, 4.0),
        target("1 to 8", "fanout8", "meshzero-news", Rate, BestPeer, 5.0),
        target("CPU, news", "oneway64", "meshzero-news", Cpu, TOKIO, 0.5),
        target("CPU, calls, free cores", "calls64-free", "meshzero-call", Cpu, TOKIO, 0.6),
        target(
            "a call in the same process",
            "inproc",
            "meshzero-inproc",
            Rate,
            One("actix-inproc"),
            1.0 / 1.3,
        ),
        target("MB, idle", "rtt-free", "meshzero-call", IdleMb, Nothing, 12.0),
        target("MB, calls", "calls64-free", "meshzero-call", PeakMb, Nothing, 40.0),
        target("MB, tells, 64 B", "oneway64", "meshzero-tell", PeakMb, Nothing, 40.0),
        target("MB, tells, 1 MiB", "oneway1m", "meshzero-tell", PeakMb, Nothing, 40.0),
        target("MB, news, 1 MiB", "oneway1m", "meshzero-news", PeakMb, Nothing, 40.0),
        target("MB, 1 to 8", "fanout8", "meshzero-news", PeakMb, Nothing, 40.0),
        target("MB, 100 links", "links100", "meshzero-tell", PeakMb, Nothing, 60.0),
        target("CPU, 10 services", "services10", "meshzero-tell", Cpu, Case("services1"), 1.15),
        target("CPU, 100 services", "services100", "meshzero-tell", Cpu, Case("services1"), 1.15),
        target("CPU, 1,000 services", "services1000", "meshzero-tell", Cpu, Case("services1"), 1.15),
        target("CPU, 10 links", "links10", "meshzero-tell", Cpu, Case("links1"), 1.15),
        target("CPU, 100 links", "links100", "meshzero-tell", Cpu, Case("links1"), 1.15),
        target("CPU, tells, 8 B", "oneway8", "meshzero-tell", Cpu, Lto, 1.15),
        target("CPU, tells, 64 B", "oneway64", "meshzero-tell", Cpu, Lto, 1.15),
        target("CPU, news, 64 B", "oneway64", "meshzero-news", Cpu, Lto, 1.15),
        target("CPU, calls, one core", "calls64-pinned", "meshzero-call", Cpu, Lto, 1.15),
    ]
};

/// The targets in `profile` for which both figures were measured, as a Markdown table; empty if there are none.
pub(crate) fn markdown(report: &Report, profile: Profile) -> String {
    let rows: String = TARGETS.iter().filter_map(|target| target.row(report, profile)).collect();
    if rows.is_empty() {
        return rows;
    }
    format!("\n**Targets of meshzero**\n\n| | beside | ratio | target | |\n|---|---|---:|---:|---|\n{rows}")
}

impl Target {
    fn row(&self, report: &Report, profile: Profile) -> Option<String> {
        let ours = self.figure.of(&report.medians(self.ours, self.case, profile)?)?;
        let (beside, theirs) = self.other(report, profile)?;
        let ratio = ours / theirs;
        let (met, sign) = match self.figure {
            Figure::Rate => (ratio >= self.bound, '≥'),
            _ => (ratio <= self.bound, '≤'),
        };
        let met = if met { "met" } else { "**missed**" };
        Some(format!("| {} | {beside} | {ratio:.2} | {sign} {:.2} | {met} |\n", self.what, self.bound))
    }

    fn other(&self, report: &Report, profile: Profile) -> Option<(&'static str, f64)> {
        let figure_in = |contestant: &str, case: &str, profile| {
            self.figure.of(&report.medians(contestant, case, profile)?)
        };
        let figure = |contestant: &str, case: &str| figure_in(contestant, case, profile);
        match self.against {
            Against::One(other) => Some((other, figure(other, self.case)?)),
            Against::Case(case) => Some((case, figure(self.ours, case)?)),
            Against::Lto if profile == Profile::Lto => None,
            Against::Lto => Some(("the same with LTO", figure_in(self.ours, self.case, Profile::Lto)?)),
            Against::Nothing => Some(("–", 1.0)),
            Against::BestPeer => ALL_CONTESTANTS
                .iter()
                .filter(|contestant| is_peer(contestant))
                .filter_map(|peer| Some((peer.id, figure(peer.id, self.case)?)))
                .reduce(|best, other| if self.figure.is_better(other.1, best.1) { other } else { best }),
        }
    }
}

fn is_peer(contestant: &Contestant) -> bool {
    !["meshzero", "bare", "actix"].iter().any(|own| contestant.is_one_of(&[(*own).to_owned()]))
}

impl Figure {
    fn of(self, medians: &Medians) -> Option<f64> {
        let mb = |server: u64, client: u64| megabytes(server.max(client));
        match self {
            Self::Rate => Some(medians.per_second),
            Self::RoundTrip => medians.p50_us,
            Self::Cpu => Some(medians.cpu_per_million),
            Self::IdleMb => Some(mb(medians.server_idle_kib, medians.client_idle_kib)),
            Self::PeakMb => Some(mb(medians.server_peak_kib, medians.client_peak_kib)),
        }
    }

    fn is_better(self, one: f64, other: f64) -> bool {
        if self == Self::Rate { one > other } else { one < other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case;

    #[test]
    fn every_target_names_a_case_and_contestants_that_do_it() {
        let does = |id: &str, case: &str| ALL_CONTESTANTS.iter().any(|one| one.id == id && one.does(case));
        for target in TARGETS {
            assert!(case::all().iter().any(|case| case.name == target.case), "{}", target.case);
            assert!(does(target.ours, target.case), "{} {}", target.ours, target.case);
            match target.against {
                Against::One(other) => assert!(does(other, target.case), "{other} {}", target.case),
                Against::Case(case) => assert!(does(target.ours, case), "{case}"),
                Against::BestPeer | Against::Lto | Against::Nothing => {}
            }
        }
    }
}
