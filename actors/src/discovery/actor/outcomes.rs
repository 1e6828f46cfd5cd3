//! The messages to the discovery actor from its sockets, links and attempts. Each is dispatched to the part that it concerns.

use actix::prelude::*;
use meshzero_proto::discovery::directory::{Changes, Source};
use meshzero_proto::wire::hello::Purpose;

use crate::discovery::PeerArrived;
use crate::discovery::effect::Effect;
use crate::discovery::interest::Interest;
use crate::discovery::liveness::verification::Asked;
use crate::discovery::mdns::channel::Use;
use crate::discovery::peers::address_verification::Tried;
use crate::discovery::peers::dial::Undialled;
use crate::discovery::peers::link::{Ending, Heard, LinkEnded, Linked, Way, carry, ends};
use crate::discovery::peers::static_peers::Standing;
use crate::discovery::probe::Verdict;
use crate::discovery::{Discovery, multicast};
use crate::net::socket::PROBES;
use crate::runtime::clock;

impl Handler<multicast::Heard> for Discovery {
    type Result = ();

    fn handle(&mut self, heard: multicast::Heard, ctx: &mut Self::Context) {
        let now = clock::now();
        match self.multicast.count(&heard, self.own_interfaces.connected()) {
            Some(multicast::OtherHosts::Replied) => self.asking.answered(),
            Some(multicast::OtherHosts::Announced) => self.asking.heard_others(),
            None => {}
        }
        let mut changes = Changes::default();
        for (host, advert) in heard.adverts {
            changes.append(match heard.purpose {
                _ if advert.leaving => self.hear_goodbye(advert.instance, now),
                Use::OneShot => self.directory.hear(advert, Source::Reply(host), now),
                Use::Multicast => {
                    self.dialling.announced(advert.instance);
                    self.directory.hear(advert, Source::Mdns, now)
                }
            });
        }
        for instance in heard.gone {
            changes.append(self.hear_goodbye(instance, now));
        }
        for (from, asked) in heard.asked {
            // A program that asks on loopback may ask there only.
            if !(from.is_loopback() && self.multicast.leads_out()) {
                self.asking.hear(from, &asked, &self.directory, now);
            }
        }
        self.apply(changes, None, ctx);
    }
}

impl Handler<PeerArrived> for Discovery {
    type Result = ();

    fn handle(&mut self, PeerArrived { connection, hello }: PeerArrived, ctx: &mut Self::Context) {
        let Purpose::Peer { hand_on } = hello.purpose else { return };
        let Ok(from) = connection.peer_addr() else {
            return tracing::debug!("a peer left before it was received");
        };
        let ends = ends(&connection, from);
        let discovery = ctx.address();
        actix_rt::spawn(async move {
            carry(&discovery, connection, Linked { node: hello.node, ends, way: Way::Accepted, hand_on })
                .await;
        });
    }
}

impl Handler<Linked> for Discovery {
    type Result = MessageResult<Linked>;

    fn handle(&mut self, linked: Linked, ctx: &mut Self::Context) -> Self::Result {
        let now = clock::now();
        if linked.node == self.node {
            return MessageResult(None);
        }
        let Some(admitted) = self.links.admit(&linked, self.config.limits.keep_alive, now) else {
            return MessageResult(None);
        };
        let Linked { node, way, hand_on, .. } = linked;
        self.presence.linked(node);
        let (links, telling) = self.telling();
        links.tell_all(admitted.link, telling);
        self.try_all_for_peers(Some(admitted.link), ctx);
        if hand_on && matches!(way, Way::Accepted) {
            let asked = self.handing_on.ask_for_all(now);
            self.carry_out(asked, ctx);
        }
        if let Way::Dialled { instance, address } = way {
            let changes = self.directory.verified(instance, address, now);
            self.apply(changes, Some(admitted.link), ctx);
        }
        MessageResult(Some(admitted))
    }
}

impl Handler<Heard> for Discovery {
    type Result = ();

    fn handle(&mut self, heard: Heard, ctx: &mut Self::Context) {
        let link = heard.link;
        let interest =
            Interest { presence: &self.presence, watchers: &self.watchers, finding: &self.finding };
        let is_cared_about = |directory: &_, instance| interest.includes(instance, directory);
        let (directory, own) = (&mut self.directory, &self.host_addresses);
        let changes = self.links.hear(heard, directory, own, is_cared_about, clock::now());
        self.apply(changes, Some(link), ctx);
    }
}

impl Handler<LinkEnded> for Discovery {
    type Result = ();

    fn handle(&mut self, LinkEnded { link, ending }: LinkEnded, ctx: &mut Self::Context) {
        let now = clock::now();
        let Some(ended) = self.links.remove(link) else { return };
        let node = ended.node;
        if self.links.reach(node) {
            return;
        }
        self.presence.unlinked(node, now - ended.since);
        let silence = self.config.limits.keep_alive.saturating_mul(PROBES + 1);
        if ending == Ending::HostSilent && !self.evidence(now).has_left_address(node, ended.other, silence) {
            // The system has asked for ten seconds: no need to wait for another attempt.
            self.carry_out([Effect::GiveUp(node, Verdict::Unreachable)], ctx);
        }
        let next = self.presence.lost(node, &self.directory);
        self.carry_out([next], ctx);
    }
}

impl Handler<Undialled> for Discovery {
    type Result = ();

    fn handle(&mut self, undialled: Undialled, ctx: &mut Self::Context) {
        let now = clock::now();
        let node = undialled.node;
        let evidence = self.evidence(now);
        let may_say_goodbye =
            self.directory.of_node(node).iter().any(|known| evidence.may_say_goodbye(known, &self.dialling));
        let is_linked = self.links.reach(node);
        let next = self.presence.undialled(undialled, is_linked, may_say_goodbye, now);
        self.carry_out(next, ctx);
    }
}

impl Handler<Asked> for Discovery {
    type Result = ();

    fn handle(&mut self, Asked { instance, outcome }: Asked, ctx: &mut Self::Context) {
        self.probes.end(instance);
        match outcome {
            Ok(address) => {
                let changes = self.directory.verified(instance, address, clock::now());
                self.apply(changes, None, ctx);
            }
            Err(verdict) => self.judge(instance, verdict, ctx),
        }
    }
}

impl Handler<Tried> for Discovery {
    type Result = ();

    fn handle(&mut self, tried: Tried, _: &mut Self::Context) {
        let Tried { instance, address, .. } = tried;
        if !self.handing_on.end(tried, clock::now()) {
            return;
        }
        let known = self.directory.candidate(instance).filter(|_| self.directory.is_shown(instance));
        if let Some(known) = known {
            let (links, telling) = self.telling();
            links.tell_address(&known, address, telling);
        }
    }
}

impl Handler<Standing> for Discovery {
    type Result = ();

    fn handle(&mut self, standing: Standing, _: &mut Self::Context) {
        self.static_peers.update(standing);
    }
}
