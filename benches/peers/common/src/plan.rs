//! The task of one process in one case.

use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

use crate::Result;

/// The task of one process in one case. The runner passes it as JSON in the first argument.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The role of this process.
    pub role: Role,
    /// The way of using the library, such as `tell` or `news`; each contestant has its own names.
    pub way: String,
    /// The kind of load.
    pub load: Load,
    /// The bytes of a message, its number included.
    pub size: usize,
    /// Calls in flight at once.
    pub in_flight: usize,
    /// Subscribers of the one publisher, all in the client.
    pub subscribers: usize,
    /// Services that the server offers; the load goes to one of them.
    pub services: usize,
    /// Connections over which the load is spread.
    pub links: usize,
    /// The core that the process is pinned to; none if `None`.
    pub core: Option<usize>,
    /// Time from the first message until the measured window begins, in milliseconds.
    pub warm_up_ms: u64,
    /// The length of the measured window, in milliseconds.
    pub measure_ms: u64,
    /// The address that the server has reported; empty for the server itself.
    pub at: String,
}

/// One of the two processes of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Starts first and reports an address.
    Server,
    /// Gets that address.
    Client,
}

/// The kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// One call at a time, each timed.
    RoundTrip,
    /// [`Plan::in_flight`] calls at a time, counted.
    Calls,
    /// Messages without a reply, as many as the receiver can take.
    OneWay,
    /// As one way, from one publisher to [`Plan::subscribers`] subscribers; deliveries are counted.
    FanOut,
}

impl Plan {
    /// Reads the plan from the first argument of this process, and pins the process to its core.
    ///
    /// # Errors
    /// The argument is missing or no plan, or the core does not exist.
    pub fn from_arguments() -> Result<Self> {
        let text =
            std::env::args().nth(1).ok_or("the runner starts this program, with a plan as argument")?;
        let plan: Self = serde_json::from_str(&text)?;
        if let Some(core) = plan.core {
            let mut cores = CpuSet::new();
            cores.set(core);
            // Threads that are started later inherit it.
            sched_setaffinity(None, &cores)?;
        }
        Ok(plan)
    }

    /// Time from the first message until the measured window begins.
    pub fn warm_up(&self) -> Duration {
        Duration::from_millis(self.warm_up_ms)
    }

    /// The length of the measured window.
    pub fn measure(&self) -> Duration {
        Duration::from_millis(self.measure_ms)
    }
}
