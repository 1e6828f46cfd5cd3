//! A robot's arm: an ordinary actix actor that others call over the network.

use std::fmt;

use actix::prelude::*;
use meshzero::Mesh;
use serde::{Deserialize, Serialize};

use super::cue::{Prompt, Told};
use crate::failure::Failure;

/// The name it is found by.
pub(crate) const NAME: &str = "robot/arm";

/// Turns a joint. The reply is the new pose, or why the joint does not turn so far.
#[derive(Debug, Clone, Message, Serialize, Deserialize)]
#[rtype(result = "Result<Pose, OutOfReach>")]
pub(crate) struct Move {
    pub(crate) joint: Joint,
    pub(crate) degrees: f64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Joint {
    Shoulder,
    Elbow,
}

/// The angle of each joint, in degrees.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Pose {
    pub(crate) shoulder: f64,
    pub(crate) elbow: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OutOfReach {
    pub(crate) joint: Joint,
    pub(crate) limit: f64,
}

#[derive(Default)]
struct Arm {
    pose: Pose,
}

impl Actor for Arm {
    type Context = Context<Self>;
}

impl Handler<Move> for Arm {
    type Result = Result<Pose, OutOfReach>;

    fn handle(&mut self, Move { joint, degrees }: Move, _: &mut Context<Self>) -> Self::Result {
        let (angle, limit) = match joint {
            Joint::Shoulder => (&mut self.pose.shoulder, 180.0),
            Joint::Elbow => (&mut self.pose.elbow, 150.0),
        };
        if (*angle + degrees).abs() > limit {
            return Err(OutOfReach { joint, limit });
        }
        *angle += degrees;
        Ok(self.pose)
    }
}

pub(crate) async fn run(mesh: &Mesh, prompt: &mut Prompt) -> Result<(), Failure> {
    let arm = mesh.advertise(NAME, Arm::default).handles::<Move>().await?;
    prompt.tell(Told::Advertises { service: NAME.to_owned(), address: arm.address().to_string() }).await?;
    while prompt.next().await?.is_some() {}
    Ok(())
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Move {{ joint: {:?}, degrees: {} }}", self.joint, self.degrees)
    }
}

impl fmt::Display for Pose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pose {{ shoulder: {}, elbow: {} }}", self.shoulder, self.elbow)
    }
}

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutOfReach {{ joint: {:?}, limit: {} }}", self.joint, self.limit)
    }
}
