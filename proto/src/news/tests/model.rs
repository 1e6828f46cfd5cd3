//! The log and the queues against slow and obvious models: for any order of publishing, reading and waiting, each subscriber gets
//! every item in order, or the exact number of missed ones and the reason.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::*;
use crate::buffer::Buffer;

/// The unit of time of the histories.
const TICK: Duration = Duration::from_millis(100);
const WAIT_TIMEOUT: Duration = Duration::from_millis(500);

/// One step of a log's history. Readers are numbered; a step of a number that has not joined does nothing.
#[derive(Debug, Clone)]
enum LogStep {
    Join(usize),
    Leave(usize),
    Publish { bytes: usize },
    Read { reader: usize, bytes: usize },
    Bound { bytes: u64 },
    Pass { ticks: u32 },
    Progress(usize),
}

fn log_step() -> impl Strategy<Value = LogStep> {
    prop_oneof![
        1 => (0..4usize).prop_map(LogStep::Join),
        1 => (0..4usize).prop_map(LogStep::Leave),
        8 => (0..60usize).prop_map(|bytes| LogStep::Publish { bytes }),
        4 => (0..4usize, 0..200usize).prop_map(|(reader, bytes)| LogStep::Read { reader, bytes }),
        1 => (0..300u64).prop_map(|bytes| LogStep::Bound { bytes }),
        2 => (0..4u32).prop_map(|ticks| LogStep::Pass { ticks }),
        1 => (0..4usize).prop_map(LogStep::Progress),
    ]
}

/// The items that one reader of a log should get.
struct LogReader {
    cursor: Cursor,
    /// The queued items, with their lengths.
    queued: VecDeque<(u8, usize)>,
    missed: u64,
    progress: u64,
    published: u64,
    received: u64,
    timed_out: bool,
}

impl LogReader {
    /// Publishes an item, and drops the oldest.
    fn publish(&mut self, item: (u8, usize), keep: usize, bytes: u64) {
        self.published += 1;
        self.queued.push_back(item);
        let older_bytes = |queued: &VecDeque<(u8, usize)>| -> usize {
            queued.iter().rev().skip(1).map(|(_, length)| length).sum()
        };
        while self.queued.len() > keep || older_bytes(&self.queued) as u64 > bytes {
            self.queued.pop_front();
            self.missed += 1;
        }
    }

    fn read(&mut self, log: &mut Log, bytes: usize) {
        let read = log.read(&mut self.cursor, bytes);
        assert_eq!(read.missing, std::mem::take(&mut self.missed));
        self.received += read.missing + read.items;
        let frames = read.frames.concat();
        let (mut at, mut items) = (0, 0);
        while let Some((number, length)) = self.queued.front().copied()
            && (items == 0 || at + length <= bytes)
        {
            assert!(frames[at..at + length].iter().all(|byte| *byte == number), "in order, and complete");
            self.queued.pop_front();
            at += length;
            items += 1;
        }
        assert_eq!((at, items), (frames.len(), read.items), "as many as requested");
        if self.queued.is_empty() {
            assert!(log.is_read(&self.cursor) && !log.is_abandoned(&self.cursor));
            self.timed_out = false;
        }
    }
}

/// Runs a history of a log whose publisher waits for its readers, or does not.
fn run_log(keep: u32, mut bytes: u64, publisher_waits: bool, steps: &[LogStep]) {
    let mut log = Log::new(keep, bytes);
    let mut now = Instant::now();
    let mut readers = BTreeMap::<usize, LogReader>::new();
    let mut number = 0u8;
    for step in steps {
        match *step {
            LogStep::Join(reader) => {
                readers.entry(reader).or_insert_with(|| LogReader {
                    cursor: log.join(),
                    queued: VecDeque::new(),
                    missed: 0,
                    progress: 0,
                    published: 0,
                    received: 0,
                    timed_out: false,
                });
            }
            LogStep::Leave(reader) => {
                if let Some(reader) = readers.remove(&reader) {
                    assert_eq!(log.missing(&reader.cursor), reader.missed);
                    log.leave(&reader.cursor);
                }
            }
            // A log without readers is dropped.
            LogStep::Publish { .. } if readers.is_empty() => {}
            LogStep::Publish { bytes: length } => {
                if publisher_waits && log.is_full(1) {
                    let mut is_blocked = false;
                    for reader in readers.values_mut() {
                        let deadline =
                            log.wait_deadline(&mut reader.cursor, now, WAIT_TIMEOUT, reader.progress);
                        assert!(
                            deadline.is_none_or(|deadline| deadline > now && deadline <= now + WAIT_TIMEOUT)
                        );
                        is_blocked |= deadline.is_some();
                        reader.timed_out |= log.is_abandoned(&reader.cursor);
                    }
                    if is_blocked {
                        continue;
                    }
                    assert!(!log.is_full(1), "subscribers whose wait timed out do not count");
                }
                log.append(&Buffer::from(&vec![number; length][..]));
                for reader in readers.values_mut() {
                    let missed_before = reader.missed;
                    reader.publish((number, length), keep as usize, bytes);
                    assert!(
                        !publisher_waits || reader.timed_out || reader.missed == missed_before,
                        "nothing is lost"
                    );
                }
                number = number.wrapping_add(1);
                let (kept, kept_bytes) = log.kept();
                assert!(
                    kept <= u64::from(keep) && kept_bytes <= bytes + length as u64,
                    "the limits are enforced"
                );
            }
            LogStep::Read { reader, bytes } => {
                if let Some(reader) = readers.get_mut(&reader) {
                    reader.read(&mut log, bytes);
                }
            }
            LogStep::Bound { bytes: bound } => {
                bytes = bound;
                log.set_bytes(bound);
            }
            LogStep::Pass { ticks } => now += TICK * ticks,
            LogStep::Progress(reader) => {
                if let Some(reader) = readers.get_mut(&reader) {
                    reader.progress += 1;
                }
            }
        }
        for reader in readers.values() {
            assert_eq!(reader.published, reader.received + reader.missed + reader.queued.len() as u64);
        }
        let behind = readers.values().map(|reader| reader.queued.len() as u64 + reader.missed).max();
        assert_eq!(log.is_idle(), readers.is_empty());
        assert!(log.kept().0 <= behind.unwrap_or(0), "items that all have read are dropped");
    }
    for reader in readers.values_mut() {
        reader.read(&mut log, usize::MAX >> 1);
        assert_eq!(reader.published, reader.received, "everything was delivered or reported");
    }
}

/// One step of a queue's history.
#[derive(Debug, Clone)]
enum QueueStep {
    Publish { topic: usize, bytes: usize },
    Take { max: usize },
    Bound { bytes: u64 },
    Pass { ticks: u32 },
}

fn queue_step() -> impl Strategy<Value = QueueStep> {
    prop_oneof![
        8 => (0..5usize, 0..60usize).prop_map(|(topic, bytes)| QueueStep::Publish { topic, bytes }),
        3 => (0..12usize).prop_map(|max| QueueStep::Take { max }),
        1 => (0..300u64).prop_map(|bytes| QueueStep::Bound { bytes }),
        4 => (0..4u32).prop_map(|ticks| QueueStep::Pass { ticks }),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let keep = prop_oneof![
        Just(Keep::DropOldest),
        Just(Keep::Wait),
        (1..4u32).prop_map(|items| Keep::Last { items }),
    ];
    let every = prop_oneof![Just(None), (1..12u32).prop_map(|ticks| Some(TICK / 2 * ticks))];
    // Not fewer items than topics, or their rates would be forgotten.
    (keep, 5..12u32, 0..300u64, every).prop_map(|(keep, items, bytes, every)| Policy {
        keep,
        items,
        bytes,
        every,
    })
}

/// The items that the subscriber of a queue should get, by number.
#[derive(Default)]
struct QueueReader {
    published: u32,
    received: u64,
    reported: Missed,
    /// The number of the last item of each topic that was taken.
    last: BTreeMap<usize, u32>,
    /// The end of each topic's period, and the item that is held back.
    periods: BTreeMap<usize, (Instant, Option<u32>)>,
    /// The items that have passed the rate and were not taken, in order, until one is dropped for lack of room.
    passed: Vec<(usize, u32)>,
    /// The time of each topic's first item, and the number of taken ones.
    counts: BTreeMap<usize, (Instant, u32)>,
    newest_bytes: u64,
}

impl QueueReader {
    /// Passes an item. If only the last few of each topic are kept, the oldest one is dropped.
    fn pass(&mut self, topic: usize, number: u32, keep: Keep) {
        self.passed.push((topic, number));
        let same_topic = self.passed.iter().enumerate().filter(|(_, (other, _))| *other == topic);
        let (count, oldest) = (same_topic.clone().count(), same_topic.map(|(position, _)| position).next());
        if let (Keep::Last { items }, Some(oldest)) = (keep, oldest)
            && count > items as usize
        {
            self.passed.remove(oldest);
        }
    }

    /// Passes the items that are due, in order.
    fn release(&mut self, policy: &Policy, now: Instant) {
        let Some(every) = policy.every else { return };
        while let Some((topic, (due, held))) =
            self.periods.iter().map(|(topic, period)| (*topic, *period)).min_by_key(|(_, (due, _))| *due)
            && due <= now
        {
            self.periods.remove(&topic);
            if let Some(held) = held {
                let next = if now < due + every { due + every } else { now + every };
                self.periods.insert(topic, (next, None));
                self.pass(topic, held, policy.keep);
            }
        }
    }

    fn publish(&mut self, topic: usize, policy: &Policy, now: Instant) {
        let number = self.published;
        self.published += 1;
        self.counts.entry(topic).or_insert((now, 0));
        let Some(every) = policy.every else { return self.pass(topic, number, policy.keep) };
        self.release(policy, now);
        match self.periods.get_mut(&topic) {
            Some((_, held)) => *held = Some(number),
            None => {
                self.periods.insert(topic, (now + every, None));
                self.pass(topic, number, policy.keep);
            }
        }
    }

    fn report(&mut self, count: u64, reason: GapReason) {
        assert!(count > 0, "no empty gap");
        *match reason {
            GapReason::Overflow => &mut self.reported.overflow,
            GapReason::Superseded => &mut self.reported.superseded,
            GapReason::Rate => &mut self.reported.rate,
            GapReason::Patience => &mut self.reported.patience,
            GapReason::Unknown => panic!("an unknown reason"),
        } += count;
    }

    fn take(&mut self, frame: &[u8], is_exact: bool) {
        let (topic, number) =
            (usize::from(frame[0]), u32::from_le_bytes([frame[1], frame[2], frame[3], frame[4]]));
        assert!(self.last.insert(topic, number) < Some(number), "each topic in order");
        self.received += 1;
        let position = self.passed.iter().position(|passed| *passed == (topic, number));
        if is_exact {
            self.passed.remove(position.expect("nothing arrives before its time"));
        }
        self.counts.get_mut(&topic).expect("it was published").1 += 1;
    }
}

fn run_queue(mut policy: Policy, steps: &[QueueStep]) {
    let topics: Vec<_> = (0..5).map(|topic| Topic::new(format!("topic/{topic}")).expect("a topic")).collect();
    let mut queue = Queue::new(&policy);
    let mut now = Instant::now();
    let mut reader = QueueReader::default();
    for step in steps {
        match *step {
            QueueStep::Publish { topic, bytes } => {
                let limit = Duration::from_secs(1_000_000);
                if policy.keep == Keep::Wait && queue.wait_deadline(now, limit, 0).is_some() {
                    continue;
                }
                let mut frame = vec![0; 5 + bytes];
                frame[0] = topic as u8;
                frame[1..5].copy_from_slice(&reader.published.to_le_bytes());
                reader.newest_bytes = frame.len() as u64;
                match policy.every {
                    Some(_) => queue.push_at(&topics[topic], frame.into(), now),
                    None => queue.push(&topics[topic], frame.into()),
                }
                reader.publish(topic, &policy, now);
                let max = policy.bytes + reader.newest_bytes;
                assert!(queue.len() <= policy.items as usize, "items are bounded");
                assert!(queue.len() == 1 || policy.keep == Keep::Wait || queue.bytes() <= max, "and bytes");
            }
            QueueStep::Take { max } => {
                queue.release(now);
                reader.release(&policy, now);
                take(&mut queue, &mut reader, max);
                if let Some(every) = policy.every {
                    let mut counts = reader.counts.values();
                    assert!(counts.all(|(first, count)| *count == 0 || *first + every * (count - 1) <= now));
                }
            }
            QueueStep::Bound { bytes } => {
                policy.bytes = bytes;
                queue.set_bytes(bytes);
            }
            QueueStep::Pass { ticks } => now += TICK * ticks,
        }
        let accounted = reader.received + queue.dropped().total() + queue.len() as u64;
        assert_eq!(u64::from(reader.published), accounted, "nothing is lost, nothing doubled");
    }
    // A reader that waits for all due items gets all of them.
    while let Some(due) = queue.next_due() {
        queue.release(due);
        reader.release(&policy, due);
    }
    take(&mut queue, &mut reader, usize::MAX);
    assert!(queue.is_empty() && !queue.is_ready());
    assert_eq!((reader.reported, queue.bytes()), (queue.dropped(), 0), "all that was dropped is reported");
    assert_eq!(u64::from(reader.published), reader.received + reader.reported.total());
    assert!(policy.every.is_some() || reader.reported.rate == 0);
    assert!(reader.reported.patience == 0 && (policy.keep != Keep::Wait || reader.reported.overflow == 0));
    assert!(matches!(policy.keep, Keep::Last { .. }) || reader.reported.superseded == 0);
}

fn take(queue: &mut Queue, reader: &mut QueueReader, max: usize) {
    let Missed { overflow, patience, superseded, .. } = queue.dropped();
    // After the first item dropped for lack of room the model does not know which one it was.
    let is_exact = overflow + patience == 0;
    let expected = (is_exact && superseded == 0).then(|| reader.passed.clone());
    let mut taken = Vec::new();
    for _ in 0..max {
        match queue.pop() {
            Some(NextItem::Gap(count, reason)) => reader.report(count, reason),
            Some(NextItem::Item(frame)) => {
                reader.take(&frame, is_exact);
                taken.push((usize::from(frame[0]), frame[1]));
            }
            None => {
                assert!(!is_exact || reader.passed.is_empty(), "all kept items are returned");
                reader.passed.clear();
                break;
            }
        }
    }
    if let Some(expected) = expected {
        let expected = expected.into_iter().map(|(topic, number)| (topic, number as u8));
        assert!(taken.iter().copied().eq(expected.take(taken.len())), "in the order in which they passed");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_log_delivers_or_counts_every_item(
        keep in 1..12u32,
        bytes in 0..300u64,
        publisher_waits: bool,
        steps in prop::collection::vec(log_step(), 1..60),
    ) {
        run_log(keep, bytes, publisher_waits, &steps);
    }

    #[test]
    fn a_queue_delivers_or_counts_every_item(
        policy in policy(),
        steps in prop::collection::vec(queue_step(), 1..60),
    ) {
        run_queue(policy, &steps);
    }
}
