//! The subscribers of one publisher who want the same: one prefix, one item type, one policy.

use std::time::{Duration, Instant};

use meshzero_proto::codec::Fingerprint;
use meshzero_proto::name::Topic;
use meshzero_proto::news::{Cursor, GapReason, Keep, Log, Missed, Policy, Queue, Subscribe};

use crate::runtime::clock;

/// Those who want the same.
pub(crate) struct SubscriberGroup {
    /// Its identity, which no other one of the publisher ever has.
    pub(crate) id: u64,
    pub(crate) prefix: Topic,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) policy: Policy,
    pub(crate) kept: GroupBuffer,
    /// Who they are.
    pub(crate) readers: Vec<u64>,
    /// Those of them who wait for an item of the log.
    pub(crate) asleep: Vec<u64>,
}

/// What is kept for them.
pub(crate) enum GroupBuffer {
    /// The same for all.
    Log(Log),
    /// For each what it has not got: its [`GroupBacklog`].
    Queues,
}

/// What one of them has not got yet.
pub(crate) enum GroupBacklog {
    /// What is behind its place in the shelf's log.
    Log(Cursor),
    Queue(Box<Queue>),
}

impl SubscriberGroup {
    /// A shelf without readers. What is wanted has been brought [within](Policy::within) the publisher's limits.
    pub(crate) fn new(id: u64, wanted: &Subscribe) -> Self {
        let Subscribe { prefix, fingerprint, policy } = wanted;
        let kept = if policy.is_shared() {
            GroupBuffer::Log(Log::new(policy.items, policy.bytes))
        } else {
            GroupBuffer::Queues
        };
        Self {
            id,
            prefix: prefix.clone(),
            fingerprint: *fingerprint,
            policy: *policy,
            kept,
            readers: Vec::new(),
            asleep: Vec::new(),
        }
    }

    /// Whether it is for those who want this.
    pub(crate) fn is_for(&self, wanted: &Subscribe) -> bool {
        self.fingerprint == wanted.fingerprint && self.policy == wanted.policy && self.prefix == wanted.prefix
    }

    /// Adds a reader, who gets what comes from now on, after an item of each of the topics `had`.
    pub(crate) fn join<'a>(&mut self, id: u64, had: impl IntoIterator<Item = &'a Topic>) -> GroupBacklog {
        self.readers.push(id);
        match &mut self.kept {
            GroupBuffer::Log(log) => GroupBacklog::Log(log.join()),
            GroupBuffer::Queues => {
                let mut queue = Queue::new(&self.policy);
                let now = clock::now();
                had.into_iter().for_each(|topic| queue.passed(topic, now));
                GroupBacklog::Queue(Box::new(queue))
            }
        }
    }

    /// Takes a reader away.
    pub(crate) fn leave(&mut self, id: u64, backlog: &GroupBacklog) {
        self.readers.retain(|other| *other != id);
        self.asleep.retain(|other| *other != id);
        if let (GroupBuffer::Log(log), GroupBacklog::Log(cursor)) = (&mut self.kept, backlog) {
            log.leave(cursor);
        }
    }

    /// How many times it keeps what its policy says.
    pub(crate) fn backlogs(&self) -> usize {
        match self.kept {
            GroupBuffer::Log(_) => 1,
            GroupBuffer::Queues => self.readers.len(),
        }
    }

    /// Whether its readers want the publisher to wait for them.
    pub(crate) fn must_wait(&self) -> bool {
        self.policy.keep == Keep::Wait
    }

    /// Whether none of its readers misses an older item if there is another one. Where each has a queue nobody knows without
    /// asking them.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        match &self.kept {
            GroupBuffer::Log(log) => !log.is_full(1),
            GroupBuffer::Queues => !self.policy.is_waited_for(),
        }
    }

    /// Until when one reader is waited for, as [`Log::wait_for`] says.
    pub(crate) fn wait_for(
        &mut self,
        backlog: &mut GroupBacklog,
        now: Instant,
        limit: Duration,
        progress: u64,
    ) -> Option<Instant> {
        match (backlog, &mut self.kept) {
            (GroupBacklog::Log(cursor), GroupBuffer::Log(log)) => log.wait_for(cursor, now, limit, progress),
            (GroupBacklog::Queue(queue), _) => queue.wait_for(now, limit, progress),
            (GroupBacklog::Log(_), GroupBuffer::Queues) => None,
        }
    }

    /// Whether one reader was waited for in vain and has not taken everything since.
    pub(crate) fn is_given_up(&self, backlog: &GroupBacklog) -> bool {
        match (backlog, &self.kept) {
            (GroupBacklog::Log(cursor), GroupBuffer::Log(log)) => log.is_given_up(cursor),
            (GroupBacklog::Queue(queue), _) => queue.is_given_up(),
            (GroupBacklog::Log(_), GroupBuffer::Queues) => false,
        }
    }

    /// Why its readers miss items that fall out of the log.
    pub(crate) fn reason(&self) -> GapReason {
        if self.must_wait() { GapReason::Patience } else { GapReason::Overflow }
    }

    /// So many items of the log, that fell out of it.
    pub(crate) fn count_missed(&self, items: u64) -> Missed {
        let mut missed = Missed::default();
        *if self.must_wait() { &mut missed.patience } else { &mut missed.overflow } = items;
        missed
    }

    /// What one reader has missed: of a queue ever, and of the log since it last read.
    pub(crate) fn missed(&self, backlog: &GroupBacklog) -> Missed {
        match (backlog, &self.kept) {
            (GroupBacklog::Log(cursor), GroupBuffer::Log(log)) => self.count_missed(log.missing(cursor)),
            (GroupBacklog::Queue(queue), _) => queue.dropped(),
            (GroupBacklog::Log(_), GroupBuffer::Queues) => Missed::default(),
        }
    }
}
