//! The discovery actor: it dispatches each message to a part of discovery, and executes the effects that the part returns.

mod changes;
mod outcomes;
mod perform;
mod requests;

use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::discovery::query::Question;
use meshzero_proto::id::InstanceId;
use meshzero_proto::wire::hello::{Hello, Purpose};

use super::Discovery;
use crate::discovery::announce::interfaces::InterfaceChange;
use crate::discovery::announce::services::Host;
use crate::discovery::effect::Effect;
use crate::discovery::liveness::evidence::Evidence;
use crate::discovery::liveness::verification::judge;
use crate::discovery::mdns::interface_table::InterfaceTable;
use crate::discovery::peers::static_peers::keep_connected;
use crate::discovery::peers::table::PeerLinks;
use crate::discovery::peers::updates::PeerView;
use crate::discovery::probe::Verdict;
use crate::discovery::search::query::{question, question_for};
use crate::runtime::clock;

/// The interval of periodic work.
const TICK: Duration = Duration::from_millis(250);

impl Actor for Discovery {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, Self::tick);
        self.ask_due(ctx);
    }
}

impl Supervised for Discovery {
    fn restarting(&mut self, _: &mut Self::Context) {
        // The timers for this are gone.
        self.lists.forget_check();
        self.query_rounds.forget_plan();
        self.question_timer = None;
    }
}

impl Discovery {
    /// Starts a task for each static peer, which keeps it connected.
    pub(super) fn connect_static_peers(&mut self, ctx: &mut Context<Self>) {
        for peer in &self.config.peers {
            let record = self.static_peers.add(peer);
            let hello = self.hello(None, Purpose::Peer { hand_on: true });
            let network = self.config.network.clone();
            actix_rt::spawn(keep_connected(network, peer.clone(), hello, record, ctx.address()));
        }
    }

    /// Reads all addresses of this host, also those of interfaces that are not used: the choice of interfaces does not
    /// affect which addresses are this host's own, or near. Returns whether they have changed.
    pub(super) fn read_host_addresses(&mut self) -> bool {
        let own = self.config.network.own_addresses();
        // There are none if they cannot be read.
        if own.is_empty() || own == self.host_addresses {
            return false;
        }
        self.directory.set_own_addresses(own.clone());
        self.address_verification.retain_own(&own);
        self.host_addresses = own;
        true
    }

    fn hello(&self, instance: Option<InstanceId>, purpose: Purpose) -> Hello {
        Hello { instance, purpose, ..self.config.hello(self.node) }
    }

    /// Returns the host on which services are announced.
    fn host(&self) -> Host<'_> {
        Host { connected: self.own_interfaces.connected(), addresses: &self.host_addresses }
    }

    fn evidence(&self, now: Instant) -> Evidence<'_> {
        Evidence { directory: &self.directory, links: &self.links, now }
    }

    /// Returns the links, and the knowledge that peers receive over them.
    fn peer_view(&mut self) -> (&mut PeerLinks, PeerView<'_>) {
        let Self { links, config, directory, address_verification, host_addresses: own, .. } = self;
        (links, PeerView { mesh: &config.mesh, directory, verification: address_verification, own })
    }

    /// Runs the periodic work.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        self.directory.expire(now);
        let links = &self.links;
        let restored = self.directory.restore_hidden(|node| links.reach(node), now);
        self.apply(restored, None, ctx);
        self.watchers.prune();
        self.maintain_nodes(now, ctx);
        self.maintain_searches(now, ctx);
        self.try_again_for_peers(now, ctx);
        self.multicast.close_idle(now);
        if let Some(change) = self.own_interfaces.read(now) {
            if self.read_host_addresses() {
                // A link outlives an address that disappears and returns.
                self.try_all_for_peers(None, ctx);
            }
            if change == InterfaceChange::Some {
                let offers = self.announced_services.relocate_all(self.host());
                self.execute(offers, ctx);
                self.announced_services.repeat();
            }
            self.use_interfaces(ctx);
        }
    }

    /// Connects to other nodes, and probes the instances that are in doubt.
    fn maintain_nodes(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let links = &self.links;
        let effects = self.liveness.maintain_nodes(&mut self.directory, |node| links.reach(node), now);
        self.execute(effects, ctx);
        self.liveness.forget_unknown(&self.directory);
    }

    /// Answers lists, and continues the searches that are still wanted.
    fn maintain_searches(&mut self, now: Instant, ctx: &mut Context<Self>) {
        self.answer_lists(ctx);
        for name in self.searches.give_up_old(now) {
            self.query_rounds.end(question_for(&self.config.mesh, &name));
        }
        if self.searches.is_unfound_for_long(now) {
            self.start_monitoring(ctx);
        }
        let is_monitoring = self.liveness.is_monitoring();
        let watched = self.watchers.filters().map(|filter| question(&self.config.mesh, filter));
        let watched: Vec<Question> = watched.collect();
        self.query_rounds.retain_repeated(|question| {
            (question == Question::All && is_monitoring) || watched.contains(&question)
        });
    }

    /// Announces, listens and queries on the current interfaces.
    pub(super) fn use_interfaces(&mut self, ctx: &mut Context<Self>) {
        if !self.config.network.has_multicast() {
            return;
        }
        let nics = InterfaceTable::of(self.own_interfaces.connected());
        self.announced_services.use_nics(&nics);
        if self.multicast.listen(nics, &ctx.address().recipient(), clock::now()) {
            self.ask_missed(ctx);
        }
    }

    /// Queries everything that is watched or sought, after a time in which announcements could not be received.
    fn ask_missed(&mut self, ctx: &mut Context<Self>) {
        let mesh = &self.config.mesh;
        let sought = self.searches.unfound().map(|name| question_for(mesh, name));
        let watched = self.watchers.filters().map(|filter| question(mesh, filter));
        let all = self.liveness.is_monitoring().then_some(Question::All);
        let questions: Vec<Effect> = sought.chain(watched).chain(all).map(Effect::Ask).collect();
        self.execute(questions, ctx);
    }

    /// Judges an instance that could not be reached.
    fn judge(&mut self, instance: InstanceId, verdict: Verdict, ctx: &mut Context<Self>) {
        let now = clock::now();
        let evidence = self.evidence(now);
        let candidate = self.directory.candidate(instance);
        let may_say_goodbye =
            candidate.is_some_and(|instance| evidence.may_withdraw(&instance, &self.dial_history));
        self.execute([judge(instance, verdict, may_say_goodbye, now)], ctx);
    }
}
