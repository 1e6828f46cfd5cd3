//! The conversation of a contestant and the runner: one line of JSON per message, over standard input and output.

use std::io::{BufRead, Write, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{Outcome, Plan, Result};

/// The timeout of a contestant's end after its input has ended.
const FAREWELL: Duration = Duration::from_secs(3);

/// A message of a contestant to the runner.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// It has started and is connected; there is no load yet.
    Ready {
        /// The address of a server; empty for a client.
        address: String,
        /// Other processes that work for it, such as a broker.
        helpers: Vec<u32>,
    },
    /// The measured window begins now.
    Begin,
    /// The measured window is over.
    End,
    /// The number of messages sent in all.
    Sent(u64),
    /// The result.
    Outcome(Outcome),
}

/// A message of the runner to a contestant. The end of the input ends the process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Both are ready: start the load.
    Go,
    /// Stop sending.
    Stop,
    /// The number of messages that the other process has sent.
    Sent(u64),
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    go: bool,
    sent: Option<u64>,
    over: bool,
}

/// The contestant's end of the conversation.
#[derive(Debug, Clone)]
pub struct Control {
    state: watch::Receiver<State>,
    stop: Arc<AtomicBool>,
}

/// Reads the plan and starts to read orders of the runner.
///
/// # Errors
/// There is no valid plan, or the system refuses a thread.
pub fn start() -> Result<(Plan, Control)> {
    let plan = Plan::from_arguments()?;
    let (tell, state) = watch::channel(State::default());
    let stop = Arc::new(AtomicBool::new(false));
    let control = Control { state, stop: Arc::clone(&stop) };
    thread::Builder::new().name("control".to_owned()).spawn(move || listen(&tell, &stop))?;
    Ok((plan, control))
}

fn listen(tell: &watch::Sender<State>, stop: &AtomicBool) {
    for line in stdin().lock().lines().map_while(std::result::Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Order::Go) => tell.send_modify(|state| state.go = true),
            Ok(Order::Stop) => stop.store(true, Ordering::Relaxed),
            Ok(Order::Sent(count)) => tell.send_modify(|state| state.sent = Some(count)),
            Err(error) => {
                eprintln!("an invalid order: {error}");
                break;
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    tell.send_modify(|state| state.over = true);
    // Nobody else would end this process if it hangs.
    thread::sleep(FAREWELL);
    std::process::exit(3);
}

impl Control {
    /// Reports that this process has started, and for a server its address.
    pub fn ready(&self, address: impl ToString) {
        self.ready_with(address, Vec::new());
    }

    /// As [`Control::ready`], with other processes whose work counts as this one's.
    pub fn ready_with(&self, address: impl ToString, helpers: Vec<u32>) {
        say(&Told::Ready { address: address.to_string(), helpers });
    }

    /// Waits until both processes are ready. Cancel safe.
    pub async fn go(&self) {
        self.wait(|state| state.go || state.over).await;
    }

    /// Returns whether sending should stop.
    #[inline]
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until this process should end. Cancel safe.
    pub async fn over(&self) {
        self.wait(|state| state.over).await;
    }

    pub(crate) async fn total(&self) -> u64 {
        let state = self.wait(|state| state.sent.is_some() || state.over).await;
        state.sent.unwrap_or(0)
    }

    pub(crate) fn begin(&self) {
        say(&Told::Begin);
    }

    pub(crate) fn end(&self) {
        say(&Told::End);
    }

    pub(crate) fn sent(&self, count: u64) {
        say(&Told::Sent(count));
    }

    pub(crate) fn outcome(&self, outcome: Outcome) {
        say(&Told::Outcome(outcome));
    }

    async fn wait(&self, until: impl FnMut(&State) -> bool) -> State {
        let mut state = self.state.clone();
        match state.wait_for(until).await {
            Ok(state) => *state,
            // The thread that reads orders never ends before the process.
            Err(_) => State { over: true, ..State::default() },
        }
    }
}

/// Writes a line to the runner. If the runner is gone, this process ends.
fn say(told: &Told) {
    let written = serde_json::to_string(told).map_err(Into::into).and_then(|line| {
        let mut out = stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    });
    if let Err(error) = written {
        eprintln!("cannot write to the runner: {error}");
        std::process::exit(3);
    }
}
