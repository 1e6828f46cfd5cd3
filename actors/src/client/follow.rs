//! Following instances: one task each, which connects to the instance, and retries with growing delays while discovery
//! lists it.

use std::collections::HashMap;
use std::time::Duration;

use actix::Addr;
use meshzero_proto::discovery::directory::{Filter, Instance};
use meshzero_proto::id::InstanceId;
use tokio::sync::watch;
use tokio::time;

use crate::discovery::{AddressChanges, Discovery, Search, Watch, Watcher};
use crate::link::dial::InstanceUpdates;
use crate::runtime::backoff::Backoff;

/// The delays before an endpoint is dialled again.
pub(crate) const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), MAX_BACKOFF);
pub(crate) const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// Watches the instances that discovery lists, and has it look for those of a single name; `None` when the node has left.
pub(crate) async fn watch_listings(discovery: &Addr<Discovery>, filter: Filter) -> Option<Watcher> {
    if let Filter::Name(name) = &filter {
        discovery.do_send(Search { name: name.clone() });
    }
    let watch = discovery.send(Watch { filter, addresses: AddressChanges::All }).await;
    watch.inspect_err(|error| tracing::debug!(%error, "the discovery actor is gone")).ok()
}

/// The instances that are followed, and the channels that carry discovery's updates to their tasks.
#[derive(Default)]
pub(crate) struct FollowedInstances(HashMap<InstanceId, watch::Sender<Option<Instance>>>);

impl FollowedInstances {
    /// Updates a listed instance: notifies its task, or has `start` start one where none runs.
    pub(crate) fn update(&mut self, instance: Instance, start: impl FnOnce(InstanceUpdates)) {
        let id = instance.id;
        let is_updated = self.0.get(&id).is_some_and(|sender| sender.send(Some(instance.clone())).is_ok());
        if !is_updated {
            let (sender, updates) = watch::channel(Some(instance));
            self.insert(id, sender);
            start(updates);
        }
    }

    /// Adds an instance whose task the caller starts.
    pub(crate) fn insert(&mut self, instance: InstanceId, sender: watch::Sender<Option<Instance>>) {
        self.0.retain(|_, sender| !sender.is_closed());
        self.0.insert(instance, sender);
    }

    /// Stops further attempts for an instance that is no longer listed. A working connection stays open, and remains
    /// the only one if the instance is listed again before the connection has ended: items on a second connection would
    /// overtake those that wait on the first.
    pub(crate) fn unlist(&mut self, instance: InstanceId) {
        if let Some(sender) = self.0.get(&instance) {
            // A task that has ended needs no update.
            let _ = sender.send(None);
        }
    }

    /// As [`FollowedInstances::unlist`], for an instance that accepts nothing new: if it is listed again, it gets a
    /// task of its own.
    pub(crate) fn remove(&mut self, instance: InstanceId) {
        self.unlist(instance);
        self.0.remove(&instance);
    }
}

/// The next step of a task after one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The task ends.
    Stop,
    /// The next round begins at once: the connection of this one lasted.
    AtOnce,
    /// The next round begins after the shortest delay: this one worked.
    Soon,
    /// The next round begins after a longer delay than the one before: this one failed.
    Later,
}

/// Runs `round` repeatedly for one instance, until it returns [`Next::Stop`] or the instance is not listed any more.
pub(crate) async fn follow(
    mut updates: InstanceUpdates,
    mut round: impl AsyncFnMut(Instance, &InstanceUpdates) -> Next,
) {
    let mut backoff = BACKOFF;
    loop {
        let Some(instance) = updates.borrow_and_update().clone() else { return };
        match round(instance, &updates).await {
            Next::Stop => return,
            Next::AtOnce => {
                backoff.reset();
                continue;
            }
            Next::Soon => backoff.reset(),
            Next::Later => {}
        }
        tokio::select! {
            biased;
            () = time::sleep(backoff.next_delay()) => {}
            changed = updates.changed() => match changed {
                // An update is a reason to try at once, and no later than before if that fails.
                Ok(()) => backoff.reset(),
                Err(_) => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use meshzero_proto::id::NodeId;
    use meshzero_proto::name::ServiceName;
    use tokio::sync::mpsc;
    use tokio::task::LocalSet;
    use tokio::time::Instant;

    use super::*;

    fn instance(port: u16) -> Instance {
        Instance {
            id: InstanceId::from_random([1; 16]),
            node: NodeId::from_random([2; 16]),
            service: ServiceName::new("arm").expect("a name"),
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], port))],
            local: false,
        }
    }

    /// Runs rounds that end in `next`, and returns the delays between them.
    async fn delays(next: Vec<Next>) -> Vec<Duration> {
        let (_sender, updates) = watch::channel(Some(instance(1)));
        let (mut started, mut rounds) = (Vec::new(), next.into_iter());
        follow(updates, async |_, _: &InstanceUpdates| {
            started.push(Instant::now());
            rounds.next().unwrap_or(Next::Stop)
        })
        .await;
        started.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn delays_grow_while_rounds_fail_and_are_reset_after_one_that_worked() {
        let ms = Duration::from_millis;
        use Next::{AtOnce, Later, Soon};
        let delays = delays(vec![Later, Later, Later, Soon, Later, AtOnce, Later]).await;
        // tokio's clock counts whole milliseconds.
        let expected = [50, 100, 200, 50, 100, 0, 50].map(|longest| (ms(longest / 2), ms(longest + 1)));
        for (delay, (shortest, longest)) in delays.iter().zip(expected) {
            assert!((shortest..=longest).contains(delay), "{delays:?}");
        }
        assert_eq!(delays.len(), expected.len());
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_has_one_task_which_receives_updates_until_it_is_not_listed() {
        let (started, mut rounds) = mpsc::unbounded_channel();
        let start = |updates| {
            let started = started.clone();
            tokio::task::spawn_local(follow(
                updates,
                async move |instance: Instance, _: &InstanceUpdates| {
                    started.send(instance.addresses[0].port()).expect("the test listens");
                    Next::Later
                },
            ));
        };
        let body = async {
            let mut followed = FollowedInstances::default();
            followed.update(instance(1), start);
            assert_eq!(rounds.recv().await, Some(1));
            followed.update(instance(2), |_| panic!("it has a task"));
            assert_eq!(rounds.recv().await, Some(2), "an update ends the pause");
            followed.unlist(instance(2).id);
            // Its task ends before another one is needed.
            while !followed.0.values().all(watch::Sender::is_closed) {
                tokio::task::yield_now().await;
            }
            rounds.try_recv().expect_err("no round for an instance that is not listed");
            followed.update(instance(3), start);
            assert_eq!(rounds.recv().await, Some(3), "a task of its own");
            followed.remove(instance(3).id);
            assert!(followed.0.is_empty());
        };
        LocalSet::new().run_until(body).await;
    }
}
