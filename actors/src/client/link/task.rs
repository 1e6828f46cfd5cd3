//! The task of one link: hands replies to their callers, watches deadlines and the peer, and moves the link to another
//! connection when one is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use meshzero_proto::call::in_flight::{CallId, InFlight};
use meshzero_proto::stream::stall::Expectation;
use meshzero_proto::wire::fragments::FragmentError;
use meshzero_proto::wire::frame::{self, Frame, FrameKind, Frames, Header};
use meshzero_proto::wire::refusal::Refusal;

use super::in_flight::{ExpectedLength, InFlightCall};
use super::{CallEnd, Link};
use crate::client::link::watchdog::{Watchdog, WatchedLink};
use crate::link::reader::FrameReader;
use crate::link::reconnect::Reconnector;
use crate::link::run::{
    ConnectionSource, LinkEnd, LinkProtocol, NextConnection, PeerError, ReadEnd, handle_control_frame,
    run_link,
};
use crate::link::send_queue::{AheadMember, SendQueue};
use crate::message::payload::ReplyBytes;
use crate::runtime::waking;
use crate::server::request::inbound::Outcome;

/// One link's task.
pub(super) struct LinkTask {
    reader: ReplyReader,
    connections: ConnectionWatch,
    /// The guard that ends the link. Created before the task is first polled, because its thread may end before that.
    end_on_drop: EndOnDrop,
    /// The link's share of the bytes in front of sockets.
    ahead: AheadMember,
}

/// The reader of incoming frames.
struct ReplyReader {
    link: Arc<Link>,
    incoming: FrameReader,
    /// The length of the last fragmented reply, in bytes.
    last_length: usize,
}

/// The source of new connections, and the watchdog of the current one.
struct ConnectionWatch {
    link: Arc<Link>,
    reconnector: Reconnector,
    watchdog: Watchdog,
}

impl LinkTask {
    pub(super) fn new(
        link: Arc<Link>,
        incoming: FrameReader,
        reconnector: Reconnector,
        watchdog: Watchdog,
        ahead: AheadMember,
    ) -> Self {
        let reader = ReplyReader { link: Arc::clone(&link), incoming, last_length: 0 };
        let end_on_drop = EndOnDrop(Arc::clone(&link));
        Self { reader, connections: ConnectionWatch { link, reconnector, watchdog }, end_on_drop, ahead }
    }

    pub(super) async fn run(self) {
        let Self { mut reader, mut connections, end_on_drop, ahead: _ahead } = self;
        let link = &end_on_drop.0;
        let end = tokio::select! {
            biased;
            // First, however much arrives.
            () = link.watch_deadlines() => LinkEnd::Over,
            end = run_link(&mut reader, &link.send_queue, &mut connections) => end,
        };
        let address = link.address();
        match end {
            LinkEnd::Over => tracing::debug!(%address, "a link has ended"),
            LinkEnd::Lost(reason) => tracing::debug!(%address, %reason, "a link was lost"),
            LinkEnd::Broken(error) => tracing::warn!(%address, %error, "a link was given up"),
        }
    }
}

/// Ends a link when its task ends: because the link is over, the task has panicked, or the thread has ended.
struct EndOnDrop(Arc<Link>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl LinkProtocol for ReplyReader {
    type Error = PeerError;
    const WAITS_FOR_PEER: bool = true;

    fn incoming(&mut self) -> &mut FrameReader {
        &mut self.incoming
    }

    async fn run(&mut self) -> Result<(), ReadEnd<PeerError>> {
        let Self { link, incoming, last_length } = self;
        let mut callers = Vec::new();
        loop {
            let (frames, contents) = incoming.read_batch(&link.send_queue).await?;
            let mut is_over = false;
            if contents.keep_alives > 0 {
                for (header, _) in Frames::new(&frames) {
                    is_over |= handle_control_frame(header, incoming, &link.send_queue)?;
                }
            }
            let mut calls = link.lock();
            let mut peer_error = None;
            for (header, payload) in Frames::new(&frames) {
                let outcome = match header.kind {
                    FrameKind::Piece => {
                        match add_fragment(&mut calls, header, payload, incoming.limit(), last_length) {
                            Ok(outcome) => outcome,
                            Err(error) => {
                                peer_error = Some(error);
                                break;
                            }
                        }
                    }
                    _ => outcome(header, payload, &frames),
                };
                let Some(outcome) = outcome else { continue };
                let id = CallId::from_wire(header.id);
                callers.extend(calls.end_with(id, |call| call.finish(|| CallEnd::Answered(outcome))));
            }
            let is_full = calls.is_full();
            drop(calls);
            waking::wake_all(callers.drain(..));
            if is_full {
                link.notify_slot_freed();
            }
            if let Some(error) = peer_error {
                return Err(ReadEnd::Broken(error.into()));
            }
            if is_over {
                return Ok(());
            }
        }
    }
}

/// Returns the outcome of a call if this is the last fragment of its reply. Fragments of calls that are not open are
/// ignored.
#[cold]
fn add_fragment(
    calls: &mut InFlight<InFlightCall>,
    header: Header,
    fragment: &[u8],
    limit: usize,
    last_length: &mut usize,
) -> Result<Option<Outcome>, FragmentError> {
    let Some(call) = calls.get(CallId::from_wire(header.id)) else { return Ok(None) };
    let expected = ExpectedLength { guess: *last_length, limit };
    let Some(Frame { header, payload }) = call.add_fragment(header, fragment, expected)? else {
        return Ok(None);
    };
    *last_length = payload.len() + frame::OVERHEAD_BYTES;
    Ok(outcome(header, &payload, &payload))
}

/// Returns the outcome that a frame carries, if any. Always inlined: the reply is then constructed in place, and not
/// moved.
#[inline(always)]
fn outcome(header: Header, payload: &[u8], frames: &bytes::Bytes) -> Option<Outcome> {
    match header.kind {
        FrameKind::Reply => {
            let encoding = frame::encoding(header.flags, frame::BINCODE);
            Some(Outcome::Reply(encoding, ReplyBytes::from_part(frames, payload)))
        }
        FrameKind::Refusal => Some(Outcome::Refused(Refusal::from_bytes(payload))),
        // Other kinds mean nothing here.
        _ => None,
    }
}

impl ConnectionSource for ConnectionWatch {
    async fn watch(&mut self) {
        self.watchdog.watch(&*self.link, &mut self.reconnector).await;
    }

    async fn next(&mut self, received: u64) -> Result<NextConnection, String> {
        let link = Arc::clone(&self.link);
        link.is_attached.store(false, Ordering::Relaxed);
        let next = self.reconnector.next(received).await?;
        link.set_address(self.reconnector.address());
        Ok(next)
    }
}

impl WatchedLink for Link {
    fn send_queue(&self) -> &SendQueue {
        &self.send_queue
    }

    fn expects(&self) -> Expectation {
        if self.in_flight() > 0 {
            Expectation::Reply
        } else if self.send_queue.has_unacked() {
            Expectation::Ack
        } else {
            Expectation::Nothing
        }
    }
}

impl Link {
    /// Records a new connection to `address`.
    fn set_address(&self, address: SocketAddr) {
        *self.address.lock() = address;
        self.is_attached.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const LIMIT: usize = 1_000;

    /// A table with one open call, and the id of that call.
    fn one_call() -> (InFlight<InFlightCall>, CallId) {
        let mut calls = InFlight::new(8);
        let call = InFlightCall::new(Waker::noop());
        let id = calls.open(call, None).ok().expect("room");
        (calls, id)
    }

    fn arrive(
        calls: &mut InFlight<InFlightCall>,
        id: CallId,
        bytes: &[u8],
        flags: u8,
    ) -> Result<Option<Outcome>, FragmentError> {
        let header = Header { flags, ..Header::new(FrameKind::Piece, id.to_wire()) };
        add_fragment(calls, header, bytes, LIMIT, &mut 0)
    }

    #[test]
    fn fragments_of_an_open_call_become_its_reply_and_others_are_ignored() {
        let (mut calls, id) = one_call();
        let mut frame = Vec::new();
        frame::write(&mut frame, Header::new(FrameKind::Reply, id.to_wire()), b"a reply");
        let (first, last) = frame.split_at(9);
        assert!(matches!(arrive(&mut calls, id, first, 0), Ok(None)));
        let unknown = CallId::from_wire(id.to_wire() | 1 << 32);
        assert!(matches!(arrive(&mut calls, unknown, last, frame::LAST), Ok(None)), "it is not open");
        let reply = arrive(&mut calls, id, last, frame::LAST).expect("well-formed");
        assert!(matches!(reply, Some(Outcome::Reply(_, payload)) if payload[..] == *b"a reply"));
        assert!(calls.get(id).is_some_and(|call| call.fragments.is_none()), "nothing is left of it");
        calls.get(id).and_then(|call| call.finish(|| CallEnd::TimedOut));
        assert!(matches!(arrive(&mut calls, id, &[0; 2 * LIMIT], 0), Ok(None)), "it has ended");
    }

    #[test]
    fn fragments_that_exceed_the_limit_or_are_no_reply_are_errors() {
        let (mut calls, id) = one_call();
        assert!(matches!(arrive(&mut calls, id, &[0; LIMIT], 0), Ok(None)));
        let error = arrive(&mut calls, id, &[0], 0).expect_err("too long");
        assert_eq!(error, FragmentError::TooLong { limit: LIMIT });
        let (mut calls, id) = one_call();
        let mut cancel = Vec::new();
        frame::write(&mut cancel, Header::new(FrameKind::Cancel, id.to_wire()), b"");
        let error = arrive(&mut calls, id, &cancel, frame::LAST).expect_err("it is no reply");
        assert_eq!(error, FragmentError::NotTheReply);
    }
}
