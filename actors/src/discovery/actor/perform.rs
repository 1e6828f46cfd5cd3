//! Execution of effects: directory changes, queries, dials, probes and timers.

use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::discovery::directory::AdvertSource;
use meshzero_proto::discovery::query::{QueryMode, Question};
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::wire::hello::Purpose;

use crate::discovery::Discovery;
use crate::discovery::effect::{Effect, Timer};
use crate::discovery::liveness::nodes::endpoints;
use crate::discovery::liveness::verification::{EndpointProbe, conclude};
use crate::discovery::mdns::channel::SocketPurpose;
use crate::discovery::peers::address_verification::Attempt;
use crate::discovery::peers::dial::PeerDial;
use crate::discovery::probe::Verdict;
use crate::discovery::search::query::{Round, known_answers};
use crate::runtime::clock;

impl Discovery {
    /// Executes effects, in order.
    pub(crate) fn execute(&mut self, effects: impl IntoIterator<Item = Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            self.perform(effect, ctx);
        }
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        let now = clock::now();
        match effect {
            Effect::Ask(question) => {
                if self.config.network.has_multicast() {
                    self.query_rounds.begin(question, now);
                    self.ask_due(ctx);
                }
            }
            Effect::Repeat(question) => {
                if self.config.network.has_multicast() {
                    self.query_rounds.repeat(question, now);
                    let timer = self.query_rounds.plan();
                    self.execute(timer, ctx);
                }
            }
            Effect::SendQuestionsAt(at) => {
                if let Some(timer) = self.question_timer.take() {
                    ctx.cancel_future(timer);
                }
                self.question_timer = at.map(|at| {
                    ctx.run_later(at.saturating_duration_since(clock::now()), |this, ctx| {
                        this.question_timer = None;
                        this.query_rounds.forget_plan();
                        this.ask_due(ctx);
                    })
                });
            }
            Effect::Offer(advert) => {
                let changes = self.directory.add_advert(advert, AdvertSource::Local, now);
                self.apply(changes, None, ctx);
            }
            Effect::Connect { node, after } => self.connect(node, after, ctx),
            Effect::Probe(instance) => self.probe(instance, ctx),
            Effect::Conclude(instance, verdict) => {
                let is_vouched_for = self.evidence(now).is_vouched_for(instance);
                if let Some(reason) = conclude(verdict, is_vouched_for) {
                    let reason = self.dial_history.down_reason_or(instance, reason);
                    self.perform(Effect::Remove(instance, reason), ctx);
                }
            }
            Effect::Remove(instance, reason) => {
                let changes = self.directory.remove_instance(instance, reason, now);
                self.apply(changes, None, ctx);
            }
            Effect::GiveUp(node, verdict) => {
                let reason = self.liveness.give_up(node, verdict);
                let history = &self.dial_history;
                let reason = |instance| history.down_reason_or(instance, reason);
                let mut changes = self.directory.remove_node(node, reason, now);
                changes.append(self.directory.remove_peer(node, now));
                self.apply(changes, None, ctx);
            }
            Effect::RemovePeer(node) => {
                let changes = self.directory.remove_peer(node, now);
                self.apply(changes, None, ctx);
            }
            Effect::TryAddress(instance, address) => {
                let attempt = Attempt {
                    network: self.config.network.clone(),
                    instance,
                    address,
                    hello: self.hello(Some(instance), Purpose::Probe),
                    slots: Rc::clone(&self.slots),
                };
                actix_rt::spawn(attempt.run(ctx.address().recipient()));
            }
            Effect::Schedule(after, timer) => {
                ctx.run_later(after, move |this, ctx| this.expired(timer, ctx));
            }
        }
    }

    fn expired(&mut self, timer: Timer, ctx: &mut Context<Self>) {
        let evidence = self.evidence(clock::now());
        let effect = match timer {
            Timer::CheckLists => {
                self.lists.forget_check();
                return self.answer_lists(ctx);
            }
            Timer::ProbeIfShown(instance) => {
                self.directory.is_shown(instance).then_some(Effect::Probe(instance))
            }
            Timer::ConcludeDead { instance, judged } => {
                let lives = evidence.is_vouched_for(instance) || evidence.is_proved_since(instance, judged);
                (!lives).then_some(Effect::Conclude(instance, Verdict::Dead))
            }
            Timer::GiveUpDead { node, judged } => {
                // Another dial may be under way.
                let may_live = self.liveness.is_dialling(node) || evidence.is_node_proved_since(node, judged);
                (!may_live).then_some(Effect::GiveUp(node, Verdict::Dead))
            }
        };
        self.execute(effect, ctx);
    }

    /// Sends the questions that are due.
    pub(crate) fn ask_due(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        let known = self.known_answers(&[Question::All], now).len();
        for Round { mode, families, questions } in self.query_rounds.due(known, now) {
            let purpose = match mode {
                QueryMode::OneShot => SocketPurpose::OneShot,
                QueryMode::Ordinary => SocketPurpose::Multicast,
            };
            if purpose == SocketPurpose::OneShot {
                self.multicast.open_one_shot(&ctx.address().recipient(), now);
            }
            let known = self.known_answers(&questions, now);
            self.multicast.ask(purpose, families, &questions, &known);
        }
        let timer = self.query_rounds.plan();
        self.execute(timer, ctx);
    }

    fn known_answers(&self, questions: &[Question], now: Instant) -> Vec<InstanceId> {
        let evidence = self.evidence(now);
        known_answers(questions, &self.config.mesh, &self.directory, |instance| evidence.is_alive(instance))
    }

    /// Starts to monitor all nodes, see
    /// [`Liveness::start_monitoring`](crate::discovery::liveness::nodes::Liveness::start_monitoring).
    pub(crate) fn start_monitoring(&mut self, ctx: &mut Context<Self>) {
        let effects = self.liveness.start_monitoring(&self.directory, clock::now());
        self.execute(effects, ctx);
    }

    /// Connects to a node, unless it is connected.
    fn connect(&mut self, node: NodeId, after: Duration, ctx: &mut Context<Self>) {
        if node == self.node || self.links.reach(node) {
            return;
        }
        let Some(permit) = self.liveness.begin_dial(node, clock::now()) else { return };
        let endpoints = endpoints(node, &self.directory).into_iter().map(|endpoint| {
            let answered = self.directory.answered(endpoint.id);
            self.dial_history.prepare_dial(endpoint, answered)
        });
        let dial = PeerDial {
            network: self.config.network.clone(),
            node,
            endpoints: endpoints.collect(),
            hello: self.hello(None, Purpose::Peer { hand_on: false }),
            permit,
            slots: Rc::clone(&self.slots),
        };
        actix_rt::spawn(dial.run(after, ctx.address()));
    }

    /// Probes the endpoint of an instance.
    fn probe(&mut self, instance: InstanceId, ctx: &mut Context<Self>) {
        let Some(candidate) = self.directory.candidate(instance) else { return };
        if !self.probes.begin(&candidate) {
            return;
        }
        let (record, target) = self.dial_history.prepare_dial(candidate, self.directory.answered(instance));
        let probe = EndpointProbe {
            network: self.config.network.clone(),
            target,
            record,
            hello: self.hello(Some(instance), Purpose::Probe),
            slots: Rc::clone(&self.slots),
        };
        actix_rt::spawn(probe.run(ctx.address().recipient()));
    }
}
