//! A REQ or DEALER socket at an endpoint: its JSON becomes a message of the service, and the replies go back in the
//! order of the requests.
//!
//! NetworkZero and similar programs have no representation of an error, and a REQ socket that gets no reply blocks
//! forever. So a request without a reply is answered with the reason, as `{"error": "…"}`.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use meshzero_proto::codec::{self, DecodeLimits, EncodeError, Encoding, Json};
use meshzero_proto::wire::refusal::Refusal;
use meshzero_proto::zmtp::{self, Envelope, ZmtpEvent};
use tokio::sync::oneshot;

use super::{ZmtpConnection, ZmtpConnectionError, is_disconnect, value};
use crate::runtime::semaphore::Permits;
use crate::server::request::inbound::{InboundMessage, Outcome, ReplyTo};
use crate::server::service::Service;

/// The session of a socket that sends requests.
struct ZmtpRequestSession {
    connection: ZmtpConnection,
    service: Arc<Service>,
    limits: DecodeLimits,
    /// The requests that are not answered yet, in order.
    pending: VecDeque<PendingRequest>,
    /// The last request, while the service has no permit for it. Nothing else is read meanwhile.
    awaiting: Option<AwaitingPermit>,
}

struct PendingRequest {
    /// The first frames of the reply.
    envelope: Vec<Bytes>,
    reply: ZmtpReply,
}

enum ZmtpReply {
    /// A reply from the service's actor.
    Pending(oneshot::Receiver<Outcome>),
    /// No reply, and the reason.
    Failed(String),
}

/// A message that waits for its permit.
struct AwaitingPermit {
    envelope: Vec<Bytes>,
    message: ZmtpMessage,
    permit: Pin<Box<dyn Future<Output = Option<Permits>>>>,
}

/// A message on its way to the service.
struct ZmtpMessage {
    slot: usize,
    payload: Bytes,
}

/// Serves a socket until it leaves or the service closes; then pending requests are still answered.
pub(super) async fn serve(
    connection: ZmtpConnection,
    service: Arc<Service>,
) -> Result<(), ZmtpConnectionError> {
    let limits = DecodeLimits::untyped(service.limits());
    let mut session =
        ZmtpRequestSession { connection, limits, service, pending: VecDeque::new(), awaiting: None };
    match session.run().await {
        Err(error) if is_disconnect(&error) => Ok(()),
        ended => ended,
    }
}

impl ZmtpRequestSession {
    async fn run(&mut self) -> Result<(), ZmtpConnectionError> {
        let service = Arc::clone(&self.service);
        let max_pending = service.limits().requests_in_flight;
        let mut closed = pin!(service.closed());
        let mut is_closing = false;
        while !is_closing
            || !self.pending.is_empty()
            || self.awaiting.is_some()
            || !self.connection.writer.is_empty()
        {
            let Self { connection: ZmtpConnection { reader, writer }, pending, awaiting, .. } = self;
            let has_room = writer.has_room();
            let can_read = has_room && awaiting.is_none() && pending.len() < max_pending && !is_closing;
            tokio::select! {
                biased;
                written = writer.flush() => written?,
                outcome = next(pending), if has_room => self.answer(outcome),
                permit = permit(awaiting) => self.on_permit(permit),
                () = &mut closed, if !is_closing => is_closing = true,
                event = reader.next(), if can_read => match event? {
                    ZmtpEvent::Message(frames) => self.on_request(frames),
                    ZmtpEvent::Ping(context) => writer.pong(&context),
                    // Other events mean nothing from a requesting socket.
                    ZmtpEvent::Subscribe(_) | ZmtpEvent::Cancel(_) | ZmtpEvent::Ready { .. } => {}
                },
            }
        }
        Ok(())
    }

    /// Handles a request, which waits if the service has no permit.
    fn on_request(&mut self, frames: Vec<Bytes>) {
        let Some(Envelope { envelope, body }) = zmtp::split_envelope(frames) else {
            return tracing::debug!("dropped a ZeroMQ message with several frames and no envelope");
        };
        match message(&self.service, body, &self.limits) {
            Ok(message) => match self.service.try_acquire() {
                Some(permit) => self.deliver(envelope, message, permit),
                None => {
                    let service = Arc::clone(&self.service);
                    let permit = Box::pin(async move { service.acquire().await });
                    self.awaiting = Some(AwaitingPermit { envelope, message, permit });
                }
            },
            Err(problem) => {
                self.pending.push_back(PendingRequest { envelope, reply: ZmtpReply::Failed(problem) })
            }
        }
    }

    /// Hands over the request that has waited.
    fn on_permit(&mut self, permit: Option<Permits>) {
        let Some(AwaitingPermit { envelope, message, .. }) = self.awaiting.take() else { return };
        match permit {
            Some(permit) => self.deliver(envelope, message, permit),
            None => {
                let reply = ZmtpReply::Failed(Refusal::Draining.to_string());
                self.pending.push_back(PendingRequest { envelope, reply });
            }
        }
    }

    fn deliver(&mut self, envelope: Vec<Bytes>, ZmtpMessage { slot, payload }: ZmtpMessage, permit: Permits) {
        let (tx, rx) = oneshot::channel();
        let reply = Some(ReplyTo::local(tx, self.service.limits().message_bytes));
        let encoding = Encoding::MessagePack;
        let inbound = InboundMessage { payload, encoding, reply, deadline: None, permit, trace: None };
        self.service.messages_in.count();
        self.service.deliver_alone(slot, inbound);
        self.pending.push_back(PendingRequest { envelope, reply: ZmtpReply::Pending(rx) });
    }

    /// Answers the oldest request.
    fn answer(&mut self, outcome: Result<Outcome, String>) {
        let Some(PendingRequest { envelope, .. }) = self.pending.pop_front() else { return };
        let json = match outcome {
            Ok(Outcome::Reply(encoding @ Encoding::MessagePack, payload)) => payload
                .decode::<Json>(encoding, &self.limits)
                .map(|json| json.text().clone())
                .map_err(|error| error.to_string()),
            Ok(Outcome::Reply(Encoding::Bincode, _)) => {
                Err("its reply cannot be decoded without its type".to_owned())
            }
            Ok(Outcome::Refused(reason)) => Err(reason.to_string()),
            Err(problem) => Err(problem),
        };
        let json = json.unwrap_or_else(|problem| serde_json::json!({ "error": problem }).to_string().into());
        let frames = envelope.iter().map(|frame| &frame[..]).chain([&json[..]]);
        zmtp::write_message(self.connection.writer.buffer(), frames);
    }
}

/// Waits for the permit of the request that needs one; waits forever if none does.
///
/// # Cancel safety
/// This function is cancel safe: it loses neither the permit nor the place in the queue.
async fn permit(awaiting: &mut Option<AwaitingPermit>) -> Option<Permits> {
    match awaiting {
        Some(awaiting) => (&mut awaiting.permit).await,
        None => pending().await,
    }
}

/// Returns the outcome of the oldest request; waits forever if there is none.
///
/// # Cancel safety
/// This function is cancel safe.
async fn next(pending_requests: &mut VecDeque<PendingRequest>) -> Result<Outcome, String> {
    match pending_requests.front_mut() {
        Some(PendingRequest { reply: ZmtpReply::Pending(rx), .. }) => {
            Ok(rx.await.unwrap_or(Outcome::Refused(Refusal::Panicked)))
        }
        Some(PendingRequest { reply: ZmtpReply::Failed(problem), .. }) => Err(std::mem::take(problem)),
        None => pending().await,
    }
}

/// Converts `body` to a message for the service: an untyped one, if the service accepts those; else one of the type
/// named by the only key of a map, or of the only type that it accepts.
fn message(service: &Service, body: Bytes, limits: &DecodeLimits) -> Result<ZmtpMessage, String> {
    let (mut bytes, max_bytes) = (Vec::new(), service.limits().message_bytes);
    codec::encode(&Json::new(body, limits), Encoding::MessagePack, max_bytes, &mut bytes).map_err(
        |error| match error {
            EncodeError::Refused { problem } => format!("this is not JSON that can be decoded: {problem}"),
            error @ EncodeError::TooLarge { .. } => error.to_string(),
        },
    )?;
    if let Some(slot) = service.types.slot(value::UNTYPED_NAME) {
        return Ok(ZmtpMessage { slot, payload: bytes.into() });
    }
    let bytes = Bytes::from(bytes);
    if let Some((name, payload)) = codec::single_entry(&bytes)
        && let Some(slot) = service.types.slot(name)
    {
        return Ok(ZmtpMessage { slot, payload: bytes.slice_ref(payload) });
    }
    match &service.types.names()[..] {
        [_] => Ok(ZmtpMessage { slot: 0, payload: bytes }),
        handles => Err(format!(
            "say which message it is, as in {{\"{}\": …}}: it handles {}",
            handles.first().map_or("Name", String::as_str),
            if handles.is_empty() { "nothing".to_owned() } else { handles.join(", ") },
        )),
    }
}
