//! Who reads what one service publishes, and what each has not got yet.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use meshzero_proto::catalogue::agreed;
use meshzero_proto::codec::{Encoding, Fingerprint};
use meshzero_proto::name::Topic;
use meshzero_proto::news::{self, Cursor, GapReason, Log, Newest, Next, Policy, Read, Subscribe};

use crate::encoded::FrameRef;

/// Bytes that one subscriber takes at a time: of a log, as many as one system call moves well, and of the newest items, few,
/// because what it has taken is replaced no more.
const LOG_BYTES: usize = 640 << 10;
const NEWEST_BYTES: usize = 64 << 10;

/// The subscribers of one publisher: those who want everything share a log with all who want it alike, those who want
/// the newest only have what waits for them to themselves.
#[derive(Default)]
pub(crate) struct Readers {
    shelves: Vec<Shelf>,
    readers: BTreeMap<u64, Reader>,
    next_id: u64,
    /// Changes whenever [`Takers`] do.
    version: u64,
    /// Publishers that wait for room.
    waiting: Vec<Waker>,
}

/// What the readers of one prefix and one item type have in common.
struct Shelf {
    prefix: Topic,
    fingerprint: Option<Fingerprint>,
    log: Log,
    /// The most items that one of them wants to be kept, and the fewest.
    most: u32,
    fewest: u32,
    /// Those who want the newest only.
    newest: Vec<u64>,
    /// Those who wait for an item.
    asleep: Vec<u64>,
}

struct Reader {
    shelf: (Topic, Option<Fingerprint>),
    backlog: Backlog,
    /// Frames that come before the backlog.
    first: VecDeque<Bytes>,
    waker: Option<Waker>,
}

enum Backlog {
    Log(Cursor, u32),
    Newest(Newest),
}

/// Who takes items of one topic and one type, as of one version of the readers.
pub(crate) type Takers = Vec<Taker>;

/// Readers who want an item alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taker {
    shelf: usize,
    /// How they want it.
    pub(crate) encoding: Encoding,
}

impl Shelf {
    fn takes(&self, topic: &str) -> bool {
        topic.starts_with(self.prefix.as_str())
    }

    fn is(&self, (prefix, fingerprint): &(Topic, Option<Fingerprint>)) -> bool {
        self.prefix == *prefix && self.fingerprint == *fingerprint
    }

    /// Whether as much waits for the slowest as it may have before it misses something, or half as much.
    fn is_full(&self, part: u64) -> bool {
        let (items, bytes) = self.log.behind();
        items * part >= u64::from(self.fewest) || bytes * part >= (news::BACKLOG_BYTES / 2) as u64
    }
}

impl Readers {
    /// How many subscribe.
    pub(crate) fn len(&self) -> usize {
        self.readers.len()
    }

    /// Adds a subscriber, who gets `first` before whatever is published from now on, and returns its number.
    pub(crate) fn join(&mut self, subscribe: &Subscribe, first: VecDeque<Bytes>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.version += 1;
        let key = (subscribe.prefix.clone(), subscribe.fingerprint);
        let index = match self.shelves.iter().position(|shelf| shelf.is(&key)) {
            Some(index) => index,
            None => {
                self.shelves.push(Shelf {
                    prefix: key.0.clone(),
                    fingerprint: key.1,
                    log: Log::default(),
                    most: 0,
                    fewest: u32::MAX,
                    newest: Vec::new(),
                    asleep: Vec::new(),
                });
                self.shelves.len() - 1
            }
        };
        let shelf = &mut self.shelves[index];
        let backlog = match subscribe.policy {
            Policy::DropOldest { items } => {
                let items = items.max(1);
                shelf.most = shelf.most.max(items);
                shelf.fewest = shelf.fewest.min(items);
                Backlog::Log(shelf.log.join(items), items)
            }
            Policy::Latest => {
                shelf.newest.push(id);
                Backlog::Newest(Newest::default())
            }
        };
        self.readers.insert(id, Reader { shelf: key, backlog, first, waker: None });
        id
    }

    /// The subscriber is gone. Returns whom to wake.
    pub(crate) fn leave(&mut self, id: u64) -> Vec<Waker> {
        let Some(reader) = self.readers.remove(&id) else { return Vec::new() };
        self.version += 1;
        let Some(index) = self.shelves.iter().position(|shelf| shelf.is(&reader.shelf)) else {
            return Vec::new();
        };
        let shelf = &mut self.shelves[index];
        shelf.newest.retain(|other| *other != id);
        shelf.asleep.retain(|other| *other != id);
        if let Backlog::Log(cursor, _) = &reader.backlog {
            shelf.log.leave(cursor);
        }
        if shelf.log.is_idle() && shelf.newest.is_empty() {
            self.shelves.swap_remove(index);
        } else {
            let keeps = self.readers.values().filter(|other| other.shelf == reader.shelf);
            let keeps = keeps.filter_map(|reader| match reader.backlog {
                Backlog::Log(_, keep) => Some(keep),
                Backlog::Newest(_) => None,
            });
            let (fewest, most) =
                keeps.fold((u32::MAX, 0), |(fewest, most), keep| (fewest.min(keep), most.max(keep)));
            (shelf.fewest, shelf.most) = (fewest, most);
        }
        std::mem::take(&mut self.waiting)
    }

    /// All who wait are to be woken, for items or for room.
    pub(crate) fn wake_all(&mut self) -> Vec<Waker> {
        let asleep = self.readers.values_mut().filter_map(|reader| reader.waker.take());
        std::mem::take(&mut self.waiting).into_iter().chain(asleep).collect()
    }

    /// Changes whenever [`Readers::takers`] may say something else.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Who takes items of `topic` whose type has this fingerprint.
    pub(crate) fn takers(&self, topic: &Topic, fingerprint: Option<Fingerprint>) -> Takers {
        let takers = self.shelves.iter().enumerate().filter(|(_, shelf)| shelf.takes(topic));
        let takers = takers.map(|(index, shelf)| {
            let encoding = agreed(fingerprint, shelf.fingerprint);
            Taker { shelf: index, encoding }
        });
        takers.collect()
    }

    /// Whether an item can be published without anybody missing an older one. If not, `publisher` is woken when it may be.
    pub(crate) fn has_room(&mut self, takers: &Takers, publisher: &Waker) -> bool {
        if takers.iter().all(|taker| !self.shelves[taker.shelf].is_full(1)) {
            return true;
        }
        if !self.waiting.iter().any(|waker| waker.will_wake(publisher)) {
            self.waiting.push(publisher.clone());
        }
        false
    }

    /// Where the frame of an item is written if only one log takes it, with how many items that keeps and in which encoding
    /// they are.
    #[inline]
    pub(crate) fn only_log(&mut self, takers: &Takers) -> Option<(&mut Log, u32, Encoding)> {
        let [Taker { shelf, encoding }] = takers[..] else { return None };
        let shelf = &mut self.shelves[shelf];
        (shelf.newest.is_empty() && shelf.asleep.is_empty()).then_some((&mut shelf.log, shelf.most, encoding))
    }

    /// Hands an item to all who take it, as the frame of each encoding, and tells whom to wake.
    pub(crate) fn append<'a>(
        &mut self,
        takers: &Takers,
        topic: &Topic,
        frame: impl Fn(Encoding) -> FrameRef<'a>,
        woken: &mut Vec<Waker>,
    ) {
        for taker in takers {
            let (shelf, frame) = (&mut self.shelves[taker.shelf], frame(taker.encoding));
            if !shelf.log.is_idle() {
                match frame {
                    FrameRef::Small(frame) => shelf.log.append(frame, shelf.most),
                    FrameRef::Large(pieces) => shelf.log.append_shared(pieces.iter().cloned(), shelf.most),
                }
            }
            if !shelf.newest.is_empty() {
                let frame = frame.to_bytes();
                for id in &shelf.newest {
                    if let Some(Reader { backlog: Backlog::Newest(newest), .. }) = self.readers.get_mut(id) {
                        newest.push(topic, frame.clone());
                    }
                }
            }
            for id in shelf.asleep.drain(..) {
                woken.extend(self.readers.get_mut(&id).and_then(|reader| reader.waker.take()));
            }
        }
    }

    /// Takes what comes next for one subscriber, as whole frames; `None` if that is nothing, and then `waker` is called
    /// when it is something.
    pub(crate) fn read(&mut self, id: u64, waker: &Waker, woken: &mut Vec<Waker>) -> Option<Vec<Bytes>> {
        let reader = self.readers.get_mut(&id)?;
        if !reader.first.is_empty() {
            return Some(reader.first.drain(..).collect());
        }
        let shelf = self.shelves.iter_mut().find(|shelf| shelf.is(&reader.shelf))?;
        let frames = match &mut reader.backlog {
            Backlog::Log(cursor, _) => {
                let was_full = shelf.is_full(2);
                let Read { missing, mut frames } = shelf.log.read(cursor, LOG_BYTES);
                if missing > 0 {
                    frames.insert(0, news::gap(missing, GapReason::Overflow).into());
                }
                if was_full && !shelf.is_full(2) {
                    woken.append(&mut self.waiting);
                }
                frames
            }
            Backlog::Newest(newest) => {
                let mut frames = Vec::new();
                let mut bytes = 0;
                while bytes < NEWEST_BYTES
                    && let Some(next) = newest.pop()
                {
                    let frame = match next {
                        Next::Gap(count, reason) => news::gap(count, reason).into(),
                        Next::Item(item) => item,
                    };
                    bytes += frame.len();
                    frames.push(frame);
                }
                frames
            }
        };
        if !frames.is_empty() {
            return Some(frames);
        }
        if reader.waker.is_none() {
            shelf.asleep.push(id);
        }
        reader.waker = Some(waker.clone());
        None
    }
}
