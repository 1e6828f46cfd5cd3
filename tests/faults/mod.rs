//! Faults of networks and machines, injected on purpose, while a checker outside verifies the mesh's promises.

mod busy;
mod bytes;
#[cfg(target_os = "linux")]
mod hosts;
#[cfg(target_os = "linux")]
mod machines;
#[cfg(target_os = "linux")]
mod outages;
mod pieces;
pub mod rig;
#[cfg(target_os = "linux")]
mod scene;
#[cfg(target_os = "linux")]
mod soak;
mod streams;
