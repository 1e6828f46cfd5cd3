//! kameo: actors of another process over libp2p, found by its DHT.

mod actors;
mod client;
mod server;
mod swarm;

use peers_common::{Control, Load, Plan, Result, Role};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result {
    let (plan, control) = peers_common::start()?;
    // Spawned, because what runs in `main` itself is no task of the workers.
    tokio::spawn(async move { run(&plan, &control).await }).await?
}

async fn run(plan: &Plan, control: &Control) -> Result {
    match (plan.role, plan.load) {
        (Role::Server, _) => server::run(plan, control).await,
        (Role::Client, Load::RoundTrip) => client::round_trips(plan, control).await,
        (Role::Client, Load::Calls) => client::calls(plan, control).await,
        (Role::Client, Load::OneWay) => client::tell(plan, control).await,
        (Role::Client, Load::FanOut) => Err("kameo publishes nothing to other processes".into()),
    }
}
