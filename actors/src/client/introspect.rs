//! Introspection: asks one instance for its description, or for the statistics of its node.

use std::sync::Arc;
use std::time::Instant;

use meshzero_proto::codec::DecodeError;
use meshzero_proto::wire::description::Description;

use crate::client::attempt;
use crate::client::caller::Caller;
use crate::client::error::CallErrorKind;
use crate::client::link::{CallEnd, Query, SendError};
use crate::client::route::Member;
use crate::message::payload::ReplyBytes;
use crate::runtime::executor::MeshClosed;
use crate::server::describe;
use crate::server::request::inbound::Outcome;
use crate::server::service::Service;
use crate::telemetry::stats::{GetStats, Stats};

/// Asks one instance for its description.
///
/// # Errors
/// [`CallErrorKind`].
///
/// # Cancel safety
/// This function is cancel safe: dropping the future cancels the request.
pub async fn description(caller: &Caller, deadline: Option<Instant>) -> Result<Description, CallErrorKind> {
    match send_query(caller, deadline, Query::Description).await? {
        Answer::Local(service) => Ok(Description::clone(&*describe::describe(&service).await)),
        Answer::Remote(bytes) => Description::from_bytes(&bytes).map_err(undecodable),
    }
}

/// Asks the node of one instance for its statistics.
///
/// # Errors
/// [`CallErrorKind`].
///
/// # Cancel safety
/// This function is cancel safe: dropping the future cancels the request.
pub async fn stats(caller: &Caller, deadline: Option<Instant>) -> Result<Stats, CallErrorKind> {
    match send_query(caller, deadline, Query::Stats).await? {
        Answer::Local(service) => {
            local_stats(caller, &service).await.map_err(|closed| CallErrorKind::NotSent(closed.to_string()))
        }
        Answer::Remote(bytes) => Stats::from_bytes(&bytes).map_err(undecodable),
    }
}

/// Returns the statistics of this node.
async fn local_stats(caller: &Caller, service: &Service) -> Result<Stats, MeshClosed> {
    let node = service.node_stats.upgrade().ok_or(MeshClosed)?;
    caller.context.executor.wait_for(node.send(GetStats)).await?.map_err(|_| MeshClosed)
}

/// The answer to a query, or the local service to read it from.
enum Answer {
    /// A service of this process, which can be read directly.
    Local(Arc<Service>),
    /// The answer of another process's endpoint, in JSON.
    Remote(ReplyBytes),
}

async fn send_query(
    caller: &Caller,
    deadline: Option<Instant>,
    query: Query,
) -> Result<Answer, CallErrorKind> {
    let mut expiry = caller.context.timers.sleep_until(deadline);
    let member = caller.wait_for_instance(&mut expiry).await?;
    let link = match member {
        Member::Local(service, _) => return Ok(Answer::Local(service)),
        Member::Remote(link, _) => link,
    };
    let reply =
        link.query(query, deadline, &attempt::current_waker().await).map_err(|error| match error {
            SendError::Encode(error) => CallErrorKind::Encode(error),
            SendError::Closed => CallErrorKind::NotSent("the connection was lost".to_owned()),
            SendError::Full | SendError::NoHandler => {
                CallErrorKind::NotSent("the connection had no room".to_owned())
            }
        })?;
    match attempt::finish_call(&caller.context, reply).await {
        CallEnd::Answered(Outcome::Reply(_, bytes)) => Ok(Answer::Remote(bytes)),
        CallEnd::Answered(Outcome::Refused(refusal)) => Err(CallErrorKind::Refused(refusal)),
        CallEnd::TimedOut | CallEnd::Withdrawn => Err(CallErrorKind::TimedOut),
        CallEnd::Lost(_) => Err(CallErrorKind::Lost),
    }
}

fn undecodable(problem: String) -> CallErrorKind {
    CallErrorKind::Decode(DecodeError { path: String::new(), problem })
}
