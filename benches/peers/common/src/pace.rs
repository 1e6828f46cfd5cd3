//! Acknowledgements, for libraries without flow control: the sender is never further ahead of its slowest receiver than a window.

use tokio::sync::watch;

use crate::{Plan, Result};

/// The limit of bytes in flight to one receiver, and the fewest and most messages.
const WINDOW: usize = 8 << 20;
const MESSAGES: (usize, usize) = (16, 8_192);

/// The sender's side.
#[derive(Debug)]
pub struct Pace {
    window: u64,
    /// The number up to which messages may be sent.
    limit: u64,
    arrived: watch::Receiver<Vec<u64>>,
}

/// The receivers' side, which reports the messages that have arrived.
#[derive(Debug)]
pub struct Arrivals(watch::Sender<Vec<u64>>);

impl Pace {
    /// A pace for the receivers of the plan.
    pub fn new(plan: &Plan) -> (Arrivals, Self) {
        let (tell, arrived) = watch::channel(vec![0; plan.subscribers]);
        let window = window(plan);
        (Arrivals(tell), Self { window, limit: window, arrived })
    }

    /// Waits until the message of that number may be sent. Cancel safe.
    ///
    /// # Errors
    /// All receivers are gone.
    #[inline]
    pub async fn wait(&mut self, number: u64) -> Result {
        if number >= self.limit {
            let behind = |counts: &Vec<u64>| counts.iter().min().copied().unwrap_or(0);
            let window = self.window;
            let counts = self.arrived.wait_for(|counts| behind(counts) + window > number).await?;
            self.limit = behind(&counts) + window;
        }
        Ok(())
    }

    /// The number of messages after which a receiver reports.
    pub fn every(plan: &Plan) -> u64 {
        window(plan) / 4
    }
}

impl Arrivals {
    /// Reports that the receiver of that index has received this many in all.
    pub fn tell(&self, index: usize, count: u64) {
        self.0.send_modify(|counts| {
            if let Some(arrived) = counts.get_mut(index) {
                *arrived = count;
            }
        });
    }
}

fn window(plan: &Plan) -> u64 {
    (WINDOW / plan.size).clamp(MESSAGES.0, MESSAGES.1) as u64
}
