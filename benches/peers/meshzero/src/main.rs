//! meshzero through its public API: calls, tells and news between two processes, and calls within one.

mod client;
mod inproc;
mod messages;
mod news;
mod server;

use std::time::Duration;

use meshzero::{Limits, Mesh};
use peers_common::{Control, Load, Payload, Plan, Result, Role, WithPayload, of_size_or};

use crate::messages::Picture;

fn main() -> Result {
    let (plan, control) = peers_common::start()?;
    // Spawned, like the code of an actor.
    actix::System::new().block_on(async move {
        actix::spawn(of_size_or::<Picture, _>(plan.size, Run { plan: plan.clone(), control })).await?
    })
}

struct Run {
    plan: Plan,
    control: Control,
}

impl WithPayload for Run {
    type Output = std::pin::Pin<Box<dyn Future<Output = Result>>>;

    fn with<P: Payload>(self) -> Self::Output {
        Box::pin(async move { run::<P>(&self.plan, &self.control).await })
    }
}

async fn run<P: Payload>(plan: &Plan, control: &Control) -> Result {
    let way = plan.way.strip_suffix(OVER_TCP).unwrap_or(&plan.way);
    match (way, plan.role, plan.load) {
        ("inproc", Role::Client, Load::Calls) => inproc::through_the_mesh::<P>(plan, control).await,
        ("actix", Role::Client, Load::Calls) => inproc::through_actix::<P>(plan, control).await,
        ("news", Role::Server, _) => news::publish::<P>(plan, control).await,
        ("news", Role::Client, _) => news::subscribe::<P>(plan, control).await,
        (_, Role::Server, Load::RoundTrip | Load::Calls) => server::echo::<P>(plan, control).await,
        (_, Role::Server, Load::OneWay) => server::receive::<P>(plan, control).await,
        (_, Role::Client, Load::RoundTrip) => client::round_trips::<P>(plan, control).await,
        (_, Role::Client, Load::Calls) => client::calls::<P>(plan, control).await,
        (_, Role::Client, Load::OneWay) => client::tell::<P>(plan, control).await,
        (way, _, load) => Err(format!("no {load:?} by {way}").into()),
    }
}

/// The end of the name of a way that does without Unix sockets.
const OVER_TCP: &str = "-tcp";

/// The time for which a node that may spin polls for the next message before it sleeps.
const SPIN: Duration = Duration::from_micros(50);

/// Joins the mesh of this run. Both processes allow messages of 1 MiB with their headers, and as many services of one node as
/// there are.
async fn join(plan: &Plan, mesh: &str) -> Result<Mesh> {
    let mut limits = Limits::default();
    limits.message_bytes = 2 << 20;
    limits.instances_per_node = 1_024;
    let uses_unix_sockets = !plan.way.ends_with(OVER_TCP);
    let spin = if plan.way == "spin" { SPIN } else { Duration::ZERO };
    Ok(Mesh::join().mesh(mesh).limits(limits).unix_sockets(uses_unix_sockets).spin(spin).await?)
}

/// A mesh of the server's own, so that it finds nothing else on this machine.
async fn found(plan: &Plan) -> Result<Mesh> {
    join(plan, &format!("peers-{}", std::process::id())).await
}
