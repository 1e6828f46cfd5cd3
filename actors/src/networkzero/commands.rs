//! What programs of this machine want of the beacon, and those of them that wait for a name.

use std::time::{Duration, Instant};

use meshzero_proto::networkzero::{Beacon, Command, ServiceAdvert};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::command_service::PendingCommand;

/// The longest that a program waits for a name, whatever it says. NetworkZero's ask for half a second at a time; and who has left
/// is not noticed before.
const LONGEST: Duration = Duration::from_secs(5);

/// Those that wait. There are never more than messages that the command socket takes at a time.
#[derive(Default)]
pub(super) struct CommandQueue {
    waiting: Vec<WaitingProgram>,
}

/// A program that waits for a name.
struct WaitingProgram {
    name: String,
    until: Instant,
    answer: oneshot::Sender<Value>,
}

impl CommandQueue {
    /// Does what a program of this machine wants.
    pub(super) fn execute(
        &mut self,
        PendingCommand { command, answer }: PendingCommand,
        beacon: &mut Beacon,
        now: Instant,
    ) {
        let done = match command {
            Command::Advertise { name, address, fail_if_exists, lifetime } => {
                // It has been completed, and is whole.
                let address = address.and_then(|address| address.parse().ok());
                let advert = address.map(|address| ServiceAdvert { name, address, lifetime });
                let advertised =
                    advert.filter(|advert| beacon.advertise(advert.clone(), fail_if_exists, now));
                if advertised.is_none() && !fail_if_exists {
                    tracing::warn!(
                        "a program of NetworkZero cannot advertise a name: it is too long, or there are too many"
                    );
                }
                json!(advertised.map(|advert| advert.address.to_string()))
            }
            Command::Unadvertise(name) => {
                beacon.unadvertise(&name);
                Value::Null
            }
            Command::Discover(name, wait) => {
                return self.waiting.push(WaitingProgram { name, until: now + wait.min(LONGEST), answer });
            }
            Command::DiscoverAll => {
                beacon.all().iter().map(|(name, at)| json!([name, at.to_string()])).collect()
            }
            Command::Pause | Command::Resume => {
                beacon.pause(command == Command::Pause);
                Value::Null
            }
            Command::Reset => {
                beacon.reset();
                Value::Null
            }
            Command::Stop => {
                tracing::warn!("a program of NetworkZero asked the beacon to stop; the mesh needs it");
                Value::Null
            }
        };
        // A program that has gone meanwhile does not wait.
        let _ = answer.send(done);
    }

    /// Answers those whose name is known by now, and those who have waited long enough.
    pub(super) fn answer(&mut self, beacon: &Beacon, now: Instant) {
        for WaitingProgram { name, until, answer } in std::mem::take(&mut self.waiting) {
            match beacon.find(&name) {
                None if until > now && !answer.is_closed() => {
                    self.waiting.push(WaitingProgram { name, until, answer })
                }
                found => drop(answer.send(json!(found.map(|address| address.to_string())))),
            }
        }
    }
}
