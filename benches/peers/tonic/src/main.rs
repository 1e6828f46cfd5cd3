//! tonic: unary calls, and server streams for one way, over HTTP/2 without encryption.

mod client;
mod proto;
mod server;

use peers_common::{Control, Load, Plan, Result, Role};

/// The windows of HTTP/2, wide enough for messages of 1 MiB.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

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
        (Role::Client, Load::OneWay | Load::FanOut) => client::listen(plan, control).await,
    }
}
