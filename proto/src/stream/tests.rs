//! Tests of the streams between a caller and a service, with all their faults and any interleaving: the guarantees to both ends
//! hold in every history.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{BufferPool, RecvCounter, SLICES, SendStream};
use crate::call::in_flight::{CallId, InFlight, SendState};
use crate::wire::fragments::FragmentBuffer;
use crate::wire::frame::{self, Frame, FrameKind, Header, LAST};

/// The window of unacknowledged bytes; small, so that histories reach it.
const WINDOW: usize = 96;

/// The number of received bytes after which an end sends an acknowledgement.
const ACK_INTERVAL: usize = WINDOW / 2;

/// The maximum size of a frame that is not sent in pieces, in bytes.
const MAX_FRAME: usize = 200;

/// The maximum size of a piece of a reply.
const PIECE: usize = 24;

/// The maximum size of a reply, in bytes.
const MAX_REPLY: usize = 600;

/// An event of a history.
#[derive(Debug, Clone)]
enum Event {
    /// The caller sends a message without a reply, with `more` bytes beyond the minimum, in the batch or as shared bytes.
    Tell { more: u8, is_shared: bool },
    /// The caller calls, with a timeout, and requests a reply with `more` bytes beyond the minimum.
    Call { timeout_ms: u8, more: u16 },
    /// The caller cancels one of its calls.
    Cancel { which: u8 },
    /// One end's system accepts this many bytes.
    Write { by: End, bytes: u8 },
    /// This many bytes arrive at one end.
    Arrive { at: End, bytes: u8 },
    /// The service handles the next message.
    Handle,
    /// One end asks for an acknowledgement.
    Ping { by: End },
    /// Time passes, in milliseconds.
    Wait { ms: u8 },
    /// The connection is cut, and bytes in transit are lost.
    Cut,
    /// The next connection is established.
    Resume,
    /// The service's process ends, and another replaces it.
    Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Caller,
    Service,
}

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Reply,
    Expired,
    TimedOut,
    Withdrawn,
    Lost(SendState),
    Cancelled,
}

/// One end's side of a link.
struct Side {
    flow: SendStream,
    received: RecvCounter,
    buffer: BytesMut,
    /// Bytes in transit to the other end.
    wire: VecDeque<u8>,
}

impl Side {
    fn new() -> Self {
        Self {
            flow: SendStream::new(WINDOW, BufferPool::default()).with_piece_size(PIECE),
            received: RecvCounter::with_interval(ACK_INTERVAL),
            buffer: BytesMut::new(),
            wire: VecDeque::new(),
        }
    }

    fn push(&mut self, header: Header, payload: &[u8]) {
        let batch = self.flow.batch();
        let previous_length = batch.len();
        frame::write(batch, header, payload);
        let length = batch.len() - previous_length;
        self.flow.appended(length);
    }

    fn write(&mut self, bytes: usize) {
        let Some(batch) = self.flow.take() else { return };
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = batch.fill(&mut slices);
        let all = slices[..count].iter().flat_map(|slice| slice.iter().copied());
        let previous_length = self.wire.len();
        self.wire.extend(all.take(bytes));
        self.flow.put_back(batch, self.wire.len() - previous_length);
    }

    /// Receives bytes, and returns the complete frames.
    fn arrive(&mut self, bytes: impl Iterator<Item = u8>) -> Vec<Frame> {
        let length_before = self.buffer.len();
        self.buffer.extend(bytes);
        self.received.add(self.buffer.len() - length_before);
        if let Some(bytes) = self.received.take_ack() {
            self.flow.append_keep_alive(FrameKind::Ack, bytes);
        }
        let mut frames = Vec::new();
        while let Some(frame) =
            frame::take(&mut self.buffer, MAX_FRAME).expect("both ends write valid frames")
        {
            match frame.header.kind {
                FrameKind::Ping => self.flow.append_keep_alive(FrameKind::Ack, self.received.take_ack_now()),
                FrameKind::Ack => drop(
                    self.flow.acknowledge(frame.header.id).expect("both ends acknowledge what they received"),
                ),
                _ => frames.push(frame),
            }
        }
        frames
    }
}

/// A call queued at the service: its id, its deadline, and the requested length.
type PendingCall = (u64, Instant, u16);

struct History {
    caller: Side,
    service: Side,
    now: Instant,
    is_attached: bool,
    next: u64,
    calls: InFlight<u64>,
    open: BTreeMap<u64, CallId>,
    outcomes: BTreeMap<u64, Outcome>,
    /// The received pieces of replies.
    pieces: BTreeMap<u64, FragmentBuffer>,
    /// The messages queued at the service: the call, if it is one, and the number of the message.
    queued: VecDeque<(Option<PendingCall>, u64)>,
    /// The handled messages, in order.
    handled: Vec<u64>,
    has_restarted: bool,
}

impl History {
    fn new() -> Self {
        Self {
            caller: Side::new(),
            service: Side::new(),
            now: Instant::now(),
            is_attached: true,
            next: 0,
            calls: InFlight::new(16),
            open: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            pieces: BTreeMap::new(),
            queued: VecDeque::new(),
            handled: Vec::new(),
            has_restarted: false,
        }
    }

    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Caller => &mut self.caller,
            End::Service => &mut self.service,
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Tell { more, is_shared } => self.tell(usize::from(more), is_shared),
            Event::Call { timeout_ms, more } => {
                self.call(Duration::from_millis(u64::from(timeout_ms) + 1), more)
            }
            Event::Cancel { which } => self.cancel(usize::from(which)),
            Event::Write { by, bytes } if self.is_attached => self.side(by).write(usize::from(bytes)),
            Event::Arrive { at, bytes } => self.arrive(at, usize::from(bytes)),
            Event::Handle => self.handle(),
            Event::Ping { by } => self.side(by).flow.append_keep_alive(FrameKind::Ping, 0),
            Event::Wait { ms } => self.wait(Duration::from_millis(ms.into())),
            Event::Cut => self.cut(),
            Event::Resume if !self.is_attached => self.resume(),
            Event::Restart => self.restart_service(),
            Event::Write { .. } | Event::Resume => {}
        }
    }

    fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn tell(&mut self, more: usize, is_shared: bool) {
        let mut payload = self.next_number().to_le_bytes().to_vec();
        payload.resize(payload.len() + more % 100, 7);
        let header = Header::new(FrameKind::Tell, 0);
        if is_shared {
            let mut frame = Vec::new();
            frame::write(&mut frame, header, &payload);
            self.caller.flow.append_shared(Bytes::from(frame));
        } else {
            self.caller.push(header, &payload);
        }
    }

    fn call(&mut self, timeout_ms: Duration, more: u16) {
        let number = self.next + 1;
        let Ok(id) = self.calls.open(number, Some(self.now + timeout_ms)) else { return };
        self.next_number();
        let timeout_ms = u32::try_from(timeout_ms.as_millis()).expect("a byte");
        let payload = [&timeout_ms.to_le_bytes()[..], &more.to_le_bytes(), &number.to_le_bytes()].concat();
        let start = self.caller.flow.appended_bytes();
        self.caller.push(Header::new(FrameKind::Request, id.to_wire()), &payload);
        self.calls.set_bytes(id, start..self.caller.flow.appended_bytes());
        self.open.insert(number, id);
    }

    fn cancel(&mut self, which: usize) {
        let Some((&number, &id)) = self.open.iter().nth(which % self.open.len().max(1)) else { return };
        let request = self.calls.bytes(id).expect("it is open");
        assert!(self.calls.close(id), "it is open");
        let outcome = match self.caller.flow.withdraw(request) {
            true => Outcome::Withdrawn,
            false => {
                self.caller.push(Header::new(FrameKind::Cancel, id.to_wire()), b"");
                Outcome::Cancelled
            }
        };
        self.end(number, outcome);
    }

    /// Ends a call; the caller notices at once.
    fn end(&mut self, number: u64, outcome: Outcome) {
        if let Some(id) = self.open.remove(&number) {
            self.calls.close(id);
            self.pieces.remove(&id.to_wire());
        }
        assert_eq!(self.outcomes.insert(number, outcome), None, "a call ends once");
    }

    fn arrive(&mut self, at: End, bytes: usize) {
        let (from, to) = match at {
            End::Caller => (&mut self.service, &mut self.caller),
            End::Service => (&mut self.caller, &mut self.service),
        };
        let bytes = bytes.min(from.wire.len());
        for frame in to.arrive(from.wire.drain(..bytes)) {
            match at {
                End::Caller => self.handle_reply(&frame),
                End::Service => self.queue_message(&frame),
            }
        }
    }

    fn handle_reply(&mut self, frame: &Frame) {
        let id = CallId::from_wire(frame.header.id);
        if frame.header.kind == FrameKind::Piece {
            return self.piece(id, frame);
        }
        let Some(number) = self.calls.close_with(id, |number| Some(*number)) else { return };
        match frame.header.kind {
            FrameKind::Reply => {
                assert_eq!(frame.payload[..], reply_bytes(number, frame.payload.len() - 8), "another reply");
                self.end(number, Outcome::Reply);
            }
            FrameKind::Refusal => self.end(number, Outcome::Expired),
            other => panic!("{other:?} arrived instead of an answer"),
        }
    }

    fn piece(&mut self, id: CallId, frame: &Frame) {
        if self.calls.get(id).is_none() {
            return;
        }
        assert!(frame.payload.len() <= PIECE, "a piece of {} bytes", frame.payload.len());
        let pieces = self.pieces.entry(id.to_wire()).or_default();
        pieces.add(&frame.payload, 0, MAX_REPLY).expect("no reply is longer");
        if frame.header.flags & LAST != 0 {
            let pieces = self.pieces.remove(&id.to_wire()).expect("it is there");
            self.handle_reply(&pieces.reply(id.to_wire()).expect("each piece arrives once, in order"));
        }
    }

    fn queue_message(&mut self, frame: &Frame) {
        let number = |bytes: &[u8]| u64::from_le_bytes(*bytes.first_chunk().expect("eight bytes"));
        match frame.header.kind {
            FrameKind::Tell => self.queued.push_back((None, number(&frame.payload))),
            FrameKind::Request => {
                let (timeout, rest) = frame.payload.split_first_chunk().expect("four bytes");
                let timeout = Duration::from_millis(u32::from_le_bytes(*timeout).into());
                let (more, rest) = rest.split_first_chunk().expect("two bytes");
                let call = (frame.header.id, self.now + timeout, u16::from_le_bytes(*more));
                self.queued.push_back((Some(call), number(rest)));
            }
            FrameKind::Cancel => {
                self.queued.retain(|(call, _)| call.is_none_or(|(id, ..)| id != frame.header.id));
                self.service.flow.revoke(frame.header.id);
            }
            FrameKind::Void => {}
            other => panic!("{other:?} arrived instead of a message"),
        }
    }

    fn handle(&mut self) {
        let Some((call, number)) = self.queued.pop_front() else { return };
        match call {
            None => self.handled.push(number),
            Some((id, deadline, _)) if deadline <= self.now => {
                self.service.push(Header::new(FrameKind::Refusal, id), b"");
            }
            Some((id, _, more)) => {
                self.handled.push(number);
                let (header, reply_bytes) =
                    (Header::new(FrameKind::Reply, id), reply_bytes(number, usize::from(more) % 500));
                let mut frame = Vec::new();
                frame::write(&mut frame, header, &reply_bytes);
                if frame.len() > PIECE {
                    // A payload outside the batch.
                    let mut frame = Bytes::from(frame);
                    let head = frame.split_to(20);
                    self.service.flow.append_long(id, [head, frame]);
                } else {
                    self.service.push(header, &reply_bytes);
                }
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        let mut ended = Vec::new();
        let (caller, now) = (&mut self.caller, self.now);
        self.calls.expire(now, |id, number, request| {
            let is_withdrawn = caller.flow.withdraw(request);
            ended.push((id, *number, is_withdrawn));
        });
        for (id, number, is_withdrawn) in ended {
            if is_withdrawn {
                self.end(number, Outcome::Withdrawn);
            } else {
                self.caller.push(Header::new(FrameKind::Cancel, id.to_wire()), b"");
                self.end(number, Outcome::TimedOut);
            }
        }
    }

    fn cut(&mut self) {
        self.caller.wire.clear();
        self.service.wire.clear();
        self.is_attached = false;
    }

    fn resume(&mut self) {
        self.caller.flow.go_back(self.service.received.bytes()).expect("it is there");
        self.service.flow.go_back(self.caller.received.bytes()).expect("it is there");
        self.is_attached = true;
    }

    fn restart_service(&mut self) {
        self.cut();
        let mut lost = Vec::new();
        self.calls.end_all(self.caller.flow.highest_written(), |number, fate| lost.push((*number, fate)));
        for (number, fate) in lost {
            self.end(number, Outcome::Lost(fate));
        }
        // The next process has no state, and the caller begins another link.
        (self.caller, self.service) = (Side::new(), Side::new());
        self.calls = InFlight::new(16);
        self.queued.clear();
        self.pieces.clear();
        (self.is_attached, self.has_restarted) = (true, true);
    }

    /// Delivers everything that is outstanding.
    fn finish(&mut self) {
        if !self.is_attached {
            self.resume();
        }
        for _ in 0..10_000 {
            for end in [End::Caller, End::Service] {
                if self.side(end).flow.has_unacked() {
                    self.side(end).flow.append_keep_alive(FrameKind::Ping, 0);
                }
                self.side(end).write(10 * MAX_FRAME);
            }
            self.arrive(End::Service, usize::MAX);
            self.arrive(End::Caller, usize::MAX);
            self.handle();
            let has_unacked = self.caller.flow.has_unacked() || self.service.flow.has_unacked();
            let has_pending = self.caller.flow.pending_bytes() + self.service.flow.pending_bytes() > 0;
            if !has_unacked && !has_pending && self.queued.is_empty() {
                assert!(self.open.is_empty(), "every reply arrives while both ends run");
                return self.wait(Duration::from_secs(10));
            }
        }
        panic!("the history does not finish");
    }

    fn check(&self) {
        assert!(self.handled.is_sorted_by(|one, next| one < next), "{:?}: once, in order", self.handled);
        assert!(self.open.is_empty() && self.calls.is_empty(), "every call ends");
        for number in 1..=self.next {
            let was_handled = self.handled.binary_search(&number).is_ok();
            match self.outcomes.get(&number) {
                // A message without a reply is not lost while both processes run.
                None => assert!(was_handled || self.has_restarted, "{number} was lost"),
                Some(Outcome::Reply) => assert!(was_handled, "{number} was answered"),
                Some(Outcome::Expired | Outcome::Withdrawn | Outcome::Lost(SendState::NotSent)) => {
                    assert!(!was_handled, "{number} was reported as not sent")
                }
                Some(Outcome::TimedOut | Outcome::Cancelled | Outcome::Lost(SendState::Unknown)) => {}
            }
        }
    }
}

/// Returns the reply to a call.
fn reply_bytes(number: u64, more: usize) -> Vec<u8> {
    let padding = (0..more).map(|at| (number as usize + at) as u8);
    number.to_le_bytes().into_iter().chain(padding).collect()
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Caller), Just(End::Service)]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (any::<u8>(), any::<bool>()).prop_map(|(more, is_shared)| Event::Tell { more, is_shared }),
        4 => (any::<u8>(), prop_oneof![Just(0), 0..500u16]).prop_map(|(timeout_ms, more)| Event::Call { timeout_ms, more }),
        1 => any::<u8>().prop_map(|which| Event::Cancel { which }),
        8 => (end(), any::<u8>()).prop_map(|(by, bytes)| Event::Write { by, bytes }),
        8 => (end(), any::<u8>()).prop_map(|(at, bytes)| Event::Arrive { at, bytes }),
        5 => Just(Event::Handle),
        1 => end().prop_map(|by| Event::Ping { by }),
        2 => (0..40u8).prop_map(|ms| Event::Wait { ms }),
        2 => Just(Event::Cut),
        3 => Just(Event::Resume),
        1 => prop::bool::weighted(0.1).prop_map(|restarts| if restarts { Event::Restart } else { Event::Cut }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn the_guarantees_to_both_ends_hold_in_every_history(events in prop::collection::vec(event(), 1..120)) {
        let mut history = History::new();
        events.into_iter().for_each(|event| history.apply(event));
        history.finish();
        history.check();
    }
}

#[test]
fn short_frames_are_sent_between_the_alternating_pieces_of_long_ones() {
    let mut side = Side::new();
    for id in [1, 2] {
        side.flow.append_long(id, [Bytes::from(vec![id as u8; 10 * PIECE])]);
    }
    side.flow.append_long(3, [Bytes::from(vec![3; 5]), Bytes::from(vec![4; PIECE])]);
    assert_eq!((side.flow.appended_bytes(), side.flow.pending_bytes()), (0, 21 * PIECE as u64 + 5));
    while side.flow.pending_bytes() > 0 {
        // A connection that rarely accepts the complete batch.
        side.write(2 * PIECE);
        if side.flow.has_long_frames() {
            let bytes_ahead = side.flow.appended_bytes() - side.flow.highest_written();
            assert!(
                bytes_ahead <= 2 * (PIECE + 16) as u64,
                "{bytes_ahead} bytes are sent before a short frame"
            );
            side.push(Header::new(FrameKind::Reply, 100), b"");
        }
        let written = side.flow.highest_written();
        side.flow.acknowledge(written).expect("it has been written");
    }
    let bytes = side.wire.make_contiguous();
    let frames: Vec<_> = frame::Frames::new(bytes).map(|(header, payload)| (header, payload.len())).collect();
    let pieces: Vec<_> = frames.iter().filter(|(header, _)| header.kind == FrameKind::Piece).collect();
    let order: Vec<_> = pieces.iter().map(|(header, _)| header.id).take(6).collect();
    assert_eq!(order, [1, 2, 3, 1, 2, 3]);
    let last: Vec<_> = pieces.iter().filter(|(header, _)| header.flags == LAST).collect();
    assert_eq!(
        last.iter().map(|(header, length)| (header.id, *length)).collect::<Vec<_>>(),
        [(3, 5), (1, PIECE), (2, PIECE)]
    );
    let (first, end) = (frames.iter().position(|(header, _)| header.id == 100), frames.len());
    assert!(first.is_some_and(|first| first < end / 2), "a short frame has overtaken a long one");
}

#[test]
fn a_revoked_reply_is_not_sent_and_the_remainder_precedes_the_end() {
    let mut side = Side::new();
    for id in [1, 2] {
        side.flow.append_long(id, [Bytes::from(vec![id as u8; 3 * PIECE])]);
    }
    side.write(MAX_FRAME);
    side.flow.revoke(1);
    side.flow.revoke(7);
    assert!(side.flow.has_long_frames());
    side.flow.append_all_long();
    side.flow.append_keep_alive(FrameKind::Bye, 0);
    assert!(!side.flow.has_long_frames());
    while side.flow.pending_bytes() > 0 {
        side.write(MAX_FRAME);
        let written = side.flow.highest_written();
        side.flow.acknowledge(written).expect("it has been written");
    }
    let bytes = side.wire.make_contiguous();
    let frames: Vec<_> = frame::Frames::new(bytes).map(|(header, _)| (header.kind, header.id)).collect();
    assert_eq!(
        frames,
        [
            (FrameKind::Piece, 1),
            (FrameKind::Piece, 2),
            (FrameKind::Piece, 2),
            (FrameKind::Piece, 2),
            (FrameKind::Bye, 0)
        ]
    );
}

#[test]
fn an_abandoned_stream_stores_nothing_and_keeps_its_numbers() {
    let mut stream = SendStream::new(1 << 20, BufferPool::default());
    let payloads: [Bytes; 4] = std::array::from_fn(|_| Bytes::from(vec![7; 100]));
    let [unacknowledged, in_progress, waiting, long] = payloads.clone();
    stream.append_shared(unacknowledged);
    let batch = stream.take().expect("there are bytes");
    stream.put_back(batch, 100);
    stream.append_shared(in_progress);
    let batch = stream.take().expect("there are bytes");
    stream.put_back(batch, 10);
    stream.append_shared(waiting);
    stream.append_long(1, [long]);
    assert!(payloads.iter().all(|payload| !payload.is_unique()));

    stream.abandon();
    assert!(payloads.iter().all(Bytes::is_unique), "they are stored nowhere");
    assert_eq!((stream.appended_bytes(), stream.highest_written()), (300, 110));
    assert!(stream.take().is_none());
}
