//! Senders of packets without a reply: as messages to a service, or as lossless news to all subscribers.

use meshzero::{PublishError, Publisher, ServiceRef};

use crate::bench::traffic::packet::{Body, OneWay, Packet};
use crate::bench::traffic::protocol::TOPIC;
use crate::failure::Failure;

/// A sender of packets without a reply. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub(crate) enum OneWaySender {
    /// Tells a service.
    Tell(ServiceRef),
    /// Publishes to all subscribers.
    Publish(Publisher),
}

impl OneWaySender {
    /// Sends a packet, waiting until there is room.
    pub(crate) async fn send<B: Body>(&self, packet: Packet<B>) -> Result<(), Failure> {
        match self {
            Self::Tell(service) => Ok(service.tell(OneWay(packet)).await?),
            Self::Publish(publisher) => Ok(publish(publisher, packet).await?),
        }
    }
}

/// Publishes a packet, waiting until every subscriber has room.
pub(crate) async fn publish<B: Body>(publisher: &Publisher, packet: Packet<B>) -> Result<(), PublishError> {
    publisher.publish_all(TOPIC, &packet).await
}
