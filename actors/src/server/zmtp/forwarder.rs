//! The connection to a ZeroMQ socket that listens somewhere: questions go to a REP or a ROUTER, and the news of a PUB comes back.

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

/// The interval at which questions are dropped whose callers have given up.
const GLANCE: Duration = Duration::from_secs(1);

/// The role of a socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketRole {
    /// It answers.
    Answers,
    /// It publishes.
    Publishes,
}

/// A ZeroMQ socket that has been reached.
pub(crate) struct ZmtpPeer {
    wire: ZmtpConnection,
    pub(crate) role: SocketRole,
}

/// Connects to the ZeroMQ socket that listens at `address`, and finds out its role.
///
/// # Errors
/// [`ZmtpConnectionError`]: nobody is there, it speaks no ZMTP, or it speaks meshzero as well.
pub(crate) async fn connect(
    network: &Network,
    address: SocketAddr,
    limits: &Limits,
) -> Result<ZmtpPeer, ZmtpConnectionError> {
    let connection = network.connect(address).await?;
    connection.keep_alive(limits.keep_alive);
    let mut wire = ZmtpConnection::new(connection, &[], limits.message_bytes);
    wire.voice.add().extend_from_slice(&zmtp::greeting());
    // A socket that listens says what it is without waiting, so that this end can be what suits it.
    let (socket, is_meshzero) = wire.ready().await?;
    let (own, role) = match socket {
        _ if is_meshzero => return Err(ZmtpConnectionError::Meshzero),
        SocketType::Rep | SocketType::Router => (SocketType::Dealer, SocketRole::Answers),
        SocketType::Pub | SocketType::XPub => (SocketType::Sub, SocketRole::Publishes),
        other => return Err(ZmtpError::SocketType(format!("{other:?}")).into()),
    };
    zmtp::write_ready(wire.voice.add(), own, false);
    wire.voice.flush_all().await?;
    Ok(ZmtpPeer { wire, role })
}

impl ZmtpPeer {
    /// Asks one question and waits for its answer, where nobody else asks.
    ///
    /// # Errors
    /// [`ZmtpConnectionError`]; the conversation is over.
    pub(crate) async fn ask(&mut self, json: &[u8]) -> Result<Bytes, ZmtpConnectionError> {
        zmtp::write_message(self.wire.voice.add(), [b"", json]);
        self.wire.voice.flush_all().await?;
        loop {
            if let ZmtpEvent::Message(mut frames) = self.wire.ear.next().await? {
                return frames.pop().ok_or(ZmtpConnectionError::Gone);
            }
        }
    }
}

/// The actor that takes questions for a courier.
pub(crate) struct ForwarderInbox(mpsc::Sender<InboundMessage>);

impl ForwarderInbox {
    /// One whose questions go to `ask`, which holds as many as the service has places.
    pub(crate) fn new(ask: mpsc::Sender<InboundMessage>) -> Self {
        Self(ask)
    }
}

impl Actor for ForwarderInbox {
    type Context = Context<Self>;
}

impl Handler<RawMessage> for ForwarderInbox {
    type Result = ();

    fn handle(&mut self, RawMessage { inbound, .. }: RawMessage, _: &mut Context<Self>) {
        // As many wait at most as the service has places, and each of those that wait has one.
        if let Err(error) = self.0.try_send(inbound) {
            error.into_inner().reject_draining();
        }
    }
}

/// The questions of an [`ForwarderInbox`]. When this is dropped, callers are told that those which were not sent may be sent elsewhere.
pub(crate) struct ForwarderQueue(mpsc::Receiver<InboundMessage>);

impl ForwarderQueue {
    pub(crate) fn new(asked: mpsc::Receiver<InboundMessage>) -> Self {
        Self(asked)
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

/// Carries questions to a socket, and its answers and news back.
pub(crate) struct Forwarder {
    asked: ForwarderQueue,
    publisher: Publisher,
    limits: DecodeLimits,
}

/// Questions that wait for their answers, by the number in their envelopes. A message without a reply is done once it was sent: a socket
/// that answers none would otherwise hold all places forever.
#[derive(Default)]
struct PendingReplies {
    asked: HashMap<u64, InboundMessage>,
    next: u64,
}

impl Forwarder {
    /// A courier for the questions `asked`, and for the news that `publisher` publishes.
    pub(crate) fn new(asked: ForwarderQueue, publisher: Publisher, limits: &Limits) -> Self {
        Self { asked, publisher, limits: DecodeLimits::untyped(limits) }
    }

    /// Carries messages until the connection ends, or nobody can ask any more (which is no error). Questions that were sent and not
    /// answered are lost then.
    ///
    /// # Errors
    /// [`ZmtpConnectionError`].
    pub(crate) async fn run(&mut self, reached: ZmtpPeer) -> Result<(), ZmtpConnectionError> {
        match reached.role {
            SocketRole::Answers => {
                let mut open = PendingReplies::default();
                self.ask(reached.wire, &mut open).await
            }
            SocketRole::Publishes => self.listen(reached.wire).await,
        }
    }

    async fn ask(
        &mut self,
        wire: ZmtpConnection,
        open: &mut PendingReplies,
    ) -> Result<(), ZmtpConnectionError> {
        let ZmtpConnection { mut ear, mut voice } = wire;
        let mut glance = time::interval(GLANCE);
        loop {
            let has_room = voice.has_room();
            tokio::select! {
                biased;
                said = voice.flush() => said?,
                event = ear.next() => match event? {
                    ZmtpEvent::Message(frames) => open.answer(&frames, &self.limits),
                    ZmtpEvent::Ping(context) => voice.pong(&context),
                    ZmtpEvent::Ready { .. } | ZmtpEvent::Subscribe(_) | ZmtpEvent::Cancel(_) => {}
                },
                asked = self.asked.0.recv(), if has_room => match asked {
                    Some(inbound) => self.send(inbound, voice.add(), open),
                    None => return Ok(()),
                },
                _ = glance.tick() => open.forget_unwanted(),
            }
        }
    }

    /// Adds a question to the bytes to be written, if its answer is still wanted.
    fn send(&self, mut inbound: InboundMessage, out: &mut Vec<u8>, open: &mut PendingReplies) {
        if !inbound.is_due(clock::now()) {
            return;
        }
        let payload = std::mem::take(&mut inbound.payload);
        match codec::decode::<Json>(&payload, inbound.encoding, &self.limits) {
            Ok(json) => {
                let number = open.keep(inbound).to_be_bytes();
                zmtp::write_message(out, [&number[..], b"", json.text()]);
            }
            Err(error) => {
                if let Some(reply) = inbound.reply {
                    let (message, problem) = (super::value::NAME.to_owned(), error.to_string());
                    reply.refuse(Refusal::Undecodable { message, problem });
                }
            }
        }
    }

    /// Subscribes while somebody listens here.
    async fn listen(&mut self, wire: ZmtpConnection) -> Result<(), ZmtpConnectionError> {
        let ZmtpConnection { mut ear, mut voice } = wire;
        let mut demand = self.publisher.demand();
        let mut listens = false;
        loop {
            let wanted = *demand.borrow_and_update() > 0;
            if wanted != listens {
                zmtp::write_subscription(voice.add(), b"", wanted);
                listens = wanted;
            }
            tokio::select! {
                biased;
                said = voice.flush() => said?,
                event = ear.next() => match event? {
                    ZmtpEvent::Message(frames) => self.publish(&frames),
                    ZmtpEvent::Ping(context) => voice.pong(&context),
                    ZmtpEvent::Ready { .. } | ZmtpEvent::Subscribe(_) | ZmtpEvent::Cancel(_) => {}
                },
                asked = self.asked.0.recv() => match asked {
                    Some(inbound) => refuse(inbound),
                    None => return Ok(()),
                },
                // Its sender lives as long as the publisher that is held here.
                _ = demand.changed() => {}
            }
        }
    }

    fn publish(&self, frames: &[Bytes]) {
        let [topic, data] = frames else {
            return tracing::warn!(
                frames = frames.len(),
                "dropped news of ZeroMQ that are no topic and data"
            );
        };
        let Ok(topic) = std::str::from_utf8(topic) else {
            return tracing::warn!("dropped news of ZeroMQ whose topic is no text");
        };
        let json = Json::new(data.clone(), &self.limits);
        let published = match self.publisher.publish(topic, &json) {
            // What is no JSON was sent as bytes.
            Err(PublishError::Item(error)) if matches!(*error, EncodeError::Refused { .. }) => {
                self.publisher.publish(topic, &Blob::from(data.clone()))
            }
            published => published,
        };
        if let Err(error) = published {
            tracing::warn!(%error, topic, "dropped news of ZeroMQ");
        }
    }
}

impl PendingReplies {
    fn keep(&mut self, inbound: InboundMessage) -> u64 {
        let number = self.next;
        self.next += 1;
        if inbound.reply.is_some() {
            self.asked.insert(number, inbound);
        }
        number
    }

    /// Answers the question that the reply's envelope names, if its caller still waits.
    fn answer(&mut self, frames: &[Bytes], limits: &DecodeLimits) {
        let number = frames.first().and_then(|frame| frame[..].try_into().ok()).map(u64::from_be_bytes);
        let asked = number.and_then(|number| self.asked.remove(&number));
        let (Some(inbound), Some(json)) = (asked, frames.last()) else {
            return tracing::debug!("a reply of ZeroMQ that nobody waits for");
        };
        if let Some(reply) = inbound.reply {
            reply.send(&JsonMessage(Json::new(json.clone(), limits)));
        }
    }

    /// Drops questions whose callers have given up, so that others get their places.
    fn forget_unwanted(&mut self) {
        self.asked.retain(|_, inbound| inbound.reply.as_ref().is_none_or(ReplyTo::is_wanted));
    }
}

impl Drop for PendingReplies {
    /// Questions that were sent and not answered may have been handled.
    fn drop(&mut self) {
        for (_, inbound) in self.asked.drain() {
            if let Some(reply) = inbound.reply {
                reply.refuse(Refusal::Lost);
            }
        }
    }
}

/// A publisher answers nothing.
fn refuse(inbound: InboundMessage) {
    if let Some(reply) = inbound.reply {
        reply.refuse(Refusal::NoHandler { message: super::value::NAME.to_owned(), handles: Vec::new() });
    }
}
