//! The demo: separate processes on this machine that find and call each other, and detect a crash.
//!
//! `arm`, `weather`, `pilot` and `display` are programs as a user would write them, each in a process of its own, and
//! `messages` are their messages and news. `role` selects the program of a process. `protocol` is how the parent
//! controls its processes, `processes` starts and reaps them, `scenario` is the order of scenes, and `transcript` prints
//! them.

mod arm;
mod display;
mod messages;
mod pilot;
mod processes;
mod protocol;
mod role;
mod scenario;
mod transcript;
mod weather;

pub(crate) use role::Role;
pub(crate) use scenario::run_demo;
