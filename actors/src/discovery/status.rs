//! Requests for the state and the observations of discovery, for errors and statistics.

use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::diagnosis::{Attempt, AttemptOutcome};
use meshzero_proto::discovery::directory::Filter;
use meshzero_proto::id::InstanceId;

use crate::discovery::report::DiscoveryReport;
use crate::telemetry::stats::DiscoveryStats;

/// The time after which a silent endpoint counts as not answering; an answer takes a millisecond.
const SILENCE: Duration = Duration::from_millis(200);

/// Asks for a report of all observations, for an error message.
#[derive(Debug, Message)]
#[rtype(result = "DiscoveryReport")]
pub struct GetReport;

/// Asks how long ago the processes of these instances replied to a question, for those that ever did.
#[derive(Debug, Message)]
#[rtype(result = "Vec<(InstanceId, Duration)>")]
pub struct GetReplyAges(pub Vec<InstanceId>);

/// Asks how many services of a filter are known and not shown, because of a limit.
#[derive(Debug, Message)]
#[rtype(result = "usize")]
pub struct CountHidden(pub Filter);

/// Asks for statistics.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "DiscoveryStats")]
pub struct GetDiscoveryStats;

/// Returns whether an attempt is too young to count.
pub(super) fn is_recent(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, AttemptOutcome::Silent | AttemptOutcome::Accepted) && attempt.took < SILENCE
}
