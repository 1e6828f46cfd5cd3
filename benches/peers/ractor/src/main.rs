//! ractor_cluster: two nodes, whose actors find each other by a group of processes.

mod calls;
mod messages;
mod node;
mod one_way;

use peers_common::{Load, Result, Role};

#[tokio::main]
async fn main() -> Result {
    let (plan, control) = peers_common::start()?;
    match (plan.role, plan.load) {
        (Role::Server, Load::RoundTrip | Load::Calls) => calls::answer(&control).await,
        (Role::Client, Load::RoundTrip) => calls::round_trips(&plan, &control).await,
        (Role::Client, Load::Calls) => calls::many(&plan, &control).await,
        (Role::Server, Load::OneWay | Load::FanOut) => one_way::publish(&plan, &control).await,
        (Role::Client, Load::OneWay | Load::FanOut) => one_way::receive(&plan, &control).await,
    }
}
