//! The messages and news of the demo's services.

use std::fmt;

use actix::Message;
use serde::{Deserialize, Serialize};

/// The topic of requested readings.
pub(crate) const HISTORY: &str = "history";

/// Turns a joint of the arm. The reply is the new pose, or an error when the joint does not turn so far.
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

/// A reading that the weather station publishes under `city/` and a city's name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) celsius: f64,
    pub(crate) wind: u32,
}

/// Asks the weather station for a number of past readings, published under [`HISTORY`].
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub(crate) struct Replay(pub(crate) u32);

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
