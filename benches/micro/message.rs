//! The messages of the benches, and the actor that handles them.

use actix::prelude::*;
use serde::{Deserialize, Serialize};

/// 64 bytes, in memory and as bincode.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pose {
    pub(crate) at: f64,
    pub(crate) position: [f64; 3],
    pub(crate) rotation: [f64; 4],
}

/// Any pose costs as much as any other.
pub(crate) const POSE: Pose =
    Pose { at: 1.5, position: [0.25, -0.5, 2.0], rotation: [1.0, 0.125, -0.75, 0.0625] };

/// A pose that is returned unchanged.
#[derive(Message, Serialize, Deserialize)]
#[rtype(result = "Pose")]
pub(crate) struct Echo(pub(crate) Pose);

/// Echoes poses.
pub(crate) struct Echoes;

impl Actor for Echoes {
    type Context = Context<Self>;
}

impl Handler<Echo> for Echoes {
    type Result = MessageResult<Echo>;

    fn handle(&mut self, Echo(pose): Echo, _: &mut Context<Self>) -> MessageResult<Echo> {
        MessageResult(pose)
    }
}
