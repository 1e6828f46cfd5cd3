//! The forwarder to a ZeroMQ socket that listens elsewhere: requests go to a REP or a ROUTER, and the messages of a PUB
//! come back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use bytes::Bytes;
use meshzero_proto::codec::{self, Blob, DecodeLimits, EncodeError, Json};
use meshzero_proto::limits::Limits;
use meshzero_proto::wire::refusal::Refusal;
use meshzero_proto::zmtp::{self, SocketType, ZmtpError, ZmtpEvent};
use tokio::sync::mpsc;
use tokio::time;

use super::value::JsonMessage;
use super::{ZmtpConnection, ZmtpConnectionError};
use crate::net::network::Network;
use crate::runtime::clock;
use crate::server::actor::handler::RawMessage;
use crate::server::publisher::{PublishError, Publisher};
use crate::server::request::inbound::{InboundMessage, ReplyTo};

/// The interval at which requests are dropped whose callers have given up.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// The role of a socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketRole {
    /// A socket that replies to requests.
    Replies,
    /// A socket that publishes messages.
    Publishes,
}

/// A connection to a ZeroMQ socket.
pub(crate) struct ZmtpPeer {
    connection: ZmtpConnection,
    pub(crate) role: SocketRole,
}

/// Connects to the ZeroMQ socket that listens at `address`, and determines its role.
///
/// # Errors
/// [`ZmtpConnectionError`]: nothing listens there, it does not speak ZMTP, or it speaks meshzero as well.
pub(crate) async fn connect(
    network: &Network,
    address: SocketAddr,
    limits: &Limits,
) -> Result<ZmtpPeer, ZmtpConnectionError> {
    let connection = network.connect(address).await?;
    connection.keep_alive(limits.keep_alive);
    let mut connection = ZmtpConnection::new(connection, &[], limits.message_bytes);
    connection.writer.buffer().extend_from_slice(&zmtp::greeting());
    // A listening socket sends its type without waiting, so that this end can choose the matching one.
    let (socket, is_meshzero) = connection.ready().await?;
    let (own, role) = match socket {
        _ if is_meshzero => return Err(ZmtpConnectionError::Meshzero),
        SocketType::Rep | SocketType::Router => (SocketType::Dealer, SocketRole::Replies),
        SocketType::Pub | SocketType::XPub => (SocketType::Sub, SocketRole::Publishes),
        other => return Err(ZmtpError::SocketType(format!("{other:?}")).into()),
    };
    zmtp::write_ready(connection.writer.buffer(), own, false);
    connection.writer.flush_all().await?;
    Ok(ZmtpPeer { connection, role })
}

impl ZmtpPeer {
    /// Sends one request and waits for its reply. Only where nobody else uses the connection.
    ///
    /// # Errors
    /// [`ZmtpConnectionError`]; the connection is over.
    pub(crate) async fn request(&mut self, json: &[u8]) -> Result<Bytes, ZmtpConnectionError> {
        zmtp::write_message(self.connection.writer.buffer(), [b"", json]);
        self.connection.writer.flush_all().await?;
        loop {
            if let ZmtpEvent::Message(mut frames) = self.connection.reader.next().await? {
                return frames.pop().ok_or(ZmtpConnectionError::Disconnected);
            }
        }
    }
}

/// The actor that receives requests for a forwarder.
pub(crate) struct ForwarderInbox(mpsc::Sender<InboundMessage>);

impl ForwarderInbox {
    /// An actor whose requests go to `requests`, a channel with the capacity of the service's permits.
    pub(crate) fn new(requests: mpsc::Sender<InboundMessage>) -> Self {
        Self(requests)
    }
}

impl Actor for ForwarderInbox {
    type Context = Context<Self>;
}

impl Handler<RawMessage> for ForwarderInbox {
    type Result = ();

    fn handle(&mut self, RawMessage { inbound, .. }: RawMessage, _: &mut Context<Self>) {
        // The channel is never full: every waiting request holds a permit of the service, and it has the capacity of
        // all permits.
        if let Err(error) = self.0.try_send(inbound) {
            error.into_inner().reject_draining();
        }
    }
}

/// The requests of a [`ForwarderInbox`]. Dropping it refuses unsent requests as draining: callers may send them to other
/// instances.
pub(crate) struct ForwarderQueue(mpsc::Receiver<InboundMessage>);

impl ForwarderQueue {
    pub(crate) fn new(requests: mpsc::Receiver<InboundMessage>) -> Self {
        Self(requests)
    }
}

impl Drop for ForwarderQueue {
    fn drop(&mut self) {
        self.0.close();
        while let Ok(inbound) = self.0.try_recv() {
            inbound.reject_draining();
        }
    }
}

/// Forwards requests to a socket, and its replies and published messages back.
pub(crate) struct Forwarder {
    requests: ForwarderQueue,
    publisher: Publisher,
    limits: DecodeLimits,
}

/// The requests that wait for their replies, by the number in their envelopes. A message without a reply is finished
/// once it was sent: a socket that replies to none would otherwise hold all permits forever.
#[derive(Default)]
struct PendingReplies {
    requests: HashMap<u64, InboundMessage>,
    next_number: u64,
}

impl Forwarder {
    /// A forwarder for `requests`, and for the messages that `publisher` publishes.
    pub(crate) fn new(requests: ForwarderQueue, publisher: Publisher, limits: &Limits) -> Self {
        Self { requests, publisher, limits: DecodeLimits::untyped(limits) }
    }

    /// Forwards messages until the connection ends, or there can be no more requests (which is no error). Requests that
    /// were sent and not answered are lost then.
    ///
    /// # Errors
    /// [`ZmtpConnectionError`].
    pub(crate) async fn run(&mut self, peer: ZmtpPeer) -> Result<(), ZmtpConnectionError> {
        match peer.role {
            SocketRole::Replies => {
                let mut pending = PendingReplies::default();
                self.forward_requests(peer.connection, &mut pending).await
            }
            SocketRole::Publishes => self.subscribe(peer.connection).await,
        }
    }

    /// Forwards requests to a socket that replies.
    async fn forward_requests(
        &mut self,
        connection: ZmtpConnection,
        pending: &mut PendingReplies,
    ) -> Result<(), ZmtpConnectionError> {
        let ZmtpConnection { mut reader, mut writer } = connection;
        let mut expiry_timer = time::interval(EXPIRY_INTERVAL);
        loop {
            let has_room = writer.has_room();
            tokio::select! {
                biased;
                written = writer.flush() => written?,
                event = reader.next() => match event? {
                    ZmtpEvent::Message(frames) => pending.reply(&frames, &self.limits),
                    ZmtpEvent::Ping(context) => writer.pong(&context),
                    ZmtpEvent::Ready { .. } | ZmtpEvent::Subscribe(_) | ZmtpEvent::Cancel(_) => {}
                },
                request = self.requests.0.recv(), if has_room => match request {
                    Some(inbound) => self.send(inbound, writer.buffer(), pending),
                    None => return Ok(()),
                },
                _ = expiry_timer.tick() => pending.drop_unwanted(),
            }
        }
    }

    /// Appends a request to the bytes to be written, if its reply is still wanted.
    fn send(&self, mut inbound: InboundMessage, out: &mut Vec<u8>, pending: &mut PendingReplies) {
        if !inbound.should_run(clock::now()) {
            return;
        }
        let payload = std::mem::take(&mut inbound.payload);
        match codec::decode::<Json>(&payload, inbound.encoding, &self.limits) {
            Ok(json) => {
                let number = pending.insert(inbound).to_be_bytes();
                zmtp::write_message(out, [&number[..], b"", json.text()]);
            }
            Err(error) => {
                if let Some(reply) = inbound.reply {
                    let (message, problem) = (super::value::UNTYPED_NAME.to_owned(), error.to_string());
                    reply.refuse(Refusal::Undecodable { message, problem });
                }
            }
        }
    }

    /// Subscribes while there are subscribers on the mesh.
    async fn subscribe(&mut self, connection: ZmtpConnection) -> Result<(), ZmtpConnectionError> {
        let ZmtpConnection { mut reader, mut writer } = connection;
        let mut demand = self.publisher.demand();
        let mut is_subscribed = false;
        loop {
            let wanted = *demand.borrow_and_update() > 0;
            if wanted != is_subscribed {
                zmtp::write_subscription(writer.buffer(), b"", wanted);
                is_subscribed = wanted;
            }
            tokio::select! {
                biased;
                written = writer.flush() => written?,
                event = reader.next() => match event? {
                    ZmtpEvent::Message(frames) => self.publish(&frames),
                    ZmtpEvent::Ping(context) => writer.pong(&context),
                    ZmtpEvent::Ready { .. } | ZmtpEvent::Subscribe(_) | ZmtpEvent::Cancel(_) => {}
                },
                request = self.requests.0.recv() => match request {
                    Some(inbound) => refuse(inbound),
                    None => return Ok(()),
                },
                // Does not fail: `self.publisher` keeps the sender.
                _ = demand.changed() => {}
            }
        }
    }

    fn publish(&self, frames: &[Bytes]) {
        let [topic, data] = frames else {
            return tracing::warn!(
                frames = frames.len(),
                "dropped a ZeroMQ message that is not a topic and data"
            );
        };
        let Ok(topic) = std::str::from_utf8(topic) else {
            return tracing::warn!("dropped a ZeroMQ message whose topic is not text");
        };
        let json = Json::new(data.clone(), &self.limits);
        let published = match self.publisher.publish(topic, &json) {
            // Data that is not JSON is published as bytes.
            Err(PublishError::Item(error)) if matches!(*error, EncodeError::Refused { .. }) => {
                self.publisher.publish(topic, &Blob::from(data.clone()))
            }
            published => published,
        };
        if let Err(error) = published {
            tracing::warn!(%error, topic, "dropped a ZeroMQ message");
        }
    }
}

impl PendingReplies {
    fn insert(&mut self, inbound: InboundMessage) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        if inbound.reply.is_some() {
            self.requests.insert(number, inbound);
        }
        number
    }

    /// Replies to the request that the envelope names, if its caller still waits.
    fn reply(&mut self, frames: &[Bytes], limits: &DecodeLimits) {
        let number = frames.first().and_then(|frame| frame[..].try_into().ok()).map(u64::from_be_bytes);
        let request = number.and_then(|number| self.requests.remove(&number));
        let (Some(inbound), Some(json)) = (request, frames.last()) else {
            return tracing::debug!("dropped a ZeroMQ reply that nobody waits for");
        };
        if let Some(reply) = inbound.reply {
            reply.send(&JsonMessage(Json::new(json.clone(), limits)));
        }
    }

    /// Drops requests whose callers have given up, so that others get their permits.
    fn drop_unwanted(&mut self) {
        self.requests.retain(|_, inbound| inbound.reply.as_ref().is_none_or(ReplyTo::is_wanted));
    }
}

impl Drop for PendingReplies {
    /// Refuses the requests as lost: they were sent, and may have been handled.
    fn drop(&mut self) {
        for (_, inbound) in self.requests.drain() {
            if let Some(reply) = inbound.reply {
                reply.refuse(Refusal::Lost);
            }
        }
    }
}

/// Refuses a request: a socket that publishes does not reply.
fn refuse(inbound: InboundMessage) {
    if let Some(reply) = inbound.reply {
        reply.refuse(Refusal::NoHandler {
            message: super::value::UNTYPED_NAME.to_owned(),
            handles: Vec::new(),
        });
    }
}
