//! Measuring: one side sends numbered packets, the other receives and counts them.
//!
//! From the ground up: `traffic` and `gauge` hold what is sent and how it is gauged, `baseline` does the same without a
//! mesh, `peer` is the receiving side and the way to it, `load` generates packets, `measure` takes one measurement,
//! `report` holds, renders and compares results, and `runs` composes measurements into reports.

mod baseline;
mod gauge;
mod load;
mod measure;
mod peer;
mod report;
mod runs;
mod traffic;

pub(crate) use load::open_loop::reduce_timer_slack;
pub(crate) use measure::plan::{MessageKind, Plan};
pub(crate) use peer::serve::serve;
pub(crate) use peer::transport::{Peer, Transport, with_room};
pub(crate) use report::compare::compare;
pub(crate) use report::document::{Benchmark, Report};
pub(crate) use report::html::HtmlPage;
pub(crate) use runs::discovery::discovery;
pub(crate) use runs::find_max::LatencyBound;
pub(crate) use runs::messages::{SCHEDULED_CALLS, TIMED_THROUGHPUT, single, sweep};
pub(crate) use traffic::packet::{LONGEST, SHORTEST};
pub(crate) use traffic::protocol::{MAX_SUBSCRIBERS, NAME};
