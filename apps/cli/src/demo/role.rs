//! The roles of the demo's processes.

use clap::ValueEnum;

use super::protocol::DemoChannel;
use super::{arm, display, pilot, weather};
use crate::failure::Failure;
use crate::session::Session;

/// The role of one process of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// A service with typed messages.
    Arm,
    /// A service that publishes news.
    Weather,
    /// A client that calls the arm.
    Pilot,
    /// A client that subscribes to the weather.
    Display,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Arm => "arm",
            Self::Weather => "weather",
            Self::Pilot => "pilot",
            Self::Display => "display",
        }
    }

    /// Runs the role until there are no more commands.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut channel = DemoChannel::new(session.out.clone());
        let mesh = session.mesh().await?;
        match self {
            Self::Arm => arm::run(mesh, &mut channel).await,
            Self::Weather => weather::run(mesh, &mut channel).await,
            Self::Pilot => pilot::run(mesh, &mut channel).await,
            Self::Display => display::run(mesh, &mut channel).await,
        }
    }
}
