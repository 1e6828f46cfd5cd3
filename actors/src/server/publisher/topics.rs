//! The topics that one service publishes.

use std::collections::HashMap;

use meshzero_proto::codec::{Encoding, TypeInfo, WireType};
use meshzero_proto::name::{InvalidName, Topic};
use meshzero_proto::wire::catalogue::agreed;

use crate::server::publisher::encoded::{EncodingSet, RetainedItem};
use crate::server::publisher::subscribers::{Recipients, Subscribers};

/// The topics that are known.
#[derive(Default)]
pub(crate) struct Topics {
    pub(crate) known: Vec<TopicState>,
    places: HashMap<Topic, usize>,
    /// The one asked for last, which is often the next as well.
    recent: usize,
}

/// What is known of one topic.
pub(crate) struct TopicState {
    pub(crate) topic: Topic,
    /// The type of the item published last, or of those that were declared.
    pub(crate) item: Option<&'static TypeInfo>,
    pub(crate) retains: bool,
    pub(crate) last: RetainedItem,
    /// Who takes items of a type, as of a version of the readers.
    pub(crate) takers: Recipients,
    takers_of: Option<(&'static TypeInfo, u64)>,
    /// The encodings that they want.
    takers_want: EncodingSet,
}

impl Topics {
    /// What is known of `topic`, if it is one of the first `max`.
    #[inline]
    pub(crate) fn get_or_insert(
        &mut self,
        topic: &str,
        max: usize,
    ) -> Result<Option<&mut TopicState>, InvalidName> {
        if self.known.get(self.recent).is_none_or(|known| *known.topic != *topic) {
            match self.find(topic, max)? {
                Some(found) => self.recent = found,
                None => return Ok(None),
            }
        }
        Ok(self.known.get_mut(self.recent))
    }

    fn find(&mut self, topic: &str, max: usize) -> Result<Option<usize>, InvalidName> {
        if let Some(found) = self.places.get(topic) {
            return Ok(Some(*found));
        }
        if self.known.len() >= max {
            return Ok(None);
        }
        let topic = Topic::new(topic)?;
        self.places.insert(topic.clone(), self.known.len());
        self.known.push(TopicState::new(topic));
        Ok(Some(self.known.len() - 1))
    }
}

impl TopicState {
    /// Finds out who takes items of type `T`, unless that is known. `None` if nothing is known of the type here and nothing was
    /// `found` out: that runs its own code.
    #[inline]
    pub(crate) fn find_recipients<T: WireType>(
        &mut self,
        readers: &Subscribers,
        found: Option<&'static TypeInfo>,
    ) -> Option<&'static TypeInfo> {
        match self.takers_of {
            Some((info, version)) if info.is::<T>() && version == readers.version() => Some(info),
            before => {
                let known = before.map(|(info, _)| info).filter(|info| info.is::<T>());
                let info = found.or(known)?;
                self.takers = readers.recipients(&self.topic, info.fingerprint());
                self.takers_of = Some((info, readers.version()));
                self.takers_want = EncodingSet::default();
                self.takers.iter().for_each(|taker| self.takers_want.add(taker.encoding));
                Some(info)
            }
        }
    }

    /// Returns the encodings in which an item of the type whose takers were found is wanted.
    #[inline(always)]
    pub(crate) fn wanted(&self, info: &'static TypeInfo) -> EncodingSet {
        if self.retains { self.takers_want.or(retained(info)) } else { self.takers_want }
    }

    pub(crate) fn new(topic: Topic) -> Self {
        Self {
            topic,
            item: None,
            retains: false,
            last: RetainedItem::default(),
            takers: Recipients::new(),
            takers_of: None,
            takers_want: EncodingSet::default(),
        }
    }
}

/// The encodings in which an item is kept for those who subscribe later.
#[cold]
fn retained(info: &'static TypeInfo) -> EncodingSet {
    let mut wanted = EncodingSet::default();
    wanted.add(Encoding::MessagePack);
    wanted.add(agreed(info.fingerprint(), info.fingerprint()));
    wanted
}
