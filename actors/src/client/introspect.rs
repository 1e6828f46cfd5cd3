//! Introspection: asks one instance for its description, or for the statistics of its node.

use std::sync::Arc;
use std::time::Instant;

use meshzero_proto::codec::DecodeError;
use meshzero_proto::wire::description::Description;

use crate::client::attempt;
use crate::client::caller::Caller;
use crate::client::error::Fault;
use crate::client::link::{Ended, Question, Unsent};
use crate::client::route::Member;
use crate::message::payload::Payload;
use crate::runtime::executor::Gone;
use crate::server::describe;
use crate::server::request::inbound::Outcome;
use crate::server::service::Service;
use crate::telemetry::stats::{AskStats, Stats};

/// Asks one instance for its description.
///
/// # Errors
/// [`Fault`].
///
/// # Cancel safety
/// Dropping the future asks no more.
pub async fn description(caller: &Caller, deadline: Option<Instant>) -> Result<Description, Fault> {
    match ask(caller, deadline, Question::Description).await? {
        Told::Here(service) => Ok(Description::clone(&*describe::describe(&service).await)),
        Told::There(bytes) => Description::from_bytes(&bytes).map_err(undecodable),
    }
}

/// Asks the node of one instance for what it has counted.
///
/// # Errors
/// [`Fault`].
///
/// # Cancel safety
/// Dropping the future asks no more.
pub async fn stats(caller: &Caller, deadline: Option<Instant>) -> Result<Stats, Fault> {
    match ask(caller, deadline, Question::Stats).await? {
        Told::Here(service) => here(caller, &service).await.map_err(|gone| Fault::NotSent(gone.to_string())),
        Told::There(bytes) => Stats::from_bytes(&bytes).map_err(undecodable),
    }
}

/// Asks this node.
async fn here(caller: &Caller, service: &Service) -> Result<Stats, Gone> {
    let node = service.node_stats.upgrade().ok_or(Gone)?;
    caller.context.home.hear(node.send(AskStats)).await?.map_err(|_| Gone)
}

/// The answer, or the one that can be looked at.
enum Told {
    /// A service of this process, which can be looked at.
    Here(Arc<Service>),
    /// The endpoint of another, in JSON.
    There(Payload),
}

async fn ask(caller: &Caller, deadline: Option<Instant>, question: Question) -> Result<Told, Fault> {
    let mut alarm = caller.context.alarms.at(deadline);
    let member = caller.instance(&mut alarm).await?;
    let link = match member {
        Member::Local(service, _) => return Ok(Told::Here(service)),
        Member::Remote(link, _) => link,
    };
    let asked = link.ask(question, deadline, &attempt::waker().await).map_err(|unsent| match unsent {
        Unsent::Encode(error) => Fault::Encode(error),
        Unsent::Closed => Fault::NotSent("the connection was lost".to_owned()),
        Unsent::Full | Unsent::NoHandler => Fault::NotSent("the connection had no room".to_owned()),
    })?;
    match attempt::ended(&caller.context, asked).await {
        Ended::Answered(Outcome::Reply(_, bytes)) => Ok(Told::There(bytes)),
        Ended::Answered(Outcome::Refused(refusal)) => Err(Fault::Refused(refusal)),
        Ended::TimedOut | Ended::Withdrawn => Err(Fault::TimedOut),
        Ended::Lost(_) => Err(Fault::Lost),
    }
}

fn undecodable(problem: String) -> Fault {
    Fault::Decode(DecodeError { path: String::new(), problem })
}
