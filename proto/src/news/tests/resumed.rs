//! Tests of a subscription to the newest items over connections that are lost at any byte: superseded items are counted and
//! not sent.

use bytes::BytesMut;
use proptest::prelude::*;

use super::super::*;
use crate::codec::Encoding;
use crate::stream::{BufferPool, SLICES, SendStream};

const MAX_ITEMS: u32 = 2;
const LIMIT: usize = 1_000;

/// An event of the test.
#[derive(Debug, Clone)]
enum Event {
    /// An item of a topic is published, with this many bytes besides its number.
    Publish(u8, usize),
    /// The socket accepts this many bytes.
    Write(usize),
    /// This many bytes arrive.
    Arrive(usize),
    /// The connection is replaced.
    Cut,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3_u8, 0..40_usize).prop_map(|(topic, more)| Event::Publish(topic, more)),
        3 => (1..200_usize).prop_map(Event::Write),
        3 => (1..200_usize).prop_map(Event::Arrive),
        1 => Just(Event::Cut),
    ]
}

/// A publisher and its subscriber.
struct Pair {
    flow: SendStream,
    published: [u64; 3],
    /// The bytes in transit.
    wire: Vec<u8>,
    received: u64,
    buffer: BytesMut,
    /// The numbers of items that arrived, and the counts of missing ones.
    arrived: [Vec<u64>; 3],
    missing: u64,
}

impl Pair {
    fn new() -> Self {
        Self {
            flow: SendStream::new(2_000, BufferPool::default()),
            published: [0; 3],
            wire: Vec::new(),
            received: 0,
            buffer: BytesMut::new(),
            arrived: Default::default(),
            missing: 0,
        }
    }

    fn publish(&mut self, topic: u8, more: usize) {
        let number = &mut self.published[usize::from(topic)];
        *number += 1;
        let mut frame = Vec::new();
        let writer = begin_item(&mut frame, &Topic::new(format!("topic {topic}")).expect("a topic"));
        frame.extend_from_slice(&number.to_le_bytes());
        frame.resize(frame.len() + more, 0);
        writer.end::<()>(&mut frame, Ok(Encoding::Bincode)).expect("it is written");
        self.flow.mark();
        self.flow.append_shared(frame.into());
        if more.is_multiple_of(5) {
            self.flow.append_keep_alive(FrameKind::Ping, 0);
        }
    }

    fn write(&mut self, bytes: usize) {
        let Some(batch) = self.flow.take() else { return };
        let mut slices = [std::io::IoSlice::new(&[]); SLICES];
        let count = batch.fill(&mut slices);
        let available: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        let written = bytes.min(available.len());
        self.wire.extend_from_slice(&available[..written]);
        self.flow.put_back(batch, written);
    }

    fn arrive(&mut self, bytes: usize) {
        let bytes: Vec<u8> = self.wire.drain(..bytes.min(self.wire.len())).collect();
        self.received += bytes.len() as u64;
        self.buffer.extend_from_slice(&bytes);
        while let Some(frame) = frame::take(&mut self.buffer, LIMIT).expect("frames arrive") {
            match frame.header.kind {
                FrameKind::News => {
                    let (topic, item) = read_item(&frame.payload).expect("an item");
                    let topic = usize::from(topic[topic.len() - 1] - b'0');
                    self.arrived[topic].push(u64::from_le_bytes(*item.first_chunk().expect("a number")));
                }
                FrameKind::Gap => self.missing += read_gap(&frame.payload).expect("a gap").0,
                _ => {}
            }
        }
        if self.received.is_multiple_of(3) {
            self.flow.acknowledge(self.received).expect("it was written");
        }
    }

    fn cut(&mut self) {
        self.wire.clear();
        self.flow.go_back(self.received).expect("it is stored");
        self.flow.revise(|frames| newest(frames, MAX_ITEMS));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn every_lost_item_is_counted_and_the_newest_arrive(events in prop::collection::vec(event(), 1..150)) {
        let mut pair = Pair::new();
        for event in events {
            match event {
                Event::Publish(topic, more) => pair.publish(topic, more),
                Event::Write(bytes) => pair.write(bytes),
                Event::Arrive(bytes) => pair.arrive(bytes),
                Event::Cut => pair.cut(),
            }
        }
        pair.cut();
        let before_cut: Vec<usize> = pair.arrived.iter().map(Vec::len).collect();
        while pair.flow.pending_bytes() > 0 {
            pair.write(usize::MAX);
            pair.arrive(usize::MAX);
            pair.flow.acknowledge(pair.received).expect("it was written");
        }
        prop_assert!(pair.buffer.is_empty());
        let arrived: u64 = pair.arrived.iter().map(|numbers| numbers.len() as u64).sum();
        prop_assert_eq!(arrived + pair.missing, pair.published.iter().sum::<u64>());
        for ((numbers, published), before_cut) in pair.arrived.iter().zip(pair.published).zip(before_cut) {
            prop_assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
            prop_assert_eq!(numbers.last().copied().unwrap_or_default(), published);
            // One more if the connection was lost within its frame.
            prop_assert!(numbers.len() - before_cut <= MAX_ITEMS as usize + 1, "{numbers:?}, {before_cut} before");
        }
    }
}
