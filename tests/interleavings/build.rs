//! Tells the library's files that they are compiled for this crate: without their own unit tests.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cfg=interleaved");
}
