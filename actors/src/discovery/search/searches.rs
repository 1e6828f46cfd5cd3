//! Searches for names: each is queried in the background until it is known or no longer wanted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::name::ServiceName;

/// The time for which a name is sought after the last request.
const SEEK_TIME: Duration = Duration::from_secs(10);
/// The time after which a name that is not found may be known to peers of other nodes only: this node starts to monitor all.
const MONITOR_AFTER: Duration = Duration::from_secs(2);
/// The most names that are sought at once; the oldest is evicted for a new one.
const MAX_SOUGHT: usize = 1_024;

/// The names that are sought.
#[derive(Default)]
pub(crate) struct Searches {
    sought: HashMap<ServiceName, SoughtName>,
}

struct SoughtName {
    since: Instant,
    requested_at: Instant,
    found: bool,
}

/// Asks the network for a name in the background, until it is known or ten seconds have passed. Watch the name to receive its
/// instances; repeat this to continue.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Search {
    /// The name.
    pub name: ServiceName,
}

/// Asks the network once for the services of these names. [`GetReport`](crate::discovery::GetReport) reports the replies.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RepeatQueries(pub Vec<ServiceName>);

impl Searches {
    /// Starts to seek a name, also if it is sought already.
    pub(crate) fn seek(&mut self, name: &ServiceName, now: Instant) {
        self.make_room();
        let sought = self.sought.entry(name.clone()).or_insert(SoughtName {
            since: now,
            requested_at: now,
            found: false,
        });
        (sought.requested_at, sought.found) = (now, false);
    }

    /// Returns whether a name is sought and not found.
    pub(crate) fn is_seeking(&self, name: &ServiceName) -> bool {
        self.sought.get(name).is_some_and(|sought| !sought.found)
    }

    /// Returns the names that are sought and not found.
    pub(crate) fn unfound(&self) -> impl Iterator<Item = &ServiceName> {
        self.sought.iter().filter(|(_, sought)| !sought.found).map(|(name, _)| name)
    }

    /// Records that an instance of a name was found. Returns whether the name is sought.
    pub(crate) fn found(&mut self, name: &ServiceName) -> bool {
        let sought = self.sought.get_mut(name);
        sought.map(|sought| sought.found = true).is_some()
    }

    /// Records that the last instance of a name is gone. Returns whether it has to be sought again: the instance may have been
    /// an outdated record.
    pub(crate) fn lost(&mut self, name: &ServiceName) -> bool {
        self.sought.get_mut(name).is_some_and(|sought| std::mem::take(&mut sought.found))
    }

    /// Removes the names that were not requested lately, and returns them.
    pub(crate) fn give_up_old(&mut self, now: Instant) -> Vec<ServiceName> {
        let is_old =
            |_: &ServiceName, sought: &mut SoughtName| now.duration_since(sought.requested_at) >= SEEK_TIME;
        self.sought.extract_if(is_old).map(|(name, _)| name).collect()
    }

    /// Returns whether there is a name that only peers of other nodes may know, because it has not been found for a while.
    pub(crate) fn is_unfound_for_long(&self, now: Instant) -> bool {
        self.sought.values().any(|sought| !sought.found && now.duration_since(sought.since) >= MONITOR_AFTER)
    }

    fn make_room(&mut self) {
        if self.sought.len() >= MAX_SOUGHT
            && let Some(oldest) =
                self.sought.iter().min_by_key(|(_, s)| s.requested_at).map(|(name, _)| name.clone())
        {
            self.sought.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).expect("a name")
    }

    #[test]
    fn a_name_that_was_found_is_sought_again_once_when_it_is_lost() {
        let (mut searches, now) = (Searches::default(), Instant::now());
        assert!(!searches.found(&name("arm")) && !searches.lost(&name("arm")), "it is not sought");
        searches.seek(&name("arm"), now);
        assert!(searches.is_seeking(&name("arm")) && !searches.lost(&name("arm")), "it was not found yet");
        assert!(searches.found(&name("arm")) && !searches.is_seeking(&name("arm")));
        assert!(searches.lost(&name("arm")) && !searches.lost(&name("arm")));
        assert_eq!(searches.unfound().collect::<Vec<_>>(), [&name("arm")]);
    }

    #[test]
    fn a_search_ends_ten_seconds_after_the_last_request() {
        let (mut searches, started) = (Searches::default(), Instant::now());
        searches.seek(&name("arm"), started);
        assert!(!searches.is_unfound_for_long(started + Duration::from_millis(1_999)));
        assert!(searches.is_unfound_for_long(started + MONITOR_AFTER));
        searches.seek(&name("arm"), started + Duration::from_secs(5));
        assert!(searches.give_up_old(started + SEEK_TIME).is_empty(), "it was requested again");
        assert_eq!(searches.give_up_old(started + Duration::from_secs(15)), [name("arm")]);
        assert!(!searches.is_seeking(&name("arm")));
    }

    #[test]
    fn the_oldest_search_is_evicted_at_the_limit() {
        let (mut searches, started) = (Searches::default(), Instant::now());
        for n in 0..MAX_SOUGHT {
            searches.seek(&name(&format!("n{n}")), started + Duration::from_millis(n as u64));
        }
        searches.seek(&name("last"), started + SEEK_TIME);
        assert!(
            !searches.is_seeking(&name("n0"))
                && searches.is_seeking(&name("n1"))
                && searches.is_seeking(&name("last"))
        );
    }
}
