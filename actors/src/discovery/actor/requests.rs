//! Handlers of the node's requests to the discovery actor. Each calls the part that it concerns.

use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::discovery::directory::Filter;

use crate::discovery::Discovery;
use crate::discovery::announce::interfaces::FollowAddresses;
use crate::discovery::announce::services::{Announce, EndpointMoved, Host, Leave, Withdraw};
use crate::discovery::effect::Effect;
use crate::discovery::liveness::listed_services::{VerifyInstances, VerifyProgress};
use crate::discovery::liveness::verification::{InstanceUnreachable, InstanceVerified};
use crate::discovery::report::{DiscoveryReport, UnansweredInstance};
use crate::discovery::search::lists::{DeferredList, ListInstances};
use crate::discovery::search::query::{question, question_for};
use crate::discovery::search::searches::{RepeatQueries, Search};
use crate::discovery::search::watch::Watch;
use crate::discovery::status::{CountHidden, GetDiscoveryStats, GetReplyAges, GetReport, is_recent};
use crate::runtime::clock;
use crate::telemetry::stats::DiscoveryStats;

/// The time for which leaving waits for links to send their withdrawals.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(100);

impl Handler<Announce> for Discovery {
    type Result = ();

    fn handle(&mut self, announce: Announce, ctx: &mut Self::Context) {
        let host = Host { connected: self.own_interfaces.connected(), addresses: &self.host_addresses };
        let offer = self.announced_services.announce(announce, host);
        self.execute([offer], ctx);
    }
}

impl Handler<EndpointMoved> for Discovery {
    type Result = ();

    fn handle(&mut self, EndpointMoved(instance): EndpointMoved, ctx: &mut Self::Context) {
        let offer = self.announced_services.relocate(instance, self.host());
        self.execute(offer, ctx);
    }
}

impl Handler<Withdraw> for Discovery {
    type Result = ();

    fn handle(&mut self, withdraw: Withdraw, ctx: &mut Self::Context) {
        let withdrawal = self.announced_services.withdraw(withdraw);
        self.execute([withdrawal], ctx);
    }
}

impl Handler<Leave> for Discovery {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Leave: Leave, ctx: &mut Self::Context) -> Self::Result {
        let withdrawals = self.announced_services.withdraw_all();
        self.execute(withdrawals, ctx);
        let links = self.links.close();
        let mdns = self.announced_services.take_mdns();
        let close = async move {
            if let Some(mdns) = mdns {
                mdns.close().await;
            }
            if tokio::time::timeout(LEAVE_TIMEOUT, links).await.is_err() {
                tracing::debug!(
                    "some peers did not receive the withdrawal in time; they will see the connection close"
                );
            }
        };
        Box::pin(close.into_actor(self).map(|(), _, ctx| ctx.stop()))
    }
}

impl Handler<FollowAddresses> for Discovery {
    type Result = MessageResult<FollowAddresses>;

    fn handle(&mut self, FollowAddresses: FollowAddresses, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.own_interfaces.follow())
    }
}

impl Handler<Watch> for Discovery {
    type Result = MessageResult<Watch>;

    fn handle(&mut self, watch: Watch, ctx: &mut Self::Context) -> Self::Result {
        let known = self.directory.select(&watch.filter);
        let repeat = Effect::Repeat(question(&self.config.mesh, &watch.filter));
        let is_single = matches!(watch.filter, Filter::Name(_));
        let watcher = self.watchers.watch(watch, known);
        self.execute([repeat], ctx);
        if !is_single {
            self.start_monitoring(ctx);
        }
        MessageResult(watcher)
    }
}

impl Handler<Search> for Discovery {
    type Result = ();

    fn handle(&mut self, Search { name }: Search, ctx: &mut Self::Context) {
        let now = clock::now();
        let changes = self.directory.request_name(&name, now);
        self.apply(changes, None, ctx);
        if !self.directory.get(&name).is_empty() {
            return;
        }
        self.searches.seek(&name, now);
        // An instance that was found dead a while ago may be back.
        let candidates = self.directory.candidates(&name).into_iter();
        let probes: Vec<_> = candidates.map(|candidate| Effect::Probe(candidate.id)).collect();
        self.execute(probes, ctx);
        self.execute([Effect::Ask(question_for(&self.config.mesh, &name))], ctx);
    }
}

impl Handler<RepeatQueries> for Discovery {
    type Result = ();

    fn handle(&mut self, RepeatQueries(names): RepeatQueries, ctx: &mut Self::Context) {
        for name in names {
            let question = question_for(&self.config.mesh, &name);
            let is_asked = self.query_rounds.is_asking(question);
            self.execute([Effect::Ask(question)], ctx);
            if !is_asked {
                self.query_rounds.end(question);
            }
        }
    }
}

impl Handler<ListInstances> for Discovery {
    type Result = DeferredList;

    fn handle(&mut self, list: ListInstances, ctx: &mut Self::Context) -> DeferredList {
        let now = clock::now();
        match &list.filter {
            Filter::Name(name) => {
                let changes = self.directory.request_name(name, now);
                self.apply(changes, None, ctx);
                self.execute([Effect::Ask(question(&self.config.mesh, &list.filter))], ctx);
                let instances = self.directory.select(&list.filter).into_iter();
                let probes: Vec<_> = instances.map(|instance| Effect::Probe(instance.id)).collect();
                self.execute(probes, ctx);
            }
            Filter::Prefix(_) | Filter::Group { .. } => self.start_monitoring(ctx),
        }
        let deferred = self.lists.add(list, now);
        self.answer_lists(ctx);
        deferred
    }
}

impl Handler<VerifyInstances> for Discovery {
    type Result = VerifyProgress;

    fn handle(
        &mut self,
        VerifyInstances { filter, previous: mut progress, further }: VerifyInstances,
        ctx: &mut Self::Context,
    ) -> VerifyProgress {
        let evidence = self.evidence(clock::now());
        let (answered, unproved): (Vec<_>, Vec<_>) =
            self.directory.select(&filter).into_iter().partition(|instance| evidence.has_answered(instance));
        let first = progress.choose_first(&unproved);
        self.execute(first, ctx);
        let others = progress.choose_others(&unproved, further, |id| self.probes.is_open(id));
        self.execute(others, ctx);
        progress.answered = answered.into_iter().map(|instance| instance.id).collect();
        progress.hidden = self.directory.hidden_of(&filter);
        progress.open = progress.asked.iter().copied().filter(|id| self.probes.is_open(*id)).collect();
        progress
    }
}

impl Handler<GetReport> for Discovery {
    type Result = DiscoveryReport;

    fn handle(&mut self, GetReport: GetReport, _: &mut Self::Context) -> DiscoveryReport {
        let now = clock::now();
        let static_peers = self.static_peers.unconnected();
        let unanswered =
            self.dial_history.unanswered().into_iter().filter_map(|(instance, service, attempts)| {
                // An instance whose node was reached is there, and one that has just been probed may be.
                let is_linked = self
                    .directory
                    .candidate(instance)
                    .is_some_and(|instance| self.links.have_dialled(instance.node));
                let answers = is_linked || attempts.iter().all(is_recent);
                let replied_ago = self.directory.replied_ago(instance, now);
                (!answers).then_some(UnansweredInstance { instance, service, replied_ago, attempts })
            });
        DiscoveryReport {
            unanswered: unanswered.collect(),
            connected: self.links.hosts(),
            multicast: self.multicast.observations(now),
            service_names: self.directory.service_names().iter().map(ToString::to_string).collect(),
            local_service_names: self
                .directory
                .names_here(&self.host_addresses)
                .iter()
                .map(ToString::to_string)
                .collect(),
            hidden: self.directory.hidden(),
            instances_per_node: self.config.limits.instances_per_node,
            other_meshes: self.directory.other_meshes().iter().map(ToString::to_string).collect(),
            interfaces: self.config.interfaces.describe(),
            peers: static_peers.iter().map(|peer| format!("{}: {}", peer.peer, peer.trouble)).collect(),
            static_peers,
        }
    }
}

impl Handler<GetReplyAges> for Discovery {
    type Result = MessageResult<GetReplyAges>;

    fn handle(&mut self, GetReplyAges(instances): GetReplyAges, _: &mut Self::Context) -> Self::Result {
        let now = clock::now();
        let replied = |instance| Some((instance, self.directory.replied_ago(instance, now)?));
        MessageResult(instances.into_iter().filter_map(replied).collect())
    }
}

impl Handler<CountHidden> for Discovery {
    type Result = usize;

    fn handle(&mut self, CountHidden(filter): CountHidden, _: &mut Self::Context) -> usize {
        self.directory.hidden_of(&filter)
    }
}

impl Handler<GetDiscoveryStats> for Discovery {
    type Result = MessageResult<GetDiscoveryStats>;

    fn handle(&mut self, _: GetDiscoveryStats, _: &mut Self::Context) -> Self::Result {
        let (evicted, refused) = self.directory.evicted_and_rejected();
        let multicast = self.multicast.observations(clock::now());
        MessageResult(DiscoveryStats {
            instances: self.directory.shown() as u64,
            evicted,
            refused,
            mdns_restarts: self.announced_services.mdns_restarts(),
            one_shot_queries: multicast.oneshot_questions,
            multicast_queries: multicast.ordinary_questions,
            replies: multicast.replies_by_unicast,
            announcements: multicast.received_by_multicast,
        })
    }
}

impl Handler<InstanceVerified> for Discovery {
    type Result = ();

    fn handle(&mut self, InstanceVerified { instance, address }: InstanceVerified, ctx: &mut Self::Context) {
        let changes = self.directory.record_proof(instance, address, clock::now());
        self.apply(changes, None, ctx);
    }
}

impl Handler<InstanceUnreachable> for Discovery {
    type Result = ();

    fn handle(
        &mut self,
        InstanceUnreachable { instance, verdict }: InstanceUnreachable,
        ctx: &mut Self::Context,
    ) {
        self.judge(instance, verdict, ctx);
    }
}
