//! `mz`, the command line of meshzero.

fn main() {}
