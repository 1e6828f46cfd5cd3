//! The limits of the machine without a library: `std` is blocking sockets, `tokio` and `tokio-one` are frames with coalesced
//! writes.

mod blocking;
mod client;
mod frames;
mod server;

use peers_common::{Plan, Result, Role};
use tokio::runtime::{Builder, Runtime};

const WORKERS: usize = 2;

fn main() -> Result {
    let (plan, control) = peers_common::start()?;
    match (plan.way.as_str(), plan.role) {
        ("std", Role::Server) => blocking::server(&plan, &control),
        ("std", Role::Client) => blocking::client(&plan, &control),
        ("tokio" | "tokio-one", role) => runtime(&plan)?.block_on(async move {
            // Spawned, because what runs in `block_on` itself is no task of the workers.
            let side = async move {
                match role {
                    Role::Server => server::run(&plan, &control).await,
                    Role::Client => client::run(&plan, &control).await,
                }
            };
            tokio::spawn(side).await?
        }),
        _ => Err(unknown(&plan)),
    }
}

/// `tokio-one` does everything on one thread. `tokio` has the workers that tokio's default gives on two cores, also when it is
/// pinned to one: that is twice as fast there as one worker.
fn runtime(plan: &Plan) -> Result<Runtime> {
    let mut builder = match plan.way.as_str() {
        "tokio-one" => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    Ok(builder.worker_threads(WORKERS).enable_io().build()?)
}

fn unknown(plan: &Plan) -> Box<dyn std::error::Error + Send + Sync> {
    format!("no {:?} by {}", plan.load, plan.way).into()
}
