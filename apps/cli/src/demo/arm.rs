//! A robot's arm: an ordinary actix actor that others call over the network.

use actix::prelude::*;
use meshzero::Mesh;

use super::messages::{Joint, Move, OutOfReach, Pose};
use super::protocol::{DemoChannel, DemoEvent};
use crate::failure::Failure;

/// The name of the service.
pub(crate) const NAME: &str = "robot/arm";

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
        let turned = *angle + degrees;
        if !(-limit..=limit).contains(&turned) {
            return Err(OutOfReach { joint, limit });
        }
        *angle = turned;
        Ok(self.pose)
    }
}

pub(crate) async fn run(mesh: &Mesh, channel: &mut DemoChannel) -> Result<(), Failure> {
    let arm = mesh.advertise(NAME, Arm::default).handles::<Move>().await?;
    channel
        .send_event(DemoEvent::Advertises { service: NAME.to_owned(), address: arm.address().to_string() })
        .await?;
    while channel.next().await?.is_some() {}
    Ok(())
}
