//! Running a program for each message: a few at once, for so long, with so much output.

use std::process::Stdio;
use std::time::Duration;

use meshzero::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time;

use crate::output::remark;
use crate::template::{as_text, fill_text};

/// The longest reply; a message may be no longer by default either.
const LONGEST_OUTPUT: u64 = 1 << 20;

/// A program that is run for each message.
pub(crate) struct Exec {
    words: Vec<String>,
    limit: Duration,
    jobs: Semaphore,
}

impl Exec {
    /// The first word is the program. At most `jobs` run at once, each for at most `limit`.
    pub(crate) fn new(words: &[String], jobs: u16, limit: Duration) -> Self {
        Self { words: words.to_vec(), limit, jobs: Semaphore::new(jobs.into()) }
    }

    /// What the program prints for `message`, as JSON if it is JSON; if it fails, a map with `error`.
    pub(crate) async fn run(&self, message: &Value) -> Value {
        let Ok(_permit) = self.jobs.acquire().await else {
            return failed("the service is closing".to_owned());
        };
        match time::timeout(self.limit, self.output(&as_text(message))).await {
            Ok(Ok(output)) => reply(output),
            Ok(Err(error)) => failed(error),
            Err(_) => failed(format!("{} took longer than {:?}", self.words[0], self.limit)),
        }
    }

    async fn output(&self, message: &str) -> Result<Vec<u8>, String> {
        let program = &self.words[0];
        let arguments = self.words[1..].iter().map(|word| fill_text(word, message));
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot run {program}: {error}"))?;
        let output = feed_and_read(&mut child, message)
            .await
            .map_err(|error| format!("cannot talk to {program}: {error}"))?;
        if output.len() as u64 > LONGEST_OUTPUT {
            return Err(format!("{program} printed more than {LONGEST_OUTPUT} bytes"));
        }
        let status = child.wait().await.map_err(|error| format!("cannot wait for {program}: {error}"))?;
        if status.success() { Ok(output) } else { Err(format!("{program} ended with {status}")) }
    }
}

async fn feed_and_read(child: &mut Child, message: &str) -> std::io::Result<Vec<u8>> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program need not read its input; then this ends in a broken pipe.
            let _ = stdin.write_all(message.as_bytes()).await;
        }
    };
    let read = async {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(LONGEST_OUTPUT + 1).read_to_end(&mut output).await?;
        }
        Ok(output)
    };
    let ((), output) = tokio::join!(feed, read);
    output
}

fn reply(output: Vec<u8>) -> Value {
    match String::from_utf8(output) {
        Ok(text) => Value::from_text_or_json(text.trim_end_matches(['\r', '\n'])),
        Err(error) => Value::Bytes(error.into_bytes()),
    }
}

fn failed(error: String) -> Value {
    remark(&error);
    Value::map([("error", error)])
}
