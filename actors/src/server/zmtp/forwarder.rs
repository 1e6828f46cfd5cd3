//! The connection to a ZeroMQ socket that listens somewhere: questions go to a REP or a ROUTER, and the news of a PUB comes back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use bytes::Bytes;
use meshzero_proto::codec::{self, Blob, DecodeLimits, EncodeError, Json};
use meshzero_proto::limits::Limits;
use meshzero_proto::wire::refusal::Refusal;
use meshzero_proto::zmtp::{self, Event, SocketType, ZmtpError};
use tokio::sync::mpsc;
use tokio::time;

use super::value::Value;
use super::{Wire, WireError};
use crate::net::network::Network;
use crate::runtime::clock;
use crate::server::actor::handler::Encoded;
use crate::server::publisher::{PublishError, Publisher};
use crate::server::request::inbound::{Inbound, ReplyTo};

/// The interval at which questions are dropped whose callers have given up.
const GLANCE: Duration = Duration::from_secs(1);

/// The role of a socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It answers.
    Answers,
    /// It publishes.
    Publishes,
}

/// A ZeroMQ socket that has been reached.
pub(crate) struct Reached {
    wire: Wire,
    pub(crate) role: Role,
}

/// Connects to the ZeroMQ socket that listens at `address`, and finds out its role.
///
/// # Errors
/// [`WireError`]: nobody is there, it speaks no ZMTP, or it speaks meshzero as well.
pub(crate) async fn reach(
    network: &Network,
    address: SocketAddr,
    limits: &Limits,
) -> Result<Reached, WireError> {
    let connection = network.connect(address).await?;
    connection.keep_alive(limits.keep_alive);
    let mut wire = Wire::new(connection, &[], limits.message_bytes);
    wire.voice.add().extend_from_slice(&zmtp::greeting());
    // A socket that listens says what it is without waiting, so that this end can be what suits it.
    let (socket, is_meshzero) = wire.ready().await?;
    let (own, role) = match socket {
        _ if is_meshzero => return Err(WireError::Meshzero),
        SocketType::Rep | SocketType::Router => (SocketType::Dealer, Role::Answers),
        SocketType::Pub | SocketType::XPub => (SocketType::Sub, Role::Publishes),
        other => return Err(ZmtpError::SocketType(format!("{other:?}")).into()),
    };
    zmtp::write_ready(wire.voice.add(), own, false);
    wire.voice.say_all().await?;
    Ok(Reached { wire, role })
}

impl Reached {
    /// Asks one question and waits for its answer, where nobody else asks.
    ///
    /// # Errors
    /// [`WireError`]; the conversation is over.
    pub(crate) async fn ask(&mut self, json: &[u8]) -> Result<Bytes, WireError> {
        zmtp::write_message(self.wire.voice.add(), [b"", json]);
        self.wire.voice.say_all().await?;
        loop {
            if let Event::Message(mut frames) = self.wire.ear.next().await? {
                return frames.pop().ok_or(WireError::Gone);
            }
        }
    }
}

/// The actor that takes questions for a courier.
pub(crate) struct Intake(mpsc::Sender<Inbound>);

impl Intake {
    /// One whose questions go to `ask`, which holds as many as the service has places.
    pub(crate) fn new(ask: mpsc::Sender<Inbound>) -> Self {
        Self(ask)
    }
}

impl Actor for Intake {
    type Context = Context<Self>;
}

impl Handler<Encoded> for Intake {
    type Result = ();

    fn handle(&mut self, Encoded { inbound, .. }: Encoded, _: &mut Context<Self>) {
        // As many wait at most as the service has places, and each of those that wait has one.
        if let Err(error) = self.0.try_send(inbound) {
            error.into_inner().turn_away();
        }
    }
}

/// The questions of an [`Intake`]. When this is dropped, callers are told that those which were not sent may be sent elsewhere.
pub(crate) struct Questions(mpsc::Receiver<Inbound>);

impl Questions {
    pub(crate) fn new(asked: mpsc::Receiver<Inbound>) -> Self {
        Self(asked)
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        self.0.close();
        while let Ok(inbound) = self.0.try_recv() {
            inbound.turn_away();
        }
    }
}

/// Carries questions to a socket, and its answers and news back.
pub(crate) struct Courier {
    asked: Questions,
    publisher: Publisher,
    limits: DecodeLimits,
}

/// Questions that wait for their answers, by the number in their envelopes. A message without a reply is done once it was sent: a socket
/// that answers none would otherwise hold all places forever.
#[derive(Default)]
struct Open {
    asked: HashMap<u64, Inbound>,
    next: u64,
}

impl Courier {
    /// A courier for the questions `asked`, and for the news that `publisher` publishes.
    pub(crate) fn new(asked: Questions, publisher: Publisher, limits: &Limits) -> Self {
        Self { asked, publisher, limits: DecodeLimits::untyped(limits) }
    }

    /// Carries messages until the connection ends, or nobody can ask any more (which is no error). Questions that were sent and not
    /// answered are lost then.
    ///
    /// # Errors
    /// [`WireError`].
    pub(crate) async fn run(&mut self, reached: Reached) -> Result<(), WireError> {
        match reached.role {
            Role::Answers => {
                let mut open = Open::default();
                self.ask(reached.wire, &mut open).await
            }
            Role::Publishes => self.listen(reached.wire).await,
        }
    }

    async fn ask(&mut self, wire: Wire, open: &mut Open) -> Result<(), WireError> {
        let Wire { mut ear, mut voice } = wire;
        let mut glance = time::interval(GLANCE);
        loop {
            let has_room = voice.has_room();
            tokio::select! {
                biased;
                said = voice.say() => said?,
                event = ear.next() => match event? {
                    Event::Message(frames) => open.answer(&frames, &self.limits),
                    Event::Ping(context) => voice.pong(&context),
                    Event::Ready { .. } | Event::Subscribe(_) | Event::Cancel(_) => {}
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
    fn send(&self, mut inbound: Inbound, out: &mut Vec<u8>, open: &mut Open) {
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
    async fn listen(&mut self, wire: Wire) -> Result<(), WireError> {
        let Wire { mut ear, mut voice } = wire;
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
                said = voice.say() => said?,
                event = ear.next() => match event? {
                    Event::Message(frames) => self.publish(&frames),
                    Event::Ping(context) => voice.pong(&context),
                    Event::Ready { .. } | Event::Subscribe(_) | Event::Cancel(_) => {}
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

impl Open {
    fn keep(&mut self, inbound: Inbound) -> u64 {
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
            reply.send(&Value(Json::new(json.clone(), limits)));
        }
    }

    /// Drops questions whose callers have given up, so that others get their places.
    fn forget_unwanted(&mut self) {
        self.asked.retain(|_, inbound| inbound.reply.as_ref().is_none_or(ReplyTo::is_wanted));
    }
}

impl Drop for Open {
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
fn refuse(inbound: Inbound) {
    if let Some(reply) = inbound.reply {
        reply.refuse(Refusal::NoHandler { message: super::value::NAME.to_owned(), handles: Vec::new() });
    }
}
