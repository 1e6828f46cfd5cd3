//! A service whose actor has no handler for one of its messages. It does not compile: `cargo xtask test` checks the compiler's
//! message.

use actix::{Actor, Context};
use meshzero::{Advertise, Mesh, Value};

pub struct Idle;

impl Actor for Idle {
    type Context = Context<Self>;
}

pub fn offer(mesh: &Mesh) -> Advertise<Idle> {
    mesh.advertise("idle", || Idle).handles::<Value>()
}
