//! Lists of services, each of which is answered once nothing new arrives.

use std::time::{Duration, Instant};

use actix::dev::{MessageResponse, OneshotSender};
use actix::prelude::*;
use meshzero_proto::discovery::directory::{Filter, Instance};
use tokio::sync::oneshot;

use crate::discovery::effect::{Effect, Timer};

/// The time without changes after which a list is complete, once the first rounds of questions are over.
const QUIET_TIME: Duration = Duration::from_millis(100);
/// The time for which a list waits for nodes that do not answer.
const UNANSWERED_TIMEOUT: Duration = Duration::from_secs(1);
/// The interval at which lists are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Asks for the live instances that `filter` selects, ordered by name.
///
/// The response comes when some are known and nothing new arrives, which takes about 0.2 s the first time and no time later;
/// at the latest after `within`, and then it may be empty. Dropping the request cancels it.
///
/// A list of anything but a single name makes the node monitor the others: see [`crate::discovery::Watch`].
#[derive(Debug, Message)]
#[rtype(result = "Vec<Instance>")]
pub struct ListInstances {
    /// The services to list.
    pub filter: Filter,
    /// The longest time to wait.
    pub within: Duration,
}

/// A deferred response, which is cancelled when the request is dropped.
pub struct DeferredList(oneshot::Receiver<Vec<Instance>>);

impl<A: Actor> MessageResponse<A, ListInstances> for DeferredList {
    fn handle(self, _: &mut A::Context, answer: Option<OneshotSender<Vec<Instance>>>) {
        let Some(mut answer) = answer else { return };
        actix_rt::spawn(async move {
            tokio::select! {
                biased;
                // Sending fails if the requester is gone; a node that leaves returns an empty list.
                found = self.0 => drop(answer.send(found.unwrap_or_default())),
                () = answer.closed() => {}
            }
        });
    }
}

/// The lists that are not answered yet.
#[derive(Default)]
pub(crate) struct Lists {
    pending: Vec<PendingList>,
    /// Set if a timer is set for the next check.
    is_timer_set: bool,
    changed_at: Option<Instant>,
}

struct PendingList {
    filter: Filter,
    since: Instant,
    deadline: Option<Instant>,
    answer: oneshot::Sender<Vec<Instance>>,
}

impl Lists {
    /// Adds a request, which [`Lists::answer`] answers.
    pub(crate) fn add(
        &mut self,
        ListInstances { filter, within }: ListInstances,
        now: Instant,
    ) -> DeferredList {
        let (answer, receiver) = oneshot::channel();
        let deadline = now.checked_add(within);
        self.pending.push(PendingList { filter, since: now, deadline, answer });
        DeferredList(receiver)
    }

    /// Records that something new arrived.
    pub(crate) fn changed(&mut self, now: Instant) {
        self.changed_at = Some(now);
    }

    /// Records that the timer has fired or is gone.
    pub(crate) fn forget_check(&mut self) {
        self.is_timer_set = false;
    }

    /// Answers the lists that are complete or overdue, and sets the timer for the others. `monitoring_since` is the time since
    /// which this node stays connected to all others, `is_settled` returns whether the network has answered for a filter, and
    /// `select` returns the number of known services of a filter, and the live ones.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        monitoring_since: Option<Instant>,
        mut is_settled: impl FnMut(&Filter) -> bool,
        select: impl Fn(&Filter) -> (usize, Vec<Instance>),
    ) -> Option<Effect> {
        for list in std::mem::take(&mut self.pending) {
            let expired = list.deadline.is_some_and(|deadline| deadline <= now);
            let is_quiet = self.is_quiet(monitoring_since.unwrap_or(list.since), now);
            let complete = (is_quiet && is_settled(&list.filter))
                .then(|| select(&list.filter))
                .and_then(|(shown, alive)| list.complete(shown, alive, now));
            match complete {
                Some(found) => list.answer(found),
                None if expired => {
                    let (_, alive) = select(&list.filter);
                    list.answer(alive);
                }
                None if list.answer.is_closed() => {}
                None => self.pending.push(list),
            }
        }
        if self.pending.is_empty() || std::mem::replace(&mut self.is_timer_set, true) {
            return None;
        }
        Some(Effect::Schedule(CHECK_INTERVAL, Timer::CheckLists))
    }

    /// Returns whether nothing new arrived for a while, or the time for nodes that do not answer is over since `since`.
    fn is_quiet(&self, since: Instant, now: Instant) -> bool {
        let has_changed = self.changed_at.is_some_and(|at| now.duration_since(at) < QUIET_TIME);
        !has_changed || now.duration_since(since) >= UNANSWERED_TIMEOUT
    }
}

impl PendingList {
    /// Returns the live services if they make up the list: all that are known, or those that are left when the time for the
    /// others is over.
    fn complete(&self, shown: usize, alive: Vec<Instance>, now: Instant) -> Option<Vec<Instance>> {
        let is_complete = alive.len() == shown || now.duration_since(self.since) >= UNANSWERED_TIMEOUT;
        (is_complete && !alive.is_empty()).then_some(alive)
    }

    fn answer(self, found: Vec<Instance>) {
        if self.answer.send(found).is_err() {
            tracing::debug!("the requester of a list is gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use meshzero_proto::id::{InstanceId, NodeId};
    use meshzero_proto::name::ServiceName;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    fn instance() -> Instance {
        Instance {
            id: InstanceId::from_random([1; 16]),
            node: NodeId::from_random([2; 16]),
            service: ServiceName::new("arm").expect("a name"),
            addresses: Vec::new(),
            local: false,
        }
    }

    fn list(within: Duration) -> ListInstances {
        ListInstances { filter: Filter::everything(), within }
    }

    #[test]
    fn a_list_is_answered_when_nothing_new_has_arrived_for_a_while() {
        let (mut lists, started) = (Lists::default(), Instant::now());
        let known = |_: &Filter| (1, vec![instance()]);
        let DeferredList(mut answer) = lists.add(list(Duration::from_secs(20)), started);
        lists.changed(started);
        let check = Some(Effect::Schedule(CHECK_INTERVAL, Timer::CheckLists));
        assert_eq!(lists.answer(started, None, |_| true, known), check);
        assert_eq!(lists.answer(started, None, |_| true, known), None, "the timer is set");
        lists.forget_check();
        let quiet = started + QUIET_TIME;
        assert_eq!(lists.answer(quiet, None, |_| false, known), check, "the network has not answered");
        assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(lists.answer(quiet, None, |_| true, known), None);
        assert_eq!(answer.try_recv(), Ok(vec![instance()]));
    }

    #[test]
    fn instances_that_do_not_answer_delay_a_list_by_a_second() {
        let (mut lists, started) = (Lists::default(), Instant::now());
        let one_of_two = |_: &Filter| (2, vec![instance()]);
        let DeferredList(mut answer) = lists.add(list(Duration::from_secs(20)), started);
        lists.answer(started + UNANSWERED_TIMEOUT / 2, None, |_| true, one_of_two);
        assert_eq!(answer.try_recv(), Err(TryRecvError::Empty));
        lists.answer(started + UNANSWERED_TIMEOUT, None, |_| true, one_of_two);
        assert_eq!(answer.try_recv(), Ok(vec![instance()]));
    }

    #[test]
    fn a_list_is_answered_in_time_even_if_empty_and_forgotten_if_nobody_waits() {
        let (mut lists, started) = (Lists::default(), Instant::now());
        let nothing = |_: &Filter| (0, Vec::new());
        let DeferredList(mut answer) = lists.add(list(Duration::from_secs(3)), started);
        drop(lists.add(list(Duration::from_secs(20)), started));
        lists.answer(started + Duration::from_millis(2_999), None, |_| true, nothing);
        assert_eq!((answer.try_recv(), lists.pending.len()), (Err(TryRecvError::Empty), 1));
        lists.answer(started + Duration::from_secs(3), None, |_| true, nothing);
        assert_eq!(answer.try_recv(), Ok(Vec::new()));
    }
}
