//! Acknowledgements, for libraries that do not hold back a sender which is faster than its receivers: it is never further
//! ahead of the slowest than a window.

use tokio::sync::watch;

use crate::{Plan, Result};

/// Bytes that may be under way to one receiver, and the fewest and most messages.
const WINDOW: usize = 8 << 20;
const MESSAGES: (usize, usize) = (16, 8_192);

/// The sender's side.
#[derive(Debug)]
pub struct Pace {
    window: u64,
    /// Up to which number may be sent as far as is known.
    limit: u64,
    arrived: watch::Receiver<Vec<u64>>,
}

/// Where it is told what has arrived.
#[derive(Debug)]
pub struct Arrivals(watch::Sender<Vec<u64>>);

impl Pace {
    /// For so many receivers as the plan says.
    pub fn new(plan: &Plan) -> (Arrivals, Self) {
        let (tell, arrived) = watch::channel(vec![0; plan.subscribers]);
        let window = window(plan);
        (Arrivals(tell), Self { window, limit: window, arrived })
    }

    /// Waits until the message of that number may be sent. Cancel-safe.
    ///
    /// # Errors
    /// Nobody is left who could tell what arrives.
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

    /// After how many messages a receiver says so.
    pub fn every(plan: &Plan) -> u64 {
        window(plan) / 4
    }
}

impl Arrivals {
    /// The receiver of that index has got so many in all.
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
