//! What must be true of whatever bytes a stranger sends: each module reads them as one part of meshzero does, and panics
//! where a promise is broken. `cargo xtask fuzz` makes the bytes up.
//!
//! Each has `seeds`, made by meshzero itself: bytes that are right, for the fuzzer to begin with.

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

/// The variable that names a folder for seeds.
pub const SEEDS: &str = "MESHZERO_FUZZ_SEEDS";

/// Writes what a target should begin with into its folder below the one that [`SEEDS`] names, if that is set.
///
/// # Panics
/// If that cannot be written.
pub fn sow(target: &str, seeds: &[Vec<u8>]) {
    let Some(folder) = env::var_os(SEEDS).map(|folder| PathBuf::from(folder).join(target)) else { return };
    fs::create_dir_all(&folder).expect("the folder for seeds can be made");
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed can be written");
    }
}
