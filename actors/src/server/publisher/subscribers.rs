//! The subscribers of one service, in groups, and their backlogs.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use meshzero_proto::codec::{Encoding, Fingerprint, negotiated_encoding};
use meshzero_proto::limits::Limits;
use meshzero_proto::name::Topic;
use meshzero_proto::news::{self, LogRead, Missed, NextItem, Subscribe};

use crate::runtime::clock;
use crate::server::publisher::encoded::FrameRef;
use crate::server::publisher::group::{GroupBacklog, GroupBuffer, SubscriberGroup};
use crate::server::publisher::waiters::{WaitTicket, WaitingPublishers};

/// The number of bytes that one subscriber takes at a time: from a log, as many as one system call moves well, and from
/// a queue, few, because items that were taken are no longer replaced.
const LOG_BYTES: usize = 640 << 10;
const QUEUE_BYTES: usize = 64 << 10;

/// The subscribers of one publisher, in groups with the same properties.
pub(crate) struct Subscribers {
    groups: Vec<SubscriberGroup>,
    subscribers: BTreeMap<u64, Subscriber>,
    next_id: u64,
    /// Changes whenever [`Recipients`] do.
    version: u64,
    /// The number of subscribers that insist on being waited for.
    insisting: usize,
    /// Publishers that wait for room.
    waiting: WaitingPublishers,
    limits: SubscriberBounds,
    delivered: u64,
    /// The items that were missed by subscribers that have left, and those of logs that have been reported.
    missed: Missed,
    given_up: u64,
}

/// The limits that apply to the backlogs.
struct SubscriberBounds {
    /// The bytes of all backlogs together.
    all_bytes: u64,
    /// The most bytes of one backlog.
    bytes: u64,
    /// The current share of one backlog in the total.
    share: u64,
    patience: Duration,
}

struct Subscriber {
    /// The index of its group.
    group: usize,
    backlog: GroupBacklog,
    /// The frames before the backlog.
    retained: VecDeque<Bytes>,
    waker: Option<Waker>,
    /// Returns the progress of its connection, in any unit.
    progress: Option<ProgressFn>,
}

pub(crate) type ProgressFn = Box<dyn Fn() -> u64 + Send>;

/// The groups that receive items of one topic and one type, as of one version.
pub(crate) type Recipients = Vec<Recipient>;

/// A group that receives an item, and the encoding for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipient {
    group: usize,
    /// The encoding that its subscribers want.
    pub(crate) encoding: Encoding,
}

/// The subscribers that are to be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// Every subscriber that would miss an older item.
    Any,
    /// Those of them that insist on it.
    Insisting,
}

/// The obstacle to publishing an item.
pub(crate) struct Blocked {
    /// The instant until which the publisher waits for it.
    pub(crate) until: Instant,
    /// The ids of the groups that cause it.
    pub(crate) groups: Vec<u64>,
}

/// The result of a read.
pub(crate) enum ReadOutcome {
    /// Whole frames.
    Frames(Vec<Bytes>),
    /// No items yet. At this instant there may be some without another item being published.
    Nothing(Option<Instant>),
    /// No items, now or later.
    Over,
}

impl Subscribers {
    /// A publisher's subscribers: none yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        let all_bytes = limits.news_bytes as u64;
        let bytes = limits.backlog_bytes as u64;
        Self {
            groups: Vec::new(),
            subscribers: BTreeMap::new(),
            next_id: 0,
            version: 0,
            insisting: 0,
            waiting: WaitingPublishers::default(),
            limits: SubscriberBounds { all_bytes, bytes, share: all_bytes, patience: limits.news_patience },
            delivered: 0,
            missed: Missed::default(),
            given_up: 0,
        }
    }

    /// The number of subscribers.
    pub(crate) fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// The number of items handed to subscribers, each counted once for each of them.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The number of times that a subscriber was given up after waiting for it.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// The items that subscribers have missed, reported or not.
    pub(crate) fn missed(&self) -> Missed {
        let mut missed = self.missed;
        for subscriber in self.subscribers.values() {
            missed += self.groups[subscriber.group].missed(&subscriber.backlog);
        }
        missed
    }

    /// Adds a subscriber, which receives `retained` before the items published from now on, and returns its id. The policy
    /// has been restricted to the limits.
    pub(crate) fn add(&mut self, subscribe: &Subscribe, retained: Vec<(&Topic, Bytes)>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.version += 1;
        let index = self.groups.iter().position(|group| group.matches(subscribe)).unwrap_or_else(|| {
            // Its first subscriber gives the group its id.
            self.groups.push(SubscriberGroup::new(id, subscribe));
            self.groups.len() - 1
        });
        let group = &mut self.groups[index];
        let backlog = group.join(id, retained.iter().map(|(topic, _)| *topic));
        let retained = retained.into_iter().map(|(_, frame)| frame).collect();
        self.insisting += usize::from(group.must_wait());
        self.subscribers
            .insert(id, Subscriber { group: index, backlog, retained, waker: None, progress: None });
        self.divide_bytes();
        id
    }

    /// Removes a subscriber. Returns the tasks to wake.
    pub(crate) fn remove(&mut self, id: u64) -> Vec<Waker> {
        let Some(subscriber) = self.subscribers.remove(&id) else { return Vec::new() };
        self.version += 1;
        let group = &mut self.groups[subscriber.group];
        self.missed += group.missed(&subscriber.backlog);
        self.insisting -= usize::from(group.must_wait());
        group.leave(id, &subscriber.backlog);
        if group.subscribers.is_empty() {
            self.groups.swap_remove(subscriber.group);
            // Another group may have taken its index.
            for id in self.groups.get(subscriber.group).into_iter().flat_map(|group| &group.subscribers) {
                if let Some(moved) = self.subscribers.get_mut(id) {
                    moved.group = subscriber.group;
                }
            }
        }
        self.divide_bytes();
        self.take_waiting()
    }

    /// Returns all waiting tasks to wake, for items or for room.
    pub(crate) fn wake_all(&mut self) -> Vec<Waker> {
        let asleep = self.subscribers.values_mut().filter_map(|subscriber| subscriber.waker.take());
        self.waiting.wake_all(clock::now()).into_iter().chain(asleep).collect()
    }

    /// Divides the total bytes among the backlogs.
    fn divide_bytes(&mut self) {
        let backlogs = self.groups.iter().map(SubscriberGroup::backlogs).sum::<usize>().max(1) as u64;
        let SubscriberBounds { all_bytes, bytes, share: before, .. } = self.limits;
        let share = all_bytes / backlogs;
        self.limits.share = share;
        if share.min(before) >= bytes {
            // No backlog has more than its share.
            return;
        }
        for group in &mut self.groups {
            if let GroupBuffer::Log(log) = &mut group.buffer {
                log.set_bytes(group.policy.bytes.min(share));
            }
        }
        for subscriber in self.subscribers.values_mut() {
            if let GroupBacklog::Queue(queue) = &mut subscriber.backlog {
                queue.set_bytes(self.groups[subscriber.group].policy.bytes.min(share));
            }
        }
    }

    /// Changes whenever the result of [`Subscribers::recipients`] may change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The groups that take items of `topic` whose type has this fingerprint.
    pub(crate) fn recipients(&self, topic: &Topic, fingerprint: Option<Fingerprint>) -> Recipients {
        let recipients = self.groups.iter().enumerate();
        let recipients = recipients.filter(|(_, group)| topic.starts_with(group.prefix.as_str()));
        let recipients = recipients.map(|(index, group)| {
            let encoding = negotiated_encoding(fingerprint, group.fingerprint);
            Recipient { group: index, encoding }
        });
        recipients.collect()
    }

    /// Returns whether an item can certainly be published without a subscriber missing an older one.
    #[inline]
    pub(crate) fn has_room(&self, recipients: &Recipients, wait_for: WaitFor) -> bool {
        match wait_for {
            WaitFor::Any => {
                self.waiting.is_empty()
                    && recipients.iter().all(|recipient| self.groups[recipient.group].has_room())
            }
            WaitFor::Insisting => self.insisting == 0 || self.has_insisted_room(recipients),
        }
    }

    #[inline(never)]
    fn has_insisted_room(&self, recipients: &Recipients) -> bool {
        let mut groups = recipients.iter().map(|recipient| &self.groups[recipient.group]);
        groups.all(|group| !group.must_wait() || (self.waiting.is_empty() && group.has_room()))
    }

    /// Returns the obstacle to publishing an item: a subscriber that would miss an older one, or a publisher that began
    /// to wait for the same room before; `None` if there is none. `ticket` is the publisher's own place in the queue.
    /// Adds publishers that have to check first to `woken`.
    #[cold]
    pub(crate) fn wait_for(
        &mut self,
        recipients: &Recipients,
        wait_for: WaitFor,
        ticket: Option<WaitTicket>,
        now: Instant,
        woken: &mut Vec<Waker>,
    ) -> Option<Blocked> {
        let mut earliest = None::<Instant>;
        let mut groups = Vec::new();
        for recipient in recipients {
            let group = &mut self.groups[recipient.group];
            if wait_for == WaitFor::Insisting && !group.must_wait() {
                continue;
            }
            let has_room = group.has_room();
            if has_room {
                // Publishers waiting for a log are woken only when half of it is free.
                self.waiting.wake_before(ticket, group.id, now, woken);
            }
            let mut until = self.waiting.earlier_turn_until(ticket, group.id, now, self.limits.patience);
            if until.is_none() && !has_room {
                for index in 0..group.subscribers.len() {
                    let Some(subscriber) = self.subscribers.get_mut(&group.subscribers[index]) else {
                        continue;
                    };
                    let was_given_up = group.is_given_up(&subscriber.backlog);
                    let progress = subscriber.progress.as_ref().map_or(0, |progress| progress());
                    let patience = self.limits.patience;
                    let slowest = group.wait_for(&mut subscriber.backlog, now, patience, progress);
                    self.given_up += u64::from(!was_given_up && group.is_given_up(&subscriber.backlog));
                    until = until.into_iter().chain(slowest).min();
                }
            }
            if let Some(until) = until {
                groups.push(group.id);
                earliest = earliest.into_iter().chain([until]).min();
            }
        }
        earliest.map(|until| Blocked { until, groups })
    }

    /// Registers `publisher` to be woken when there may be room, or it may be first, see [`WaitingPublishers::wait`].
    pub(crate) fn wake_when_there_is_room(
        &mut self,
        ticket: Option<WaitTicket>,
        groups: Vec<u64>,
        publisher: &Waker,
        woken: &mut Vec<Waker>,
    ) -> (WaitTicket, Option<Waker>) {
        self.waiting.wait(ticket, groups, publisher, clock::now(), woken)
    }

    /// Removes a publisher from those that wait. Adds tasks to wake to `woken`; returns a value to drop once nothing is
    /// locked.
    pub(crate) fn leave_waiting(&mut self, ticket: WaitTicket, woken: &mut Vec<Waker>) -> impl Sized + use<> {
        self.waiting.leave(ticket, clock::now(), woken)
    }

    /// Takes the publishers that wait for room.
    pub(crate) fn take_waiting(&mut self) -> Vec<Waker> {
        self.waiting.wake_all(clock::now())
    }

    /// Appends an item to all its groups, as the frame of each encoding, and adds tasks to wake to `woken`.
    #[inline(always)]
    pub(crate) fn append<'a>(
        &mut self,
        recipients: &Recipients,
        topic: &Topic,
        frame: impl Fn(Encoding) -> FrameRef<'a>,
        woken: &mut Vec<Waker>,
    ) {
        for recipient in recipients {
            let (group, frame) = (&mut self.groups[recipient.group], frame(recipient.encoding));
            match &mut group.buffer {
                GroupBuffer::Log(log) => {
                    match frame {
                        FrameRef::Small(frame) => log.append(frame),
                        FrameRef::Large(pieces) => log.append_shared(pieces.iter().cloned()),
                    }
                    if !group.waiting.is_empty() {
                        self.take_readers(recipient.group, woken);
                    }
                }
                GroupBuffer::Queues => self.push(recipient.group, topic, &frame.to_bytes(), woken),
            }
        }
    }

    /// Takes the subscribers that wait for an item of a group's log.
    #[cold]
    fn take_readers(&mut self, group: usize, woken: &mut Vec<Waker>) {
        for id in self.groups[group].waiting.drain(..) {
            woken.extend(self.subscribers.get_mut(&id).and_then(|subscriber| subscriber.waker.take()));
        }
    }

    /// Appends an item to the queues of a group.
    fn push(&mut self, group: usize, topic: &Topic, frame: &Bytes, woken: &mut Vec<Waker>) {
        let group = &self.groups[group];
        let now = group.policy.every.map(|_| clock::now());
        for id in &group.subscribers {
            let Some(Subscriber { backlog: GroupBacklog::Queue(queue), waker, .. }) =
                self.subscribers.get_mut(id)
            else {
                continue;
            };
            match now {
                Some(now) => queue.push_at(topic, frame.clone(), now),
                None => queue.push(topic, frame.clone()),
            }
            if queue.is_ready() {
                woken.extend(waker.take());
            }
        }
    }

    /// Sets `progress`, which returns the progress of the subscriber's connection: while it changes, the subscriber is
    /// waited for.
    pub(crate) fn watch(&mut self, id: u64, progress: ProgressFn) {
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.progress = Some(progress);
        }
    }

    /// Releases the items that the rate limit of a subscriber has held back: nothing more will be published.
    pub(crate) fn release_all(&mut self, id: u64) {
        if let Some(Subscriber { backlog: GroupBacklog::Queue(queue), .. }) = self.subscribers.get_mut(&id) {
            queue.release_all();
        }
    }

    /// Takes the next items for one subscriber. If there are none, `waker` is called when there are.
    pub(crate) fn read(&mut self, id: u64, waker: &Waker, woken: &mut Vec<Waker>) -> ReadOutcome {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return ReadOutcome::Over };
        if !subscriber.retained.is_empty() {
            return ReadOutcome::Frames(subscriber.retained.drain(..).collect());
        }
        let group = &mut self.groups[subscriber.group];
        let mut due = None;
        let has_made_room;
        let frames = match (&mut subscriber.backlog, &mut group.buffer) {
            (GroupBacklog::Log(cursor), GroupBuffer::Log(log)) => {
                let was_full = log.is_full(2);
                let LogRead { missing, items, mut frames } = log.read(cursor, LOG_BYTES);
                has_made_room = was_full && !log.is_full(2);
                self.delivered += items;
                if missing > 0 {
                    self.missed += group.count_missed(missing);
                    frames.insert(0, news::gap(missing, group.reason()).into());
                }
                frames
            }
            (GroupBacklog::Queue(queue), _) => {
                if group.policy.every.is_some() {
                    queue.release(clock::now());
                }
                let mut frames = Vec::new();
                let mut bytes = 0;
                while bytes < QUEUE_BYTES
                    && let Some(next) = queue.pop()
                {
                    let frame = match next {
                        NextItem::Gap(count, reason) => news::gap(count, reason).into(),
                        NextItem::Item(item) => {
                            self.delivered += 1;
                            item
                        }
                    };
                    bytes += frame.len();
                    frames.push(frame);
                }
                due = queue.next_due();
                has_made_room = !frames.is_empty() && group.policy.is_waited_for();
                frames
            }
            (GroupBacklog::Log(_), GroupBuffer::Queues) => return ReadOutcome::Over,
        };
        if has_made_room && !self.waiting.is_empty() {
            woken.append(&mut self.waiting.wake_all(clock::now()));
        }
        if !frames.is_empty() {
            return ReadOutcome::Frames(frames);
        }
        if subscriber.waker.is_none() && matches!(group.buffer, GroupBuffer::Log(_)) {
            group.waiting.push(id);
        }
        subscriber.waker = Some(waker.clone());
        ReadOutcome::Nothing(due)
    }
}
