//! A REQ or a DEALER at an endpoint: its JSON becomes a message of the service, and the replies go back in the order in which
//! it asked.
//!
//! There is no word for an error in what NetworkZero and its like send, and who gets no reply waits for ever. So a message
//! without a reply is answered with `{"error": "…"}`, and the reason.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use meshzero_proto::codec::{self, DecodeLimits, EncodeError, Encoding, Json};
use meshzero_proto::refusal::Refusal;
use meshzero_proto::zmtp::{self, Event, Question};
use tokio::sync::oneshot;

use super::{Wire, WireError, is_gone, value};
use crate::inbound::{Inbound, Outcome, ReplyTo};
use crate::service::Service;

/// A socket that asks.
struct Asking {
    wire: Wire,
    service: Arc<Service>,
    limits: DecodeLimits,
    /// What was asked and not answered yet, in order.
    asked: VecDeque<Asked>,
}

struct Asked {
    /// What the reply begins with.
    envelope: Vec<Bytes>,
    reply: Reply,
}

enum Reply {
    /// From the service's actor.
    Coming(oneshot::Receiver<Outcome>),
    /// There is none, and why.
    Wrong(String),
}

/// A message on its way to the service.
struct Message {
    slot: usize,
    payload: Bytes,
}

/// Serves it until it leaves or the service closes; then what was asked is still answered.
pub(super) async fn serve(wire: Wire, service: Arc<Service>) -> Result<(), WireError> {
    let limits = DecodeLimits::untyped(service.limits());
    let mut asking = Asking { wire, limits, service, asked: VecDeque::new() };
    match asking.run().await {
        Err(error) if is_gone(&error) => Ok(()),
        ended => ended,
    }
}

impl Asking {
    async fn run(&mut self) -> Result<(), WireError> {
        let service = Arc::clone(&self.service);
        let most = service.limits().requests_in_flight;
        let mut closed = pin!(service.closed());
        loop {
            let event = tokio::select! {
                biased;
                outcome = next(&mut self.asked) => {
                    self.answer(outcome).await?;
                    continue;
                }
                () = &mut closed => break,
                event = self.wire.next(), if self.asked.len() < most => event?,
            };
            // A socket that asks has nothing else to say.
            let Event::Message(frames) = event else { continue };
            match zmtp::divide(frames) {
                Some(Question { envelope, body }) => self.ask(envelope, body).await?,
                None => {
                    tracing::debug!("dropped a message of ZeroMQ that has several frames and no envelope")
                }
            }
        }
        while !self.asked.is_empty() {
            let outcome = next(&mut self.asked).await;
            self.answer(outcome).await?;
        }
        Ok(())
    }

    /// Hands a question to the service once that has room, and answers earlier ones meanwhile.
    async fn ask(&mut self, envelope: Vec<Bytes>, body: Bytes) -> Result<(), WireError> {
        let reply = match message(&self.service, body, &self.limits) {
            Ok(message) => {
                let service = Arc::clone(&self.service);
                let mut placing = pin!(service.place());
                let place = loop {
                    tokio::select! {
                        biased;
                        outcome = next(&mut self.asked) => self.answer(outcome).await?,
                        place = &mut placing => break place,
                    }
                };
                match place {
                    Some(place) => {
                        let (tell, told) = oneshot::channel();
                        service.deliver_alone(
                            message.slot,
                            Inbound {
                                payload: message.payload,
                                encoding: Encoding::MessagePack,
                                reply: Some(ReplyTo::local(tell, service.limits().message_bytes)),
                                deadline: None,
                                place,
                                trace: None,
                            },
                        );
                        Reply::Coming(told)
                    }
                    None => Reply::Wrong(Refusal::Draining.to_string()),
                }
            }
            Err(problem) => Reply::Wrong(problem),
        };
        self.asked.push_back(Asked { envelope, reply });
        Ok(())
    }

    /// Answers the question that was asked first.
    async fn answer(&mut self, outcome: Result<Outcome, String>) -> Result<(), WireError> {
        let Some(Asked { envelope, .. }) = self.asked.pop_front() else { return Ok(()) };
        let json = match outcome {
            Ok(Outcome::Reply(Encoding::MessagePack, payload)) => {
                match payload.decode::<Json>(Encoding::MessagePack, &self.limits) {
                    Ok(json) => Ok(json.text().clone()),
                    Err(error) => Err(error.to_string()),
                }
            }
            Ok(Outcome::Reply(Encoding::Bincode, _)) => {
                Err("its reply has no form without its type".to_owned())
            }
            Ok(Outcome::Refused(why)) => Err(why.to_string()),
            Err(problem) => Err(problem),
        };
        let json = json.unwrap_or_else(|problem| serde_json::json!({ "error": problem }).to_string().into());
        let mut out = Vec::with_capacity(json.len() + 32);
        zmtp::write_message(&mut out, envelope.iter().map(|frame| &frame[..]).chain([&json[..]]));
        self.wire.write(&out).await
    }
}

/// What the first question ends in; waits for ever if there is none.
///
/// # Cancel safety
/// Loses nothing.
async fn next(asked: &mut VecDeque<Asked>) -> Result<Outcome, String> {
    match asked.front_mut() {
        Some(Asked { reply: Reply::Coming(told), .. }) => {
            Ok(told.await.unwrap_or(Outcome::Refused(Refusal::Panicked)))
        }
        Some(Asked { reply: Reply::Wrong(problem), .. }) => Err(std::mem::take(problem)),
        None => pending().await,
    }
}

/// What `body` means to the service: a message without a type, if it takes those; else of the type that is named by the one
/// key of a map, or of the one type that it takes.
fn message(service: &Service, body: Bytes, limits: &DecodeLimits) -> Result<Message, String> {
    let (mut bytes, most) = (Vec::new(), service.limits().message_bytes);
    codec::encode(&Json::new(body, limits), Encoding::MessagePack, most, &mut bytes).map_err(|error| {
        match error {
            EncodeError::Refused { problem } => format!("this is no JSON that can be taken: {problem}"),
            error @ EncodeError::TooLarge { .. } => error.to_string(),
        }
    })?;
    if let Some(slot) = service.slot(value::NAME) {
        return Ok(Message { slot, payload: bytes.into() });
    }
    let bytes = Bytes::from(bytes);
    if let Some((name, payload)) = codec::single_entry(&bytes)
        && let Some(slot) = service.slot(name)
    {
        return Ok(Message { slot, payload: bytes.slice_ref(payload) });
    }
    match &service.handles()[..] {
        [_] => Ok(Message { slot: 0, payload: bytes }),
        handles => Err(format!(
            "say which message it is, as in {{\"{}\": …}}: it handles {}",
            handles.first().map_or("Name", String::as_str),
            if handles.is_empty() { "nothing".to_owned() } else { handles.join(", ") },
        )),
    }
}
