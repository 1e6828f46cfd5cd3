//! A route: the instances of one target that this node is connected to at the moment.

pub(crate) mod balancer;
pub(crate) mod connector;
pub(crate) mod health;
mod link_cache;
pub mod target;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use meshzero_proto::call::outlier::Outliers;
use meshzero_proto::diagnosis::Attempt;
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::id::InstanceId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::client::fair_queue::{FairQueue, QueueTurn};
use crate::client::link::Link;
use crate::client::route::health::Health;
use crate::client::route::link_cache::RouteChanges;
use crate::client::route::target::Target;
use crate::context::NodeContext;
use crate::diagnosis::diagnose;
use crate::diagnosis::result::Diagnosis;
use crate::link::attempt_record::{AttemptRecord, AttemptRecords};
use crate::server::service::Service;
use crate::telemetry::stats::{self, RouteStats};

/// One instance that can be called now.
#[derive(Clone)]
pub enum Member {
    /// An instance in this process.
    Local(Arc<Service>, Arc<Instance>),
    /// A connected instance in another process.
    Remote(Arc<Link>, Arc<Instance>),
}

impl Member {
    /// Returns the instance.
    pub(crate) fn instance(&self) -> &Instance {
        match self {
            Self::Local(_, instance) | Self::Remote(_, instance) => instance,
        }
    }

    /// The instance, with the address of its connection before all others.
    pub fn listing(&self) -> Instance {
        let mut instance = self.instance().clone();
        if let Self::Remote(link, _) = self {
            let connected = link.address();
            instance.addresses.retain(|address| *address != connected);
            instance.addresses.insert(0, connected);
        }
        instance
    }

    /// Returns the address of the connection; for an instance in this process, the address that others connect to.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Local(_, instance) => instance.address(),
            Self::Remote(link, _) => Some(link.address()),
        }
    }

    /// Returns whether it still accepts messages.
    #[inline(always)]
    pub(crate) fn is_alive(&self) -> bool {
        match self {
            Self::Local(service, _) => service.is_alive(),
            Self::Remote(link, _) => !link.is_closed(),
        }
    }

    /// Returns whether it accepts messages and has a connection on which they can be sent.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Local(service, _) => service.is_alive(),
            Self::Remote(link, _) => link.is_attached() && !link.is_closed(),
        }
    }

    /// Returns the number of calls that it has not finished.
    pub(crate) fn load(&self) -> usize {
        match self {
            Self::Local(service, _) => service.unfinished(),
            Self::Remote(link, _) => link.in_flight(),
        }
    }
}

/// The instances behind one target. Senders read them without a lock; the router changes them.
pub struct Route {
    target: Target,
    pub(crate) members: ArcSwap<RouteMembers>,
    changes: RouteChanges,
    /// Notifies all waiting tasks, in the order in which they began to wait.
    changed: Notify,
    /// The queue of callers that wait for an instance, so that their messages are sent in order.
    queue: FairQueue,
    /// The error of the last attempt to connect, for callers that find no instance.
    last_error: Mutex<Option<String>>,
    /// The attempts to connect to each instance, or to the address, since the last success.
    attempt_records: Mutex<AttemptRecords<Option<InstanceId>, ()>>,
    /// The health of the members.
    pub(crate) health: Health,
}

/// The instances of a route.
#[derive(Default)]
pub(crate) struct RouteMembers {
    pub(crate) all: Vec<Member>,
    /// The members in use: all but those that are ejected because they keep failing.
    pub(crate) active: Vec<Member>,
}

impl Route {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            members: ArcSwap::default(),
            changes: RouteChanges::default(),
            changed: Notify::new(),
            queue: FairQueue::default(),
            last_error: Mutex::default(),
            attempt_records: Mutex::default(),
            health: Health::default(),
        }
    }

    /// Returns the target of the route.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The instances that can be called now.
    pub fn members(&self) -> Vec<Member> {
        self.members.load().all.iter().filter(|member| member.is_alive()).cloned().collect()
    }

    /// Returns the counters of the calls over this route.
    pub fn stats(&self) -> RouteStats {
        let members = self.members.load();
        let links = members.all.iter().filter_map(|member| match member {
            Member::Local(..) => None,
            Member::Remote(link, _) => Some(link.stats()),
        });
        RouteStats {
            service: self.target.to_string(),
            calls: self.health.counters.counts(),
            links: stats::listed(links.collect()),
        }
    }

    /// Counts a message that was dropped because it could not be sent at once.
    pub fn count_dropped(&self) {
        self.health.counters.dropped.count();
    }

    /// Returns whether callers wait for an instance, or are about to send after having waited: nobody may overtake
    /// them.
    #[inline(always)]
    pub(crate) fn has_waiters(&self) -> bool {
        self.queue.has_waiters()
    }

    /// Waits behind callers that wait for an instance, if there are any, or if there is no instance. The future must be
    /// polled until it is ready.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future gives up the position in the queue.
    pub(crate) async fn turn(&self) -> Option<QueueTurn<'_>> {
        if !self.has_waiters() && self.pick().is_some() {
            return None;
        }
        Some(self.queue.turn().await)
    }

    /// Waits until there is an instance to call. Works on any executor.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn ready(&self) -> Member {
        self.wait_for(|| self.pick()).await
    }

    /// Returns whether the instance can be called now.
    pub(crate) fn is_ready(&self, instance: InstanceId) -> bool {
        find(&self.members.load(), instance).is_some_and(|member| member.is_ready())
    }

    /// The member with this identity, if there is one.
    pub(crate) fn member(&self, instance: InstanceId) -> Option<Member> {
        find(&self.members.load(), instance)
    }

    /// Returns the number of calls sent over the current connections.
    pub(crate) fn calls(&self) -> u64 {
        let calls = |member: &Member| match member {
            Member::Local(..) => 0,
            Member::Remote(link, _) => link.calls(),
        };
        self.members.load().all.iter().map(calls).sum()
    }

    /// Waits until `find` returns something, called again after each change of the members.
    pub(crate) async fn wait_for<T>(&self, find: impl Fn() -> Option<T>) -> T {
        loop {
            // Receives every change from here on.
            let changed = self.changed.notified();
            if let Some(found) = find() {
                return found;
            }
            changed.await;
        }
    }

    /// Returns the error of the last attempt to connect.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// The record of attempts to connect to an instance, or to the address.
    pub(crate) fn attempt_record(&self, instance: Option<InstanceId>) -> AttemptRecord {
        self.attempt_records.lock().record_for(instance, ())
    }

    /// Returns the recent attempts without an answer.
    fn unanswered(&self) -> Vec<(Option<InstanceId>, Vec<Attempt>)> {
        let unanswered = self.attempt_records.lock().unanswered();
        unanswered.into_iter().map(|(instance, (), attempts)| (instance, attempts)).collect()
    }

    /// Finds out why nothing can be called by this route. Takes a few milliseconds, and 250 at most.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn diagnose(&self, context: &NodeContext) -> Diagnosis {
        diagnose::of(context, (&self.target).into(), self.unanswered(), self.last_error()).await
    }

    pub(crate) fn record_error(&self, error: String) {
        *self.last_error.lock() = Some(error);
    }

    pub(crate) fn add(&self, member: Member) {
        self.change(|members| {
            members.retain(|other| other.instance().id != member.instance().id);
            members.push(member);
        });
    }

    pub(crate) fn remove(&self, instance: InstanceId) {
        self.change(|members| members.retain(|other| other.instance().id != instance));
    }

    /// Removes a link, and no other link to the same instance.
    pub(crate) fn remove_link(&self, link: &Arc<Link>) {
        let is_link =
            |member: &Member| matches!(member, Member::Remote(other, _) if Arc::ptr_eq(other, link));
        self.change(|members| members.retain(|member| !is_link(member)));
    }

    /// Removes and closes all members, for good.
    pub(crate) fn close(&self) {
        self.record_error("the mesh has been left".to_owned());
        let mut closed = Vec::new();
        self.change(|members| closed = std::mem::take(members));
        for member in closed {
            if let Member::Remote(link, _) = member {
                link.close();
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Member>)) {
        self.health.change(|outliers| {
            let mut all = self.members.load().all.clone();
            change(&mut all);
            outliers.set_members(&all.iter().map(|member| member.instance().id).collect::<Vec<_>>());
            self.store(RouteMembers { active: active(&all, outliers), all });
        });
        self.changed.notify_waiters();
    }

    /// Updates the members in use, after one was ejected or readmitted.
    pub(crate) fn update_active(&self, outliers: &Outliers<InstanceId>) {
        let all = self.members.load().all.clone();
        self.store(RouteMembers { active: active(&all, outliers), all });
    }

    fn store(&self, members: RouteMembers) {
        self.members.store(Arc::new(members));
        self.changes.record();
    }
}

impl Drop for Route {
    /// Nobody holds the route any more: its links are closed now, because the program may be about to end, and the
    /// endpoints would wait for the links to be resumed.
    fn drop(&mut self) {
        self.close();
    }
}

fn active(all: &[Member], outliers: &Outliers<InstanceId>) -> Vec<Member> {
    all.iter().filter(|member| !outliers.is_ejected(member.instance().id)).cloned().collect()
}

fn find(members: &Guard<Arc<RouteMembers>>, instance: InstanceId) -> Option<Member> {
    members.all.iter().find(|member| member.instance().id == instance).cloned()
}
