//! The ways of a packet that wants no reply: to a service, or to all subscribers, none of which may lose it.

use meshzero::{CallError, Publisher, ServiceRef};

use super::packet::{Packet, Take};
use super::protocol::TOPIC;
use crate::failure::Failure;

/// A way out. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub(crate) enum Way {
    /// As a message to a service.
    Tell(ServiceRef),
    /// As news to all subscribers.
    Publish(Publisher),
}

impl Way {
    /// Sends it, and waits as long as there is no room.
    pub(crate) async fn send(&self, packet: Packet) -> Result<(), Failure> {
        match self {
            Self::Tell(service) => service.send(Take(packet)).await.map_err(|error: CallError| error.into()),
            Self::Publish(publisher) => Ok(publisher.publish(TOPIC, &packet)?),
        }
    }
}
