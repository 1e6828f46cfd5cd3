//! Running a program for each message, with limits on concurrency, time and output, and only while its caller waits.

mod caller;
mod group;
mod lookup;
mod mark;

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use meshzero::{Call, Value};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{self, Instant};

use self::group::ProcessGroup;
use crate::child_programs::{ChildPrograms, ProgramGuard};
use crate::message::MessageFormat;
use crate::output::ErrorOutput;
use crate::template::{as_text, fill_text};

/// The longest reply; the default limit of messages is the same.
const LONGEST_OUTPUT: usize = 1 << 20;

/// The time after the end of a program in which its output is read, where other processes hold it open.
const REST: Duration = Duration::from_millis(50);

/// The capacity of a pipe in bytes: a program that has ended may have left so much unread.
const PIPE: usize = 64 * 1024;

/// A program that is run for each message.
pub(crate) struct Exec {
    program: Arc<Program>,
    jobs: Arc<Semaphore>,
    programs: ChildPrograms,
    message_format: MessageFormat,
    errors: ErrorOutput,
}

/// A program and its limits.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// The program and its arguments, with placeholders for the message.
    pub(crate) words: Vec<String>,
    /// The limit of concurrent runs.
    pub(crate) jobs: u16,
    /// The time limit of each run.
    pub(crate) limit: Duration,
    /// The format of its output.
    pub(crate) message_format: MessageFormat,
}

impl Exec {
    /// Creates a runner whose programs are registered in `programs`, and whose failures are reported to `errors`.
    pub(crate) fn new(program: Program, programs: ChildPrograms, errors: ErrorOutput) -> Self {
        let (jobs, message_format) = (Arc::new(Semaphore::new(program.jobs.into())), program.message_format);
        Self { program: Arc::new(program), jobs, programs, message_format, errors }
    }

    /// Warns if the program does not exist yet. That is not a failure: each call reports it as well.
    pub(crate) fn warn(&self) {
        let program = &self.program.words[0];
        if !lookup::is_there(program) {
            self.errors.note(
                &format!("--exec: there is no program {program} yet, so calls will fail"),
                &json!({ "missing_program": program }),
            );
        }
    }

    /// Runs the program for the message of `call`, once there is room. Returns its output, as JSON if it is JSON. Once
    /// the caller gives up, the program is not run, or is ended: its place is for callers that wait.
    ///
    /// # Errors
    /// [`ExecError`]; a failure has been reported.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future ends the program.
    pub(crate) async fn run(&self, call: &Call<Value>) -> Result<Value, ExecError> {
        let output = self.output(call).await;
        match &output {
            Err(ExecError::Failed(failure)) => self.errors.remark(failure),
            // Until then it counts as unfinished, so that it is reported.
            Err(ExecError::Closing) => self.programs.wait_for_shutdown().await,
            _ => {}
        }
        output.map(|output| self.reply(output))
    }

    async fn output(&self, call: &Call<Value>) -> Outcome {
        let permit = tokio::select! {
            biased;
            () = caller::over(call) => return Err(self.unwanted(call, ExecError::NotRun)),
            permit = Arc::clone(&self.jobs).acquire_owned() => permit.map_err(|_| ExecError::Closing)?,
        };
        // The caller may have given up since the last check.
        if caller::is_over(call) {
            return Err(self.unwanted(call, ExecError::NotRun));
        }
        let ending = self.programs.register().ok_or(ExecError::Closing)?;
        let (tx, rx) = oneshot::channel();
        let program = Arc::clone(&self.program);
        // A separate task: however the caller ends, the program is ended with its descendants, and until then it
        // counts as one of the jobs.
        actix::spawn(program.run(as_text(call.message()), tx, ending, permit));
        tokio::select! {
            biased;
            output = rx => output.unwrap_or(Err(ExecError::Closing)),
            () = caller::gave_up(call) => Err(self.unwanted(call, ExecError::Ended)),
        }
    }

    /// Returns the reason for the missing output when the caller is gone: this command may have closed the link
    /// itself.
    fn unwanted(&self, call: &Call<Value>, otherwise: ExecError) -> ExecError {
        if call.is_abandoned() && self.programs.has_closed_links() { ExecError::Closing } else { otherwise }
    }

    /// Converts output to a reply. A program was not asked for JSON, so any output is a reply.
    fn reply(&self, output: Vec<u8>) -> Value {
        match String::from_utf8(output) {
            Ok(text) => {
                let text = text.trim_end_matches(['\r', '\n']);
                match self.message_format {
                    MessageFormat::Text => Value::from(text),
                    MessageFormat::JsonOrText => Value::from_text_or_json(text),
                }
            }
            Err(error) => Value::Bytes(error.into_bytes()),
        }
    }
}

/// The reason why a program has no output for a reply.
#[derive(Debug)]
pub(crate) enum ExecError {
    /// It failed, or exceeded a limit.
    Failed(String),
    /// The caller gave up before there was room for it.
    NotRun,
    /// The caller gave up, and it was ended.
    Ended,
    /// The service has closed, and ended the program. There is no reply any more.
    Closing,
}

type Outcome = Result<Vec<u8>, ExecError>;

impl Program {
    /// Runs it to its end, or until it has to end.
    async fn run(
        self: Arc<Self>,
        message: String,
        mut tx: oneshot::Sender<Outcome>,
        mut ending: ProgramGuard,
        permit: OwnedSemaphorePermit,
    ) {
        let mut group = match self.start(&message) {
            Ok(group) => group,
            Err(error) => {
                // The caller may be gone.
                let _ = tx.send(Err(ExecError::Failed(error)));
                return;
            }
        };
        let (stdin, stdout) = group.streams();
        let mut output = OutputReader::new(stdout);
        let ended = tokio::select! {
            biased;
            () = ending.shutdown() => Err(ExecError::Closing),
            () = tx.closed() => Err(ExecError::Closing),
            ended = time::timeout(self.limit, self.end_of(&mut group, &mut output, feed(stdin, &message))) => {
                let ended = ended
                    .unwrap_or_else(|_| Err(format!("{} took longer than {:?}", self.words[0], self.limit)));
                ended.map_err(ExecError::Failed)
            }
        };
        let outcome = match ended {
            // It has ended by itself, and in time. Its background processes are left alone.
            Ok(status) => {
                output.rest().await;
                self.outcome(status, output.bytes).map_err(ExecError::Failed)
            }
            Err(error) => {
                group.end(output.closed()).await;
                Err(error)
            }
        };
        drop(permit);
        // As above.
        let _ = tx.send(outcome);
    }

    fn start(&self, message: &str) -> Result<ProcessGroup, String> {
        let program = &self.words[0];
        let arguments = self.words[1..].iter().map(|word| fill_text(word, message));
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        ProcessGroup::start(&mut command).map_err(|error| format!("cannot run {program}: {error}"))
    }

    /// Waits until it ends, and reads its output meanwhile.
    async fn end_of(
        &self,
        group: &mut ProcessGroup,
        output: &mut OutputReader,
        feeding: impl Future<Output = ()>,
    ) -> Result<ExitStatus, String> {
        let cannot_talk = |error| format!("cannot communicate with {}: {error}", self.words[0]);
        let (mut feeding, mut is_fed) = (std::pin::pin!(feeding), false);
        loop {
            tokio::select! {
                biased;
                read = output.read(), if !output.has_ended() => read.map_err(cannot_talk)?,
                () = &mut feeding, if !is_fed => is_fed = true,
                status = group.wait() => return status.map_err(cannot_talk),
            }
            if output.bytes.len() > LONGEST_OUTPUT {
                return Err(self.too_long());
            }
        }
    }

    fn outcome(&self, status: ExitStatus, output: Vec<u8>) -> Result<Vec<u8>, String> {
        if !status.success() {
            Err(format!("{} ended with {status}", self.words[0]))
        } else if output.len() > LONGEST_OUTPUT {
            Err(self.too_long())
        } else {
            Ok(output)
        }
    }

    fn too_long(&self) -> String {
        format!("{} printed more than {LONGEST_OUTPUT} bytes", self.words[0])
    }
}

async fn feed(stdin: Option<ChildStdin>, message: &str) {
    if let Some(mut stdin) = stdin {
        // A program need not read its input; then this ends in a broken pipe.
        let _ = stdin.write_all(message.as_bytes()).await;
    }
}

/// A reader of a program's output.
struct OutputReader {
    stdout: Option<ChildStdout>,
    bytes: Vec<u8>,
}

impl OutputReader {
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

    /// Reads the last output of a program that has ended, up to the capacity of a pipe. The output need not end:
    /// background processes may hold it open, and print on.
    async fn rest(&mut self) {
        let (most, end) = (self.bytes.len() + PIPE, Instant::now() + REST);
        while !self.has_ended() && self.bytes.len() < most {
            // Pending output is read even after the deadline. Output read so far counts in any case.
            match time::timeout_at(end, self.read()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
        self.bytes.truncate(most);
    }

    /// Waits until the output is closed by all processes that might write to it. If the program has closed it before,
    /// this waits forever.
    async fn closed(mut self) {
        if self.has_ended() {
            return std::future::pending().await;
        }
        while !self.has_ended() && self.read().await.is_ok() {
            self.bytes.clear();
        }
    }
}
