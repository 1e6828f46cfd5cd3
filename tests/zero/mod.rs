//! The blocking verbs: NetworkZero's own programs, improvements on the originals, and bad input.

#[cfg(target_os = "linux")]
mod bounds;
mod exit;
mod futures;
mod messages;
mod names;
mod news;
mod programs;

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use meshzero::{Join, Mesh, zero};

/// Generous, because the machine may be busy. Nothing in the tests takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Joins the verbs' hidden node, which all tests of this process share, to a mesh of its own on loopback.
fn joined() {
    settings();
}

/// The settings to join the mesh of the hidden node with.
fn join() -> Join {
    settings().clone()
}

fn settings() -> &'static Join {
    static JOINED: OnceLock<Join> = OnceLock::new();
    JOINED.get_or_init(|| {
        let settings = Mesh::join().mesh(test_mesh()).interfaces("lo");
        zero::join(settings.clone()).expect("the first verb of this process");
        settings
    })
}

/// The name of a mesh that no other test has.
fn test_mesh() -> String {
    format!("test-{:032x}", fastrand::u128(..))
}

/// A name that no other test has.
fn unique(name: &str) -> String {
    joined();
    format!("{name}-{:016x}", fastrand::u64(..))
}

/// A thread whose result, or panic, is returned by `done`.
fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(work)
}

fn done<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
