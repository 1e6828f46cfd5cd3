//! The distribution of directory changes to watchers, peers, lists, searches and dials.

use std::time::Instant;

use actix::prelude::*;
use meshzero_proto::discovery::directory::{AdvertSource, Changes, DirectoryEvent, DownReason, Instance};
use meshzero_proto::id::InstanceId;

use crate::discovery::Discovery;
use crate::discovery::effect::Effect;
use crate::discovery::interest::Interest;
use crate::discovery::liveness::evidence::Evidence;
use crate::discovery::liveness::nodes::Liveness;
use crate::discovery::liveness::verification::settle;
use crate::discovery::peers::link::PeerLinkId;
use crate::discovery::search::query::{question, question_for};
use crate::net::host::neighbours;
use crate::runtime::clock;

impl Discovery {
    /// Distributes changes. `origin` is the link that brought them, if one did.
    pub(crate) fn apply(&mut self, changes: Changes, origin: Option<PeerLinkId>, ctx: &mut Context<Self>) {
        if !changes.events.is_empty() {
            self.lists.changed(clock::now());
        }
        if let Some(node) = changes.hides {
            tracing::warn!(
                %node,
                limit = "instances_per_node",
                shown = self.config.limits.instances_per_node,
                "a program offers more services than the limit allows; the others are found by their exact names only"
            );
        }
        if !changes.events.is_empty() || !changes.grown.is_empty() {
            self.update_peers(&changes, origin, ctx);
        }
        for instance in changes.grown {
            self.dial_history.update(instance.id, &self.directory);
            self.watchers.push_growth(instance);
        }
        for event in changes.events {
            match &event {
                DirectoryEvent::Up(instance) => {
                    if self.searches.found(&instance.service) {
                        self.query_rounds.end(question_for(&self.config.mesh, &instance.service));
                    }
                    let connect = Liveness::ensure_connected(instance.node, &self.directory);
                    self.execute([connect], ctx);
                }
                DirectoryEvent::Down { instance, .. } => {
                    let none_left = self.directory.get(&instance.service).is_empty();
                    if none_left && self.searches.lost(&instance.service) {
                        let question = question_for(&self.config.mesh, &instance.service);
                        self.execute([Effect::Ask(question)], ctx);
                    }
                }
                DirectoryEvent::Moved(_) => {}
            }
            self.dial_history.update(event.instance().id, &self.directory);
            self.watchers.push(event);
        }
        for claimed in changes.claimed {
            self.dial_history.update(claimed, &self.directory);
        }
        for doubted in changes.doubts {
            self.dial_history.update(doubted, &self.directory);
            if self.interest().includes(doubted, &self.directory) {
                let is_linked = self.evidence(clock::now()).is_linked(doubted);
                self.execute([settle(doubted, is_linked)], ctx);
            }
        }
        self.answer_lists(ctx);
    }

    /// Returns the interest of this node in the services of others.
    fn interest(&self) -> Interest<'_> {
        Interest { liveness: &self.liveness, watchers: &self.watchers, searches: &self.searches }
    }

    /// Sends changes to the peers that do not know them from elsewhere.
    fn update_peers(&mut self, changes: &Changes, origin: Option<PeerLinkId>, ctx: &mut Context<Self>) {
        for event in &changes.events {
            if matches!(event, DirectoryEvent::Down { .. }) && !event.instance().local {
                self.links.forget(event.instance().id);
                self.address_verification.forget(event.instance().id);
            }
        }
        if self.links.is_empty() {
            return;
        }
        let events = changes.events.iter().filter(|event| !matches!(event, DirectoryEvent::Down { .. }));
        let shown = events.map(DirectoryEvent::instance);
        for instance in changes.grown.iter().chain(shown) {
            self.try_for_peers(instance, None, ctx);
        }
        let (links, view) = self.peer_view();
        links.send_changes(changes, origin, view);
    }

    /// Tests at which addresses the other ends of all links, or of one, can reach an instance, if it is to be sent to them.
    fn try_for_peers(&mut self, instance: &Instance, only: Option<PeerLinkId>, ctx: &mut Context<Self>) {
        let concerned = self.links.concerned(instance, only, &self.directory);
        let effects =
            self.address_verification.try_for(instance, concerned, &self.host_addresses, clock::now());
        self.execute(effects, ctx);
    }

    /// Calls [`Self::try_for_peers`] for all known instances.
    pub(crate) fn try_all_for_peers(&mut self, only: Option<PeerLinkId>, ctx: &mut Context<Self>) {
        if self.links.are_on_one_host(only, &self.host_addresses) {
            return;
        }
        for instance in self.directory.all() {
            self.try_for_peers(&instance, only, ctx);
        }
    }

    /// Retries the addresses that failed a while ago: a service may listen there by now.
    pub(crate) fn try_again_for_peers(&mut self, now: Instant, ctx: &mut Context<Self>) {
        for id in self.address_verification.due(now) {
            if let Some(instance) = self.directory.candidate(id).filter(|_| self.directory.is_shown(id)) {
                self.try_for_peers(&instance, None, ctx);
            }
            self.address_verification.forget_due(id, now);
        }
    }

    /// Handles a goodbye. It may be forged, so the endpoint is probed if the instance matters here.
    pub(crate) fn handle_goodbye(&mut self, instance: InstanceId, now: Instant) -> Changes {
        self.dial_history.record_withdrawal(instance);
        let changes = self.directory.withdraw_report(instance, AdvertSource::Mdns, now);
        if !changes.doubts.is_empty() && !self.interest().includes(instance, &self.directory) {
            return self.directory.remove_instance(instance, DownReason::Withdrawn, now);
        }
        changes
    }

    /// Answers the lists that are complete, and sets a timer for the others.
    pub(crate) fn answer_lists(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        let Self { config, directory, links, query_rounds, multicast, .. } = self;
        let evidence = Evidence { directory, links, now };
        let is_settled = |filter: &_| {
            let has_others = || neighbours::has_others(&multicast.zones_out());
            query_rounds.is_settled(question(&config.mesh, filter), now, has_others)
        };
        let select = |filter: &_| {
            let mut instances = evidence.directory.select(filter);
            let shown = instances.len();
            instances.retain(|instance| evidence.is_alive(instance));
            (shown, instances)
        };
        let check = self.lists.answer(now, self.liveness.monitoring_since(), is_settled, select);
        self.execute(check, ctx);
    }
}
