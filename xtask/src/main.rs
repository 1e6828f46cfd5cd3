//! The project's own tasks, started as `cargo xtask NAME`.

fn main() {}
