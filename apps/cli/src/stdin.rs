//! Standard input, as a whole and line by line, whichever system wrote it.

use std::io::{BufRead, Read, stdin};
use std::thread;

use tokio::sync::mpsc;

use crate::encoding;
use crate::failure::Failure;

/// The longest text that is read as a whole.
const LONGEST: u64 = 64 << 20;

/// All of standard input.
pub(crate) fn whole() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    stdin()
        .lock()
        .take(LONGEST)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Machine(format!("cannot read standard input: {error}")))?;
    encoding::read(&bytes)
        .map_err(|error| Failure::Machine(format!("cannot read standard input as text: {error}")))
}

/// The lines of standard input, read by a thread that nobody has to wait for: it may never see another one.
pub(crate) fn lines() -> mpsc::Receiver<Result<String, Failure>> {
    let (lines, read) = mpsc::channel(64);
    thread::spawn(move || {
        let mut input = stdin().lock();
        // A pipe that fails here fails at the first line as well.
        if input.fill_buf().is_ok_and(encoding::is_utf16) {
            let said = "cannot read standard input: it is UTF-16, and lines are read as UTF-8".to_owned();
            // Whoever has gone needs no reason.
            let _ = lines.blocking_send(Err(Failure::Machine(said)));
            return;
        }
        let mut is_first = true;
        for line in input.lines() {
            let line = match line {
                Ok(line) if is_first => Ok(encoding::without_mark(&line).to_owned()),
                Ok(line) => Ok(line),
                Err(error) => Err(Failure::Machine(format!("cannot read standard input: {error}"))),
            };
            is_first = false;
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    read
}
