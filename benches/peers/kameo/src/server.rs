//! The serving side: one actor, registered under its name.

use kameo::actor::Spawn;
use peers_common::{Control, Load, Plan, Result, Sink, Tally};

use crate::actors::{NAME, Peer};
use crate::swarm::join;

pub(crate) async fn run(plan: &Plan, control: &Control) -> Result {
    let address = join(None).await?;
    let tally = match plan.load {
        Load::OneWay => Sink::start(plan, control, 1)?.pop().ok_or("one receiver has one tally")?,
        _ => Tally::default(),
    };
    let peer = Peer::spawn(Peer(tally));
    peer.register(NAME).await?;
    control.ready(address);
    control.over().await;
    Ok(())
}
