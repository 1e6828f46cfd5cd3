//! ractor_cluster: two nodes, whose actors find each other by a group of processes.

mod calls;
mod messages;
mod node;
mod one_way;

use peers_common::{Control, Load, Plan, Result, Role};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result {
    let (plan, control) = peers_common::start()?;
    // Spawned, because what runs in `main` itself is no task of the workers.
    tokio::spawn(async move { run(&plan, &control).await }).await?
}

async fn run(plan: &Plan, control: &Control) -> Result {
    match (plan.role, plan.load) {
        (Role::Server, Load::RoundTrip | Load::Calls) => calls::answer(control).await,
        (Role::Client, Load::RoundTrip) => calls::round_trips(plan, control).await,
        (Role::Client, Load::Calls) => calls::many(plan, control).await,
        (Role::Server, Load::OneWay | Load::FanOut) => one_way::publish(plan, control).await,
        (Role::Client, Load::OneWay | Load::FanOut) => one_way::receive(plan, control).await,
    }
}
