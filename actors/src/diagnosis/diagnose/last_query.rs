//! A last query for endpoints that refuse connections: a process whose responder replies now has not ended.

use std::collections::BTreeSet;
use std::time::Duration;

use meshzero_proto::diagnosis::Sought;
use meshzero_proto::diagnosis::absence::is_refusal;

use super::{POLL_INTERVAL, names};
use crate::context::NodeContext;
use crate::discovery::report::{DiscoveryReport, UnansweredInstance};
use crate::discovery::{GetReport, RepeatQueries};
use crate::runtime::clock;

/// The age up to which a reply is recent enough.
const MAX_AGE: Duration = Duration::from_secs(1);
/// The longest wait for replies; they take milliseconds.
const TIMEOUT: Duration = Duration::from_millis(120);
/// The most names that are queried.
const MAX_NAMES: usize = 8;

/// Queries once more for endpoints that refuse connections, and returns the report with the new replies.
///
/// # Cancel safety
/// This function is cancel safe.
pub(super) async fn with_replies(
    context: &NodeContext,
    target: &Sought,
    mut report: DiscoveryReport,
) -> DiscoveryReport {
    let is_open =
        |unanswered: &&UnansweredInstance| names(target, &unanswered.service) && is_open(unanswered);
    let refusing: BTreeSet<_> =
        report.unanswered.iter().filter(is_open).map(|unanswered| unanswered.service.clone()).collect();
    if refusing.is_empty() || !context.config.network.has_multicast() {
        return report;
    }
    let until = clock::now() + TIMEOUT;
    if context.ask_discovery(RepeatQueries(refusing.into_iter().take(MAX_NAMES).collect())).await.is_err() {
        return report;
    }
    while report.unanswered.iter().any(|unanswered| is_open(&unanswered)) && clock::now() < until {
        context.timers.sleep_until(Some(clock::now() + POLL_INTERVAL)).await;
        match context.ask_discovery(GetReport).await {
            Ok(newer) => report = newer,
            Err(_) => return report,
        }
    }
    report
}

/// Returns whether an endpoint refuses connections, and its process has not replied lately.
fn is_open(unanswered: &UnansweredInstance) -> bool {
    unanswered.replied_ago.is_none_or(|ago| ago > MAX_AGE)
        && unanswered.attempts.iter().any(|attempt| is_refusal(&attempt.outcome))
}
