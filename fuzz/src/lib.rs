//! The invariants that hold for any bytes that a stranger sends: each module reads them as one part of meshzero does, and panics
//! where an invariant is broken. `cargo xtask fuzz` generates the bytes.
//!
//! Each module has `seeds`, made by meshzero itself: valid bytes for the fuzzer to begin with.

use std::path::PathBuf;
use std::{env, fs};

pub mod frames;
pub mod hello;
pub mod memory;
pub mod query;
pub mod typed;
pub mod values;
pub mod words;
pub mod zmtp;

/// The environment variable that names a folder for seeds.
pub const SEEDS: &str = "MESHZERO_FUZZ_SEEDS";

/// Writes the seeds of a target into its folder below the one that [`SEEDS`] names, if that is set.
///
/// # Panics
/// If they cannot be written.
pub fn sow(target: &str, seeds: &[Vec<u8>]) {
    let Some(folder) = env::var_os(SEEDS).map(|folder| PathBuf::from(folder).join(target)) else { return };
    fs::create_dir_all(&folder).expect("the folder for seeds can be made");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed can be written");
    }
}
