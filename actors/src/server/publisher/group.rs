//! A group of subscribers with the same prefix, item type and policy.

use std::time::{Duration, Instant};

use meshzero_proto::codec::Fingerprint;
use meshzero_proto::name::Topic;
use meshzero_proto::news::{Cursor, GapReason, Keep, Log, Missed, Policy, Queue, Subscribe};

use crate::runtime::clock;

/// Subscribers with the same prefix, item type and policy.
pub(crate) struct SubscriberGroup {
    /// The identity of the group, unique within the publisher.
    pub(crate) id: u64,
    pub(crate) prefix: Topic,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) policy: Policy,
    pub(crate) buffer: GroupBuffer,
    /// The ids of the subscribers.
    pub(crate) subscribers: Vec<u64>,
    /// The ids of the subscribers that wait for an item of the log.
    pub(crate) waiting: Vec<u64>,
}

/// The buffer of a group.
pub(crate) enum GroupBuffer {
    /// One log, shared by all.
    Log(Log),
    /// A queue for each subscriber, in its [`GroupBacklog`].
    Queues,
}

/// The backlog of one subscriber.
pub(crate) enum GroupBacklog {
    /// The items behind this position in the group's log.
    Log(Cursor),
    Queue(Box<Queue>),
}

impl SubscriberGroup {
    /// A group without subscribers. The policy has been restricted to the publisher's limits (see [`Policy::limited_by`]).
    pub(crate) fn new(id: u64, subscribe: &Subscribe) -> Self {
        let Subscribe { prefix, fingerprint, policy } = subscribe;
        let buffer = if policy.is_shared() {
            GroupBuffer::Log(Log::new(policy.items, policy.bytes))
        } else {
            GroupBuffer::Queues
        };
        Self {
            id,
            prefix: prefix.clone(),
            fingerprint: *fingerprint,
            policy: *policy,
            buffer,
            subscribers: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Returns whether the group has these properties.
    pub(crate) fn matches(&self, subscribe: &Subscribe) -> bool {
        self.fingerprint == subscribe.fingerprint
            && self.policy == subscribe.policy
            && self.prefix == subscribe.prefix
    }

    /// Adds a subscriber, which receives items published from now on, after an item of each of the `received` topics.
    pub(crate) fn join<'a>(
        &mut self,
        id: u64,
        received: impl IntoIterator<Item = &'a Topic>,
    ) -> GroupBacklog {
        self.subscribers.push(id);
        match &mut self.buffer {
            GroupBuffer::Log(log) => GroupBacklog::Log(log.join()),
            GroupBuffer::Queues => {
                let mut queue = Queue::new(&self.policy);
                let now = clock::now();
                received.into_iter().for_each(|topic| queue.record_passed(topic, now));
                GroupBacklog::Queue(Box::new(queue))
            }
        }
    }

    /// Removes a subscriber.
    pub(crate) fn leave(&mut self, id: u64, backlog: &GroupBacklog) {
        self.subscribers.retain(|other| *other != id);
        self.waiting.retain(|other| *other != id);
        if let (GroupBuffer::Log(log), GroupBacklog::Log(cursor)) = (&mut self.buffer, backlog) {
            log.leave(cursor);
        }
    }

    /// Returns the number of backlogs of the policy's size that the group keeps.
    pub(crate) fn backlogs(&self) -> usize {
        match self.buffer {
            GroupBuffer::Log(_) => 1,
            GroupBuffer::Queues => self.subscribers.len(),
        }
    }

    /// Returns whether its subscribers want the publisher to wait for them.
    pub(crate) fn must_wait(&self) -> bool {
        self.policy.keep == Keep::Wait
    }

    /// Returns whether certainly none of its subscribers would miss an older item if another one is published. For
    /// queues this is not known without checking them.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        match &self.buffer {
            GroupBuffer::Log(log) => !log.is_full(1),
            GroupBuffer::Queues => !self.policy.is_waited_for(),
        }
    }

    /// Returns the instant until which a subscriber is waited for, see [`Log::wait_deadline`].
    pub(crate) fn wait_for(
        &mut self,
        backlog: &mut GroupBacklog,
        now: Instant,
        limit: Duration,
        progress: u64,
    ) -> Option<Instant> {
        match (backlog, &mut self.buffer) {
            (GroupBacklog::Log(cursor), GroupBuffer::Log(log)) => {
                log.wait_deadline(cursor, now, limit, progress)
            }
            (GroupBacklog::Queue(queue), _) => queue.wait_deadline(now, limit, progress),
            (GroupBacklog::Log(_), GroupBuffer::Queues) => None,
        }
    }

    /// Returns whether a subscriber was given up and has not caught up since.
    pub(crate) fn is_given_up(&self, backlog: &GroupBacklog) -> bool {
        match (backlog, &self.buffer) {
            (GroupBacklog::Log(cursor), GroupBuffer::Log(log)) => log.is_abandoned(cursor),
            (GroupBacklog::Queue(queue), _) => queue.is_abandoned(),
            (GroupBacklog::Log(_), GroupBuffer::Queues) => false,
        }
    }

    /// Returns the reason for which its subscribers miss items that are dropped from the log.
    pub(crate) fn reason(&self) -> GapReason {
        if self.must_wait() { GapReason::Patience } else { GapReason::Overflow }
    }

    /// Counts items that were dropped from the log as missed.
    pub(crate) fn count_missed(&self, items: u64) -> Missed {
        let mut missed = Missed::default();
        *if self.must_wait() { &mut missed.patience } else { &mut missed.overflow } = items;
        missed
    }

    /// Returns the items that a subscriber has missed: of a queue in all, of the log since its last read.
    pub(crate) fn missed(&self, backlog: &GroupBacklog) -> Missed {
        match (backlog, &self.buffer) {
            (GroupBacklog::Log(cursor), GroupBuffer::Log(log)) => self.count_missed(log.missing(cursor)),
            (GroupBacklog::Queue(queue), _) => queue.dropped(),
            (GroupBacklog::Log(_), GroupBuffer::Queues) => Missed::default(),
        }
    }
}
