//! The session of a link for requests: messages go to the service, as far as that has permits for them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use meshzero_proto::wire::frame::{self, FrameContents, FrameKind, Frames, Header};
use meshzero_proto::wire::hello::Hello;
use meshzero_proto::wire::refusal::Refusal;

use super::introspection::Introspection;
use super::refusals::Refusals;
use super::{SessionError, send_frame};
use crate::link::reader::FrameReader;
use crate::link::run::{LinkProtocol, ReadEnd, handle_control_frame};
use crate::link::send_queue::SendQueue;
use crate::runtime::clock;
use crate::runtime::semaphore::{FairSemaphore, Permits};
use crate::server::request::delivery::{self, Delivery};
use crate::server::request::expiry;
use crate::server::request::responder::Responder;
use crate::server::service::Service;

/// The number of unhandled bytes of messages at which nothing more is read from a connection. The number of messages is
/// bounded for the whole service; this bounds the memory of large ones.
const AHEAD_BYTES: usize = 64 << 10;

/// The session of a link for requests.
pub(super) struct RequestSession {
    service: Arc<Service>,
    send_queue: Arc<SendQueue>,
    responder: Arc<Responder>,
    incoming: FrameReader,
    /// The semaphore for bytes that have not been handled.
    unhandled_bytes: Arc<FairSemaphore>,
    /// The messages that have arrived and not been handed over yet.
    arrived: Option<ArrivedMessages>,
    /// Set once the client has announced that it sends no more.
    is_over: bool,
    /// The number of tells without a handler.
    dropped: u64,
    refusals: Refusals,
    introspection: Introspection,
}

impl Drop for RequestSession {
    fn drop(&mut self) {
        self.responder.set_disconnected();
    }
}

/// Messages for the service, still encoded.
struct ArrivedMessages {
    frames: Bytes,
    messages: usize,
    has_requests: bool,
    arrived_at: Instant,
    /// The permit for their bytes, once there is one.
    byte_permit: Option<Arc<Permits>>,
}

impl RequestSession {
    /// A session with a client that has just sent `hello`.
    pub(super) fn new(
        service: Arc<Service>,
        incoming: FrameReader,
        send_queue: &Arc<SendQueue>,
        hello: &Hello,
    ) -> Self {
        let max_reply = service.limits().message_bytes.min(hello.message_bytes as usize);
        let (in_flight, counters) = (service.limits().requests_in_flight, Arc::clone(&service.counters));
        let mut responder = Responder::new(Arc::clone(send_queue), in_flight, max_reply, counters);
        if hello.pieces {
            responder = responder.with_fragments();
        }
        let responder = Arc::new(responder);
        send_frame(send_queue, FrameKind::Catalogue, 0, &service.types.catalogue().to_bytes());
        let queue_bytes = service.limits().send_queue_bytes;
        let refusals = Refusals::new(Arc::clone(&responder), Arc::clone(send_queue), queue_bytes);
        let introspection =
            Introspection::new(Arc::clone(&service), Arc::clone(&responder), Arc::clone(send_queue));
        Self {
            service,
            send_queue: Arc::clone(send_queue),
            responder,
            incoming,
            unhandled_bytes: FairSemaphore::new(AHEAD_BYTES),
            arrived: None,
            is_over: false,
            dropped: 0,
            refusals,
            introspection,
        }
    }

    /// Handles frames that do not need the service's actor, and counts the messages for it. A request whose
    /// cancellation arrived with it is not handled.
    fn on_frames(&mut self, frames: Bytes, contents: FrameContents) -> Result<(), SessionError> {
        let arrived_at = clock::now();
        let (mut messages, mut has_requests) = (contents.tells, false);
        let are_tells = contents.tells == contents.frames && contents.flags & frame::TRACED == 0;
        if !are_tells || !self.has_slot(contents.highest_slot) {
            messages = 0;
            let millis = self.responder.next_deadline.millis(arrived_at);
            for (header, payload) in Frames::new(&frames) {
                messages += usize::from(delivery::is_message(&header));
                has_requests |= header.kind == FrameKind::Request;
                self.on_frame(header, payload, millis)?;
            }
        }
        if messages > 0 && self.service.is_draining() {
            self.service.reject_unstarted(&frames, &self.responder, messages);
        } else if messages > 0 {
            self.arrived =
                Some(ArrivedMessages { frames, messages, has_requests, arrived_at, byte_permit: None });
        }
        Ok(())
    }

    fn on_frame(&mut self, header: Header, payload: &[u8], arrived_at: u64) -> Result<(), SessionError> {
        match header.kind {
            FrameKind::Request => {
                let Some((timeout, _)) = untraced(header, payload).and_then(delivery::split_request) else {
                    return Err(too_short(FrameKind::Request));
                };
                if !expiry::track(&self.responder, header.id, arrived_at, timeout) {
                    self.refusals.refuse(header.id, Refusal::Busy)?;
                } else if let Some(message) = self.unhandled_type(header)
                    && self.responder.pending.remove(header.id)
                {
                    let handles = self.service.types.names();
                    self.refusals.refuse(header.id, Refusal::NoHandler { message, handles })?;
                }
            }
            FrameKind::Tell => {
                if untraced(header, payload).is_none() {
                    return Err(too_short(FrameKind::Tell));
                }
                if let Some(message) = self.unhandled_type(header) {
                    self.service.counters.no_handler.count();
                    self.dropped += 1;
                    // Logged once: a remote peer must not be able to fill the log.
                    if self.dropped == 1 {
                        tracing::warn!(%message, "dropped a message that nothing handles, the first of this link");
                    }
                }
            }
            FrameKind::Cancel => self.responder.cancel(header.id),
            FrameKind::Describe => self.introspection.describe(header.id, &mut self.refusals)?,
            FrameKind::Stats => self.introspection.report(header.id, &mut self.refusals)?,
            kind if kind.is_keep_alive() => {
                self.is_over |= handle_control_frame(header, &mut self.incoming, &self.send_queue)?;
            }
            other => return Err(SessionError::UnexpectedFrame(other)),
        }
        Ok(())
    }

    fn has_slot(&self, slot: u16) -> bool {
        self.service.types.has(slot)
    }

    /// Returns a description of a message type that the service does not handle.
    fn unhandled_type(&self, header: Header) -> Option<String> {
        (!self.has_slot(header.slot)).then(|| format!("message type number {}", header.slot))
    }

    /// Hands messages to the service, as many at a time as there are permits. Until then nothing more is read, which
    /// applies backpressure to the sender.
    ///
    /// # Cancel safety
    /// This method is cancel safe: messages that were not handed over are kept.
    pub(super) async fn deliver(&mut self) {
        while let Some(arrived) = &mut self.arrived {
            let byte_permit = match &arrived.byte_permit {
                Some(byte_permit) => byte_permit,
                None => match self.unhandled_bytes.acquire(arrived.frames.len()).await {
                    Some(byte_permit) => arrived.byte_permit.insert(Arc::new(byte_permit)),
                    // It is never closed.
                    None => return,
                },
            };
            let Some(permits) = self.service.acquire_many(arrived.messages).await else {
                delivery::refuse_all(&arrived.frames, &self.responder);
                self.arrived = None;
                return;
            };
            let rest = match arrived.messages - permits.count() {
                0 => Bytes::new(),
                _ => arrived.frames.split_off(end_of(&arrived.frames, permits.count())),
            };
            let frames = std::mem::replace(&mut arrived.frames, rest);
            arrived.messages -= permits.count();
            let (responder, arrived_at, has_requests) =
                (Arc::clone(&self.responder), arrived.arrived_at, arrived.has_requests);
            self.service.deliver(Delivery::new(
                frames,
                arrived_at,
                has_requests,
                responder,
                permits,
                byte_permit,
            ));
            if arrived.messages == 0 {
                self.arrived = None;
            }
        }
    }
}

impl LinkProtocol for RequestSession {
    type Error = SessionError;
    const WAITS_FOR_PEER: bool = false;

    fn incoming(&mut self) -> &mut FrameReader {
        &mut self.incoming
    }

    async fn run(&mut self) -> Result<(), ReadEnd<SessionError>> {
        loop {
            self.deliver().await;
            if self.is_over {
                return Ok(());
            }
            let (frames, contents) = tokio::select! {
                biased;
                frames = self.incoming.read_batch(&self.send_queue) => frames?,
                // Replies are still written.
                () = self.service.closed() => {
                    self.responder.reject_unstarted();
                    return Ok(());
                }
            };
            self.on_frames(frames, contents).map_err(ReadEnd::Broken)?;
        }
    }
}

/// Returns the payload of a message without its trace; `None` if it is too short for one.
fn untraced(header: Header, payload: &[u8]) -> Option<&[u8]> {
    frame::split_trace(header.flags, payload).map(|(_, rest)| rest)
}

fn too_short(kind: FrameKind) -> SessionError {
    SessionError::Invalid { kind, problem: "it ends before its message begins".to_owned() }
}

/// Returns the position in `frames` at which the first `messages` messages end.
fn end_of(frames: &[u8], messages: usize) -> usize {
    let mut rest = Frames::new(frames);
    let mut seen = 0;
    while seen < messages
        && let Some((header, _)) = rest.next()
    {
        seen += usize::from(delivery::is_message(&header));
    }
    frames.len() - rest.remaining()
}
