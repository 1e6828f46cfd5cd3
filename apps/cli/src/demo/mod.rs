//! The demo: separate processes on this machine that find each other, talk, die and are missed.
//!
//! `messages` is what the services take and publish; `arm`, `weather`, `pilot` and `display` are programs as a user would
//! write them, each in a process of its own, and `role` names them; `cue` is what the play tells them to do and what they
//! tell of it; `cast` starts, kills and reaps them; `play` is the order of scenes, and `transcript` how they are told.

mod arm;
mod cast;
mod cue;
mod display;
mod messages;
mod pilot;
mod play;
mod role;
mod transcript;
mod weather;

pub(crate) use play::play;
pub(crate) use role::Role;
