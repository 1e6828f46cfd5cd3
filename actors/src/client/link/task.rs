//! Keeps one link: hands replies to their callers, watches deadlines and the other end, and lets the link go on over another
//! connection when one is lost.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use meshzero_proto::call::in_flight::{CallId, Calls};
use meshzero_proto::stream::stall::Expects;
use meshzero_proto::wire::fragments::PiecesError;
use meshzero_proto::wire::frame::{self, Frame, Frames, Header, Kind};
use meshzero_proto::wire::refusal::Refusal;

use super::in_flight::{Expected, Waiting};
use super::{Ended, Link};
use crate::client::link::watchdog::{Watchdog, Watched};
use crate::link::reader::Incoming;
use crate::link::reconnect::Redial;
use crate::link::run::{Carried, Conversation, Onward, Stop, Way, Wrong, carry, keep_up};
use crate::link::send_queue::Outbox;
use crate::message::payload::Payload;
use crate::runtime::waking;
use crate::server::request::inbound::Outcome;

/// One link's task.
pub(super) struct Keeping {
    reading: Reading,
    watching: Watching,
    /// Before the task is first polled: its thread may end earlier.
    ending: Ending,
}

/// What arrives.
struct Reading {
    link: Arc<Link>,
    incoming: Incoming,
    /// Bytes that the last reply in pieces may have had.
    last_length: usize,
}

/// Where connections come from, and whether the one of the moment is good for anything.
struct Watching {
    link: Arc<Link>,
    redial: Redial,
    watchdog: Watchdog,
}

impl Keeping {
    pub(super) fn new(link: Arc<Link>, incoming: Incoming, redial: Redial, watchdog: Watchdog) -> Self {
        let reading = Reading { link: Arc::clone(&link), incoming, last_length: 0 };
        let ending = Ending(Arc::clone(&link));
        Self { reading, watching: Watching { link, redial, watchdog }, ending }
    }

    pub(super) async fn run(self) {
        let Self { mut reading, mut watching, ending } = self;
        let link = &ending.0;
        let carried = tokio::select! {
            biased;
            // However much arrives.
            () = link.watch_deadlines() => Carried::Over,
            carried = carry(&mut reading, &link.outbox, &mut watching) => carried,
        };
        let address = link.address();
        match carried {
            Carried::Over => tracing::debug!(%address, "a link has ended"),
            Carried::Lost(why) => tracing::debug!(%address, %why, "a link was lost"),
            Carried::Broken(error) => tracing::warn!(%address, %error, "a link was given up"),
        }
    }
}

/// Ends a link when its task does: be it that the link is over, that the task has panicked, or that its thread is gone.
struct Ending(Arc<Link>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Conversation for Reading {
    type Error = Wrong;
    const LINGERS: bool = true;

    fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }

    async fn run(&mut self) -> Result<(), Stop<Wrong>> {
        let Self { link, incoming, last_length } = self;
        let mut callers = Vec::new();
        loop {
            let (frames, contents) = incoming.batch(&link.outbox).await?;
            let mut is_over = false;
            if contents.upkeep > 0 {
                for (header, _) in Frames::new(&frames) {
                    is_over |= keep_up(header, incoming, &link.outbox)?;
                }
            }
            let mut calls = link.lock();
            let mut wrong = None;
            for (header, payload) in Frames::new(&frames) {
                let outcome = match header.kind {
                    Kind::Piece => match piece(&mut calls, header, payload, incoming.limit(), last_length) {
                        Ok(outcome) => outcome,
                        Err(error) => {
                            wrong = Some(error);
                            break;
                        }
                    },
                    _ => outcome(header, payload, &frames),
                };
                let Some(outcome) = outcome else { continue };
                let id = CallId::from_wire(header.id);
                callers.extend(calls.end_with(id, |waiting| waiting.end(|| Ended::Answered(outcome))));
            }
            let is_full = calls.is_full();
            drop(calls);
            waking::wake_all(callers.drain(..));
            if is_full {
                link.give_place();
            }
            if let Some(error) = wrong {
                return Err(Stop::Broken(error.into()));
            }
            if is_over {
                return Ok(());
            }
        }
    }
}

/// What a call ends in, if a piece of its reply is the last. Nobody misses those of calls that are not open.
#[cold]
fn piece(
    calls: &mut Calls<Waiting>,
    header: Header,
    piece: &[u8],
    limit: usize,
    last_length: &mut usize,
) -> Result<Option<Outcome>, PiecesError> {
    let Some(waiting) = calls.get(CallId::from_wire(header.id)) else { return Ok(None) };
    let expected = Expected { guess: *last_length, limit };
    let Some(Frame { header, payload }) = waiting.piece(header, piece, expected)? else { return Ok(None) };
    *last_length = payload.len() + frame::OVERHEAD_BYTES;
    Ok(outcome(header, &payload, &payload))
}

/// What a call ends in, if the frame says that. Always inlined: a reply is put where it waits, and not moved there.
#[inline(always)]
fn outcome(header: Header, payload: &[u8], frames: &bytes::Bytes) -> Option<Outcome> {
    match header.kind {
        Kind::Reply => {
            let encoding = frame::encoding(header.flags, frame::BINCODE);
            Some(Outcome::Reply(encoding, Payload::of(frames, payload)))
        }
        Kind::Refusal => Some(Outcome::Refused(Refusal::from_bytes(payload))),
        // Of a kind that means nothing here.
        _ => None,
    }
}

impl Way for Watching {
    async fn watch(&mut self) {
        self.watchdog.watch(&*self.link, &mut self.redial).await;
    }

    async fn next(&mut self, received: u64) -> Result<Onward, String> {
        let link = Arc::clone(&self.link);
        link.is_attached.store(false, Ordering::Relaxed);
        let next = self.redial.next(received).await?;
        link.moved(self.redial.address());
        Ok(next)
    }
}

impl Watched for Link {
    fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    fn expects(&self) -> Expects {
        if self.in_flight() > 0 {
            Expects::Reply
        } else if self.outbox.is_owed_word() {
            Expects::Ack
        } else {
            Expects::Nothing
        }
    }
}

impl Link {
    /// There is a connection again.
    fn moved(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
        self.is_attached.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const LIMIT: usize = 1_000;

    /// Calls of which one waits, and its name.
    fn one_call() -> (Calls<Waiting>, CallId) {
        let mut calls = Calls::new(8);
        let waiting = Waiting::new(Waker::noop());
        let id = calls.open(waiting, None).ok().expect("room");
        (calls, id)
    }

    fn arrive(
        calls: &mut Calls<Waiting>,
        id: CallId,
        bytes: &[u8],
        flags: u8,
    ) -> Result<Option<Outcome>, PiecesError> {
        let header = Header { flags, ..Header::new(Kind::Piece, id.to_wire()) };
        piece(calls, header, bytes, LIMIT, &mut 0)
    }

    #[test]
    fn pieces_become_the_reply_to_a_call_that_is_open_and_are_nothing_otherwise() {
        let (mut calls, id) = one_call();
        let mut frame = Vec::new();
        frame::write(&mut frame, Header::new(Kind::Reply, id.to_wire()), b"a reply");
        let (first, last) = frame.split_at(9);
        assert!(matches!(arrive(&mut calls, id, first, 0), Ok(None)));
        let nobody = CallId::from_wire(id.to_wire() | 1 << 32);
        assert!(matches!(arrive(&mut calls, nobody, last, frame::LAST), Ok(None)), "it is not open");
        let reply = arrive(&mut calls, id, last, frame::LAST).expect("well-formed");
        assert!(matches!(reply, Some(Outcome::Reply(_, payload)) if payload[..] == *b"a reply"));
        assert!(calls.get(id).is_some_and(|waiting| waiting.pieces.is_none()), "nothing is left of it");
        calls.get(id).and_then(|waiting| waiting.end(|| Ended::TimedOut));
        assert!(matches!(arrive(&mut calls, id, &[0; 2 * LIMIT], 0), Ok(None)), "it has ended");
    }

    #[test]
    fn pieces_without_an_end_and_pieces_of_something_else_are_errors() {
        let (mut calls, id) = one_call();
        assert!(matches!(arrive(&mut calls, id, &[0; LIMIT], 0), Ok(None)));
        let error = arrive(&mut calls, id, &[0], 0).expect_err("too long");
        assert_eq!(error, PiecesError::TooLong { limit: LIMIT });
        let (mut calls, id) = one_call();
        let mut cancel = Vec::new();
        frame::write(&mut cancel, Header::new(Kind::Cancel, id.to_wire()), b"");
        let error = arrive(&mut calls, id, &cancel, frame::LAST).expect_err("it is no reply");
        assert_eq!(error, PiecesError::NotTheReply);
    }
}
