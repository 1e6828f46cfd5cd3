//! NATS: requests and publishing through a server of its own, `nats-server`, whose work counts too.

mod broker;
mod client;
mod server;

use peers_common::{Control, Load, Plan, Result, Role};

/// The subjects of requests, of published items, and of reports on how many items have arrived: NATS drops what a slow subscriber
/// cannot take, and then the subscriber.
const ECHO: &str = "peers.echo";
const ITEM: &str = "peers.item";
const ARRIVED: &str = "peers.arrived";

#[tokio::main(worker_threads = 2)]
async fn main() -> Result {
    let (plan, control) = peers_common::start()?;
    // Spawned, because what runs in `main` itself is no task of the workers.
    tokio::spawn(async move { run(&plan, &control).await }).await?
}

async fn run(plan: &Plan, control: &Control) -> Result {
    match (plan.role, plan.load) {
        (Role::Server, Load::RoundTrip | Load::Calls) => server::echo(plan, control).await,
        (Role::Server, Load::OneWay | Load::FanOut) => server::publish(plan, control).await,
        (Role::Client, Load::RoundTrip) => client::round_trips(plan, control).await,
        (Role::Client, Load::Calls) => client::calls(plan, control).await,
        (Role::Client, Load::OneWay | Load::FanOut) => client::subscribe(plan, control).await,
    }
}

async fn connect(address: &str) -> Result<async_nats::Client> {
    Ok(async_nats::connect(format!("nats://{address}")).await?)
}

fn payload(number: u64, plan: &Plan) -> bytes::Bytes {
    peers_common::with_number(number, plan.size).into()
}
