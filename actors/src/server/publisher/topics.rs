//! The topics that one service publishes.

use std::collections::HashMap;

use meshzero_proto::codec::{Encoding, TypeInfo, WireType, negotiated_encoding};
use meshzero_proto::name::{InvalidName, Topic};

use crate::server::publisher::encoded::{EncodingSet, RetainedItem};
use crate::server::publisher::subscribers::{Recipients, Subscribers};

/// The topics that are known.
#[derive(Default)]
pub(crate) struct Topics {
    pub(crate) states: Vec<TopicState>,
    indices: HashMap<Topic, usize>,
    /// The index of the topic used last, which often is the next one as well.
    recent: usize,
}

/// The state of one topic.
pub(crate) struct TopicState {
    pub(crate) topic: Topic,
    /// The type of the last item, or the declared one.
    pub(crate) item: Option<&'static TypeInfo>,
    pub(crate) retains: bool,
    pub(crate) last: RetainedItem,
    /// The groups that receive its items, as of a type and a version of the subscribers.
    pub(crate) recipients: Recipients,
    recipients_for: Option<(&'static TypeInfo, u64)>,
    /// The encodings that those groups want.
    recipient_encodings: EncodingSet,
}

impl Topics {
    /// Returns the state of `topic`, adding it if there are fewer than `max`; `None` if there are not.
    #[inline(always)]
    pub(crate) fn get_or_insert(
        &mut self,
        topic: &str,
        max: usize,
    ) -> Result<Option<&mut TopicState>, InvalidName> {
        if self.states.get(self.recent).is_none_or(|state| !state.topic.is(topic.as_bytes())) {
            match self.find(topic, max)? {
                Some(index) => self.recent = index,
                None => return Ok(None),
            }
        }
        Ok(Some(&mut self.states[self.recent]))
    }

    #[inline(never)]
    fn find(&mut self, topic: &str, max: usize) -> Result<Option<usize>, InvalidName> {
        if let Some(index) = self.indices.get(topic) {
            return Ok(Some(*index));
        }
        if self.states.len() >= max {
            return Ok(None);
        }
        let topic = Topic::new(topic)?;
        self.indices.insert(topic.clone(), self.states.len());
        self.states.push(TopicState::new(topic));
        Ok(Some(self.states.len() - 1))
    }
}

impl TopicState {
    /// Determines the groups that take items of type `T`, unless they are known. `None` if the type is not known here
    /// and `determined` is not given: determining it runs the type's own code.
    #[inline]
    pub(crate) fn find_recipients<T: WireType>(
        &mut self,
        subscribers: &Subscribers,
        determined: Option<&'static TypeInfo>,
    ) -> Option<&'static TypeInfo> {
        match self.recipients_for {
            Some((info, version)) if info.is::<T>() && version == subscribers.version() => Some(info),
            previous => {
                let known = previous.map(|(info, _)| info).filter(|info| info.is::<T>());
                let info = determined.or(known)?;
                self.recipients = subscribers.recipients(&self.topic, info.fingerprint());
                self.recipients_for = Some((info, subscribers.version()));
                self.recipient_encodings = EncodingSet::default();
                self.recipients.iter().for_each(|recipient| self.recipient_encodings.add(recipient.encoding));
                Some(info)
            }
        }
    }

    /// Returns the encodings needed for an item of the type whose recipients were determined.
    #[inline(always)]
    pub(crate) fn wanted(&self, info: &'static TypeInfo) -> EncodingSet {
        if self.retains { self.recipient_encodings.or(retained(info)) } else { self.recipient_encodings }
    }

    pub(crate) fn new(topic: Topic) -> Self {
        Self {
            topic,
            item: None,
            retains: false,
            last: RetainedItem::default(),
            recipients: Recipients::new(),
            recipients_for: None,
            recipient_encodings: EncodingSet::default(),
        }
    }
}

/// Returns the encodings in which an item is retained for those who subscribe later.
#[cold]
fn retained(info: &'static TypeInfo) -> EncodingSet {
    let mut wanted = EncodingSet::default();
    wanted.add(Encoding::MessagePack);
    wanted.add(negotiated_encoding(info.fingerprint(), info.fingerprint()));
    wanted
}
