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
    match ask(caller, deadline, Query::Description).await? {
        Answerer::Here(service) => Ok(Description::clone(&*describe::describe(&service).await)),
        Answerer::There(bytes) => Description::from_bytes(&bytes).map_err(undecodable),
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
    match ask(caller, deadline, Query::Stats).await? {
        Answerer::Here(service) => {
            here(caller, &service).await.map_err(|gone| CallErrorKind::NotSent(gone.to_string()))
        }
        Answerer::There(bytes) => Stats::from_bytes(&bytes).map_err(undecodable),
    }
}

/// Returns the statistics of this node.
async fn here(caller: &Caller, service: &Service) -> Result<Stats, MeshClosed> {
    let node = service.node_stats.upgrade().ok_or(MeshClosed)?;
    caller.context.executor.wait_for(node.send(GetStats)).await?.map_err(|_| MeshClosed)
}

/// The answer, or the local service to read it from.
enum Answerer {
    /// A service of this process, which can be read directly.
    Here(Arc<Service>),
    /// The answer of another process's endpoint, in JSON.
    There(ReplyBytes),
}

async fn ask(caller: &Caller, deadline: Option<Instant>, question: Query) -> Result<Answerer, CallErrorKind> {
    let mut timer = caller.context.timers.sleep_until(deadline);
    let member = caller.wait_for_instance(&mut timer).await?;
    let link = match member {
        Member::Local(service, _) => return Ok(Answerer::Here(service)),
        Member::Remote(link, _) => link,
    };
    let asked = link.query(question, deadline, &attempt::waker().await).map_err(|unsent| match unsent {
        SendError::Encode(error) => CallErrorKind::Encode(error),
        SendError::Closed => CallErrorKind::NotSent("the connection was lost".to_owned()),
        SendError::Full | SendError::NoHandler => {
            CallErrorKind::NotSent("the connection had no room".to_owned())
        }
    })?;
    match attempt::finish_call(&caller.context, asked).await {
        CallEnd::Answered(Outcome::Reply(_, bytes)) => Ok(Answerer::There(bytes)),
        CallEnd::Answered(Outcome::Refused(refusal)) => Err(CallErrorKind::Refused(refusal)),
        CallEnd::TimedOut | CallEnd::Withdrawn => Err(CallErrorKind::TimedOut),
        CallEnd::Lost(_) => Err(CallErrorKind::Lost),
    }
}

fn undecodable(problem: String) -> CallErrorKind {
    CallErrorKind::Decode(DecodeError { path: String::new(), problem })
}
