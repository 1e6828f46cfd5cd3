//! The commands that programs on this machine send to the beacon, and the programs that wait for a name.

use std::time::{Duration, Instant};

use meshzero_proto::networkzero::{Beacon, Command, ServiceAdvert};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::command_service::PendingCommand;

/// The longest time that a program waits for a name, whatever it asks for. NetworkZero's programs ask for half a second
/// at a time, and the beacon does not notice earlier that a program has left.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The waiting programs. There are never more than messages that the command socket accepts at a time.
#[derive(Default)]
pub(super) struct CommandQueue {
    waiting: Vec<WaitingProgram>,
}

/// A program that waits for a name.
struct WaitingProgram {
    name: String,
    deadline: Instant,
    answer: oneshot::Sender<Value>,
}

impl CommandQueue {
    /// Executes the command of a program on this machine.
    pub(super) fn execute(
        &mut self,
        PendingCommand { command, answer }: PendingCommand,
        beacon: &mut Beacon,
        now: Instant,
    ) {
        let reply = match command {
            Command::Advertise { name, address, fail_if_exists, lifetime } => {
                // The address has been completed.
                let address = address.and_then(|address| address.parse().ok());
                let advert = address.map(|address| ServiceAdvert { name, address, lifetime });
                let advertised =
                    advert.filter(|advert| beacon.advertise(advert.clone(), fail_if_exists, now));
                if advertised.is_none() && !fail_if_exists {
                    tracing::warn!(
                        "cannot advertise a name for a NetworkZero program: it is too long, or there are too many names"
                    );
                }
                json!(advertised.map(|advert| advert.address.to_string()))
            }
            Command::Unadvertise(name) => {
                beacon.unadvertise(&name);
                Value::Null
            }
            Command::Discover(name, wait) => {
                return self.waiting.push(WaitingProgram {
                    name,
                    deadline: now + wait.min(MAX_WAIT),
                    answer,
                });
            }
            Command::DiscoverAll => {
                beacon.all().iter().map(|(name, address)| json!([name, address.to_string()])).collect()
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
                tracing::warn!(
                    "ignored the request of a NetworkZero program to stop the beacon: the mesh needs it"
                );
                Value::Null
            }
        };
        // Fails if the program has left meanwhile.
        let _ = answer.send(reply);
    }

    /// Answers the programs whose name is known by now, and those whose wait is over.
    pub(super) fn answer(&mut self, beacon: &Beacon, now: Instant) {
        for WaitingProgram { name, deadline, answer } in std::mem::take(&mut self.waiting) {
            match beacon.find(&name) {
                None if deadline > now && !answer.is_closed() => {
                    self.waiting.push(WaitingProgram { name, deadline, answer })
                }
                found => drop(answer.send(json!(found.map(|address| address.to_string())))),
            }
        }
    }
}
