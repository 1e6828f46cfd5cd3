//! The demo: separate processes on this machine that find each other, talk, die and are missed.
//!
//! `arm`, `weather`, `pilot` and `display` are programs as a user would write them, each in a process of its own; `cue`
//! is what the play tells them to do and what they tell of it; `cast` starts, kills and reaps them; `play` is the order
//! of scenes, and `transcript` how they are told.

mod arm;
mod cast;
mod cue;
mod display;
mod pilot;
mod play;
mod transcript;
mod weather;

use clap::ValueEnum;

pub(crate) use play::play;

use crate::failure::Failure;
use crate::session::Session;

/// What one process of the demo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// A service with typed messages.
    Arm,
    /// A service that publishes news.
    Weather,
    /// A client that calls the arm.
    Pilot,
    /// A client that listens to the weather.
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

    /// Plays the part until the cues end.
    pub(crate) async fn perform(self, session: &Session) -> Result<(), Failure> {
        let mut prompt = cue::Prompt::new(session.out.clone());
        let mesh = session.mesh().await?;
        match self {
            Self::Arm => arm::run(mesh, &mut prompt).await,
            Self::Weather => weather::run(mesh, &mut prompt).await,
            Self::Pilot => pilot::run(mesh, &mut prompt).await,
            Self::Display => display::run(mesh, &mut prompt).await,
        }
    }
}
