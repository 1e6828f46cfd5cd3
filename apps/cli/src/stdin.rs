//! Standard input, line by line.

use std::io::BufRead;
use std::thread;

use tokio::sync::mpsc;

use crate::failure::Failure;

/// The lines of standard input, read by a thread that nobody has to wait for: it may never see another one.
pub(crate) fn lines() -> mpsc::Receiver<Result<String, Failure>> {
    let (lines, read) = mpsc::channel(64);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| Failure::Machine(format!("cannot read standard input: {error}")));
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    read
}
