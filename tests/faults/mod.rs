//! Faults: what a network and its machines do, done on purpose, while somebody outside checks whether the mesh keeps its
//! promises.

mod busy;
mod bytes;
#[cfg(target_os = "linux")]
mod hosts;
#[cfg(target_os = "linux")]
mod machines;
#[cfg(target_os = "linux")]
mod outages;
mod pieces;
mod rig;
#[cfg(target_os = "linux")]
mod scene;
#[cfg(target_os = "linux")]
mod soak;
mod streams;
