//! Running a program for each message: a few at once, for so long, with so much output.

mod group;

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use meshzero::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{self, Instant};

use self::group::Group;
use crate::output::Output;
use crate::programs::{Ending, Programs};
use crate::template::{as_text, fill_text};

/// The longest reply; a message may be no longer by default either.
const LONGEST_OUTPUT: usize = 1 << 20;

/// The time after the end of a program in which what it printed is read, where others hold its output open.
const REST: Duration = Duration::from_millis(50);

/// Bytes that a pipe holds, so that a program may have printed them before it ended.
const PIPE: usize = 64 * 1024;

/// A program that is run for each message.
pub(crate) struct Exec {
    program: Arc<Program>,
    jobs: Arc<Semaphore>,
    programs: Programs,
    as_text: bool,
    out: Output,
}

/// What is run, and for how long at most.
struct Program {
    words: Vec<String>,
    limit: Duration,
}

impl Exec {
    /// The first word is the program. At most `jobs` run at once, each for at most `limit`.
    pub(crate) fn new(
        words: &[String],
        jobs: u16,
        limit: Duration,
        as_text: bool,
        programs: Programs,
        out: Output,
    ) -> Self {
        let program = Arc::new(Program { words: words.to_vec(), limit });
        Self { program, jobs: Arc::new(Semaphore::new(jobs.into())), programs, as_text, out }
    }

    /// What the program prints for `message`, as JSON if it is JSON; if it fails, a map with `error`.
    ///
    /// # Cancel safety
    /// Dropping the future ends the program.
    pub(crate) async fn run(&self, message: &Value) -> Value {
        let Ok(permit) = Arc::clone(&self.jobs).acquire_owned().await else {
            return self.failed("the service is closing".to_owned());
        };
        let Some(ending) = self.programs.ending() else {
            return self.failed("the service is closing".to_owned());
        };
        let (tell, told) = oneshot::channel();
        let program = Arc::clone(&self.program);
        // A task of its own: however the caller ends, the program is ended with all that it has started, and until then it
        // counts as one of the jobs.
        actix::spawn(program.run(as_text(message), tell, ending, permit));
        let error = match told.await {
            Ok(Ok(output)) => return self.reply(output),
            Ok(Err(error)) => error,
            Err(_) => "the service is closing".to_owned(),
        };
        self.failed(error)
    }

    /// A program was not asked for JSON, so whatever it prints is a reply.
    fn reply(&self, output: Vec<u8>) -> Value {
        match String::from_utf8(output) {
            Ok(text) => {
                let text = text.trim_end_matches(['\r', '\n']);
                if self.as_text { Value::from(text) } else { Value::from_text_or_json(text) }
            }
            Err(error) => Value::Bytes(error.into_bytes()),
        }
    }

    fn failed(&self, error: String) -> Value {
        self.out.errors.remark(&error);
        Value::map([("error", error)])
    }
}

type Outcome = Result<Vec<u8>, String>;

impl Program {
    /// Runs it to its end, whoever may bring that about.
    async fn run(
        self: Arc<Self>,
        message: String,
        mut tell: oneshot::Sender<Outcome>,
        mut ending: Ending,
        permit: OwnedSemaphorePermit,
    ) {
        let mut group = match self.start(&message) {
            Ok(group) => group,
            Err(error) => {
                // Nobody is left to be told.
                let _ = tell.send(Err(error));
                return;
            }
        };
        let outcome = tokio::select! {
            biased;
            () = ending.begun() => None,
            () = tell.closed() => None,
            outcome = time::timeout(self.limit, self.output(&mut group, &message)) => Some(outcome),
        };
        let outcome = match outcome {
            // It has ended by itself. What it has left in the background is its own affair.
            Some(Ok(Ok(Some((output, status))))) => {
                group.release();
                let program = &self.words[0];
                if status.success() { Ok(output) } else { Err(format!("{program} ended with {status}")) }
            }
            other => {
                group.end().await;
                let program = &self.words[0];
                Err(match other {
                    None => "the service is closing".to_owned(),
                    Some(Ok(Ok(_))) => format!("{program} printed more than {LONGEST_OUTPUT} bytes"),
                    Some(Ok(Err(error))) => format!("cannot talk to {program}: {error}"),
                    Some(Err(_)) => format!("{program} took longer than {:?}", self.limit),
                })
            }
        };
        drop(permit);
        // As above.
        let _ = tell.send(outcome);
    }

    fn start(&self, message: &str) -> Result<Group, String> {
        let program = &self.words[0];
        let arguments = self.words[1..].iter().map(|word| fill_text(word, message));
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        Group::start(&mut command).map_err(|error| format!("cannot run {program}: {error}"))
    }

    /// What it prints until it ends; `None` if that is too much.
    async fn output(
        &self,
        group: &mut Group,
        message: &str,
    ) -> std::io::Result<Option<(Vec<u8>, ExitStatus)>> {
        let (stdin, stdout) = group.streams();
        let mut feeding = std::pin::pin!(feed(stdin, message));
        let (mut output, mut is_fed) = (Reader::new(stdout), false);
        let status = loop {
            tokio::select! {
                biased;
                read = output.read(), if !output.has_ended() => read?,
                () = &mut feeding, if !is_fed => is_fed = true,
                status = group.wait() => break status?,
            }
            if output.bytes.len() > LONGEST_OUTPUT {
                return Ok(None);
            }
        };
        output.rest().await?;
        Ok((output.bytes.len() <= LONGEST_OUTPUT).then_some((output.bytes, status)))
    }
}

async fn feed(stdin: Option<ChildStdin>, message: &str) {
    if let Some(mut stdin) = stdin {
        // A program need not read its input; then this ends in a broken pipe.
        let _ = stdin.write_all(message.as_bytes()).await;
    }
}

/// What a program has printed so far.
struct Reader {
    stdout: Option<ChildStdout>,
    bytes: Vec<u8>,
}

impl Reader {
    fn new(stdout: Option<ChildStdout>) -> Self {
        Self { stdout, bytes: Vec::new() }
    }

    fn has_ended(&self) -> bool {
        self.stdout.is_none()
    }

    async fn read(&mut self) -> std::io::Result<()> {
        if let Some(stdout) = &mut self.stdout
            && stdout.read_buf(&mut self.bytes).await? == 0
        {
            self.stdout = None;
        }
        Ok(())
    }

    /// Reads what the program printed last. It need not end: whatever was started in the background may hold it open.
    async fn rest(&mut self) -> std::io::Result<()> {
        let (before, end) = (self.bytes.len(), Instant::now() + REST);
        while !self.has_ended() && self.bytes.len() <= LONGEST_OUTPUT {
            if Instant::now() > end && self.bytes.len() - before > PIPE {
                break;
            }
            // What is there already is read also when the time is over.
            match time::timeout_at(end, self.read()).await {
                Ok(read) => read?,
                Err(_) => break,
            }
        }
        Ok(())
    }
}
