//! actix-telepathy: one cluster of two nodes. Calls are two tells, because it has no replies; one-way messages are held back by
//! acknowledgements, because it has no bound.

mod calls;
mod messages;
mod node;
mod one_way;

use peers_common::{Load, Result, Role};

fn main() -> Result {
    let (plan, control) = peers_common::start()?;
    // Spawned, like the code of an actor.
    let side = async move {
        match (plan.role, plan.load) {
            (Role::Server, Load::RoundTrip | Load::Calls) => calls::answer(&control).await,
            (Role::Client, Load::RoundTrip) => calls::round_trips(&plan, &control).await,
            (Role::Client, Load::Calls) => calls::window(&plan, &control).await,
            (Role::Server, Load::OneWay | Load::FanOut) => one_way::publish(&plan, &control).await,
            (Role::Client, Load::OneWay | Load::FanOut) => one_way::receive(&plan, &control).await,
        }
    };
    actix::System::new().block_on(async move { actix::spawn(side).await? })
}
