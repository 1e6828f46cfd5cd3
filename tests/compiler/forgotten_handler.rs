//! A service whose actor has no handler for the message that it is to take. It does not compile: `cargo xtask test` reads
//! the compiler's explanation.

use actix::{Actor, Context};
use meshzero::{Advertise, Mesh, Value};

pub struct Idle;

impl Actor for Idle {
    type Context = Context<Self>;
}

pub fn offer(mesh: &Mesh) -> Advertise<Idle> {
    mesh.advertise("idle", || Idle).handles::<Value>()
}
