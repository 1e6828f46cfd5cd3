//! The serving side of calls and tells.

use actix::prelude::*;
use meshzero::{Mesh, Service};
use peers_common::{Control, Payload, Plan, Result, Sink, Tally};

use crate::found;
use crate::messages::{Echo, Echoes, Receiver, Tell};

/// The name of a service of the run; the load goes to the first, or to as many as there are links.
pub(crate) fn name(index: usize) -> String {
    format!("peer-{index}")
}

pub(crate) async fn echo<P: Payload>(plan: &Plan, control: &Control) -> Result {
    let mesh = found(plan).await?;
    let _service = mesh.advertise(name(0), || Echoes).handles::<Echo<P>>().await?;
    control.ready(mesh.name());
    control.over().await;
    mesh.close().await;
    Ok(())
}

pub(crate) async fn receive<P: Payload>(plan: &Plan, control: &Control) -> Result {
    let mesh = found(plan).await?;
    let mut services = Vec::new();
    for (index, tally) in Sink::start(plan, control, plan.links)?.into_iter().enumerate() {
        services.push(advertise::<P>(plan, &mesh, index, tally).await?);
    }
    for index in plan.links..plan.services {
        services.push(advertise::<P>(plan, &mesh, index, Tally::default()).await?);
    }
    control.ready(mesh.name());
    control.over().await;
    mesh.close().await;
    Ok(())
}

async fn advertise<P: Payload>(
    plan: &Plan,
    mesh: &Mesh,
    index: usize,
    tally: Tally,
) -> Result<Service<Receiver>> {
    let service = if plan.way == "foreign" {
        mesh.advertise_addr(name(index), Receiver(tally).start())
    } else {
        let mut tally = Some(tally);
        mesh.advertise(name(index), move || Receiver(tally.take().unwrap_or_default()))
    };
    Ok(service.handles::<Tell<P>>().await?)
}
