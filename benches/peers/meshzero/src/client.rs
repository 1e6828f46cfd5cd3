//! The calling side of calls and tells.

use std::thread;

use meshzero::{Mesh, ServiceRef};
use peers_common::{Callers, Control, Numbers, Payload, Plan, Result, RoundTrips, block_on, shared_body};
use tokio::task::JoinSet;

use crate::join;
use crate::messages::{Echo, Tell};
use crate::server::name;

pub(crate) async fn round_trips<P: Payload>(plan: &Plan, control: &Control) -> Result {
    let (mesh, service) = discover(plan).await?;
    control.ready("");
    control.go().await;
    let body = shared_body(plan.size);
    let mut trips = RoundTrips::new(plan, control);
    while let Some(number) = trips.next_number() {
        let reply = service.send(Echo(P::new(number, &body))).await;
        trips.answered(reply.ok().map(|payload| payload.number()));
    }
    trips.tell();
    leave(&mesh, control).await
}

pub(crate) async fn calls<P: Payload>(plan: &Plan, control: &Control) -> Result {
    let (mesh, service) = discover(plan).await?;
    control.ready("");
    control.go().await;
    let mut tasks = JoinSet::new();
    for mut caller in Callers::start(plan, control, plan.in_flight)? {
        let (service, body) = (service.clone(), shared_body(plan.size));
        tasks.spawn_local(async move {
            while let Some(number) = caller.next_number() {
                let reply = service.send(Echo(P::new(number, &body))).await;
                caller.answered(number, reply.ok().map(|payload| payload.number()));
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    leave(&mesh, control).await
}

pub(crate) async fn tell<P: Payload>(plan: &Plan, control: &Control) -> Result {
    let mesh = join(plan, &plan.at).await?;
    let mut services = Vec::new();
    for index in 0..plan.links {
        services.push(mesh.discover(name(index)).await?);
    }
    control.ready("");
    control.go().await;
    let (numbers, size) = (Numbers::new(control), plan.size);
    if plan.way == "thread" {
        let (done, told) = tokio::sync::oneshot::channel();
        thread::Builder::new().name("teller".to_owned()).spawn(move || {
            // Nobody waits for it when the process ends early.
            let _ = done.send(block_on(tell_all::<P>(numbers, services, size)));
        })?;
        told.await??;
    } else {
        tell_all::<P>(numbers, services, size).await?;
    }
    leave(&mesh, control).await
}

async fn tell_all<P: Payload>(mut numbers: Numbers, services: Vec<ServiceRef>, size: usize) -> Result {
    let body = shared_body(size);
    while let Some(number) = numbers.next_number() {
        for service in &services {
            service.tell(Tell(P::new(number, &body))).await?;
        }
    }
    numbers.tell();
    Ok(())
}

async fn discover(plan: &Plan) -> Result<(Mesh, ServiceRef)> {
    let mesh = join(plan, &plan.at).await?;
    let service = mesh.discover(name(0)).await?;
    Ok((mesh, service))
}

async fn leave(mesh: &Mesh, control: &Control) -> Result {
    control.over().await;
    mesh.close().await;
    Ok(())
}
