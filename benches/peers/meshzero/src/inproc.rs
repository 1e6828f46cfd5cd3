//! Calls within one process, through the mesh and through actix alone, on the same arbiter.

use actix::prelude::*;
use peers_common::{Callers, Control, Payload, Plan, Result, shared_body};

use crate::found;
use crate::messages::{Echo, Echoes};
use crate::server::name;

pub(crate) async fn through_the_mesh<P: Payload>(plan: &Plan, control: &Control) -> Result {
    let mesh = found(plan).await?;
    let _service = mesh.advertise(name(0), || Echoes).handles::<Echo<P>>().await?;
    let service = mesh.discover(name(0)).await?;
    call::<P>(plan, control, async |message| service.send(message).await.ok()).await?;
    mesh.close().await;
    Ok(())
}

pub(crate) async fn through_actix<P: Payload>(plan: &Plan, control: &Control) -> Result {
    let addr = Echoes.start();
    call::<P>(plan, control, async |message| addr.send(message).await.ok()).await
}

async fn call<P: Payload>(
    plan: &Plan,
    control: &Control,
    send: impl AsyncFn(Echo<P>) -> Option<P>,
) -> Result {
    control.ready("");
    control.go().await;
    let body = shared_body(plan.size);
    let mut callers = Callers::start(plan, control, 1)?;
    let caller = callers.first_mut().ok_or("one caller was asked for")?;
    while let Some(number) = caller.next_number() {
        let reply = send(Echo(P::new(number, &body))).await;
        caller.answered(number, reply.map(|payload| payload.number()));
    }
    control.over().await;
    Ok(())
}
