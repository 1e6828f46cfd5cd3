//! The ways of a packet that wants no reply: to a service, or to all subscribers, none of which may lose it.

use meshzero::{PublishError, Publisher, ServiceRef};

use crate::bench::traffic::packet::{OneWay, Packet};
use crate::bench::traffic::protocol::TOPIC;
use crate::failure::Failure;

/// A way out. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub(crate) enum OneWaySender {
    /// As a message to a service.
    Tell(ServiceRef),
    /// As news to all subscribers.
    Publish(Publisher),
}

impl OneWaySender {
    /// Sends it, and waits as long as there is no room.
    pub(crate) async fn send(&self, packet: Packet) -> Result<(), Failure> {
        match self {
            Self::Tell(service) => Ok(service.tell(OneWay(packet)).await?),
            Self::Publish(publisher) => Ok(publish(publisher, packet).await?),
        }
    }
}

/// Publishes it, once every subscriber has room.
pub(crate) async fn publish(publisher: &Publisher, packet: Packet) -> Result<(), PublishError> {
    publisher.publish_all(TOPIC, &packet).await
}
