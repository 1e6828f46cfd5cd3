//! Handlers of messages to the discovery actor from its sockets, links and attempts. Each calls the part that it concerns.

use actix::prelude::*;
use meshzero_proto::discovery::directory::{AdvertSource, Changes};
use meshzero_proto::wire::hello::Purpose;

use crate::discovery::PeerConnection;
use crate::discovery::effect::Effect;
use crate::discovery::interest::Interest;
use crate::discovery::liveness::verification::EndpointProbed;
use crate::discovery::mdns::channel::SocketPurpose;
use crate::discovery::peers::address_verification::AddressTried;
use crate::discovery::peers::dial::DialFailed;
use crate::discovery::peers::link::{
    PeerConnected, PeerLinkEnd, PeerLinkEnded, PeerLinkOrigin, PeerUpdateReceived, ends, run_peer_link,
};
use crate::discovery::peers::static_peers::PeerStatus;
use crate::discovery::probe::Verdict;
use crate::discovery::{Discovery, multicast};
use crate::net::socket::PROBES;
use crate::runtime::clock;

impl Handler<multicast::ReceivedMessages> for Discovery {
    type Result = ();

    fn handle(&mut self, received: multicast::ReceivedMessages, ctx: &mut Self::Context) {
        let now = clock::now();
        match self.multicast.count(&received, self.own_interfaces.connected()) {
            Some(multicast::OtherHosts::Replied) => self.query_rounds.record_direct_reply(),
            Some(multicast::OtherHosts::Announced) => self.query_rounds.record_others(),
            None => {}
        }
        let mut changes = Changes::default();
        for (host, advert) in received.adverts {
            changes.append(match received.purpose {
                _ if advert.leaving => self.handle_goodbye(advert.instance, now),
                SocketPurpose::OneShot => self.directory.add_advert(advert, AdvertSource::Reply(host), now),
                SocketPurpose::Multicast => {
                    self.dial_history.record_announcement(advert.instance);
                    self.directory.add_advert(advert, AdvertSource::Mdns, now)
                }
            });
        }
        for instance in received.gone {
            changes.append(self.handle_goodbye(instance, now));
        }
        for (from, questions) in received.questions {
            // A program that asks on loopback may not ask anywhere else.
            if !(from.is_loopback() && self.multicast.leads_out()) {
                self.query_rounds.record_foreign_questions(from, &questions, &self.directory, now);
            }
        }
        self.apply(changes, None, ctx);
    }
}

impl Handler<PeerConnection> for Discovery {
    type Result = ();

    fn handle(&mut self, PeerConnection { connection, hello }: PeerConnection, ctx: &mut Self::Context) {
        let Purpose::Peer { hand_on: forwards } = hello.purpose else { return };
        let Ok(from) = connection.peer_addr() else {
            return tracing::debug!("a peer left before it was received");
        };
        let ends = ends(&connection, from);
        let discovery = ctx.address();
        actix_rt::spawn(async move {
            run_peer_link(
                &discovery,
                connection,
                PeerConnected { node: hello.node, ends, origin: PeerLinkOrigin::Accepted, forwards },
            )
            .await;
        });
    }
}

impl Handler<PeerConnected> for Discovery {
    type Result = MessageResult<PeerConnected>;

    fn handle(&mut self, connected: PeerConnected, ctx: &mut Self::Context) -> Self::Result {
        let now = clock::now();
        if connected.node == self.node {
            return MessageResult(None);
        }
        let Some(admitted) = self.links.admit(&connected, self.config.limits.keep_alive, now) else {
            return MessageResult(None);
        };
        let PeerConnected { node, origin, forwards, .. } = connected;
        self.liveness.linked(node);
        let (links, view) = self.peer_view();
        links.send_all(admitted.link, view);
        self.try_all_for_peers(Some(admitted.link), ctx);
        if forwards && matches!(origin, PeerLinkOrigin::Accepted) {
            let tries = self.address_verification.ask_for_all(now);
            self.execute(tries, ctx);
        }
        if let PeerLinkOrigin::Dialled { instance, address } = origin {
            let changes = self.directory.record_proof(instance, address, now);
            self.apply(changes, Some(admitted.link), ctx);
        }
        MessageResult(Some(admitted))
    }
}

impl Handler<PeerUpdateReceived> for Discovery {
    type Result = ();

    fn handle(&mut self, received: PeerUpdateReceived, ctx: &mut Self::Context) {
        let link = received.link;
        let interest =
            Interest { liveness: &self.liveness, watchers: &self.watchers, searches: &self.searches };
        let is_interesting = |directory: &_, instance| interest.includes(instance, directory);
        let (directory, own) = (&mut self.directory, &self.host_addresses);
        let changes = self.links.receive_update(received, directory, own, is_interesting, clock::now());
        self.apply(changes, Some(link), ctx);
    }
}

impl Handler<PeerLinkEnded> for Discovery {
    type Result = ();

    fn handle(&mut self, PeerLinkEnded { link, end }: PeerLinkEnded, ctx: &mut Self::Context) {
        let now = clock::now();
        let Some(ended) = self.links.remove(link) else { return };
        let node = ended.node;
        if self.links.reach(node) {
            return;
        }
        self.liveness.unlinked(node, now - ended.since);
        let silence = self.config.limits.keep_alive.saturating_mul(PROBES + 1);
        if end == PeerLinkEnd::HostSilent && !self.evidence(now).has_left_address(node, ended.other, silence)
        {
            // The system has probed for ten seconds: there is no need to wait for another attempt.
            self.execute([Effect::GiveUp(node, Verdict::Unreachable)], ctx);
        }
        let next = self.liveness.lost(node, &self.directory);
        self.execute([next], ctx);
    }
}

impl Handler<DialFailed> for Discovery {
    type Result = ();

    fn handle(&mut self, failed: DialFailed, ctx: &mut Self::Context) {
        let now = clock::now();
        let node = failed.node;
        let evidence = self.evidence(now);
        let may_say_goodbye = self
            .directory
            .of_node(node)
            .iter()
            .any(|instance| evidence.may_withdraw(instance, &self.dial_history));
        let is_linked = self.links.reach(node);
        let next = self.liveness.dial_failed(failed, is_linked, may_say_goodbye, now);
        self.execute(next, ctx);
    }
}

impl Handler<EndpointProbed> for Discovery {
    type Result = ();

    fn handle(&mut self, EndpointProbed { instance, outcome }: EndpointProbed, ctx: &mut Self::Context) {
        self.probes.end(instance);
        match outcome {
            Ok(address) => {
                let changes = self.directory.record_proof(instance, address, clock::now());
                self.apply(changes, None, ctx);
            }
            Err(verdict) => self.judge(instance, verdict, ctx),
        }
    }
}

impl Handler<AddressTried> for Discovery {
    type Result = ();

    fn handle(&mut self, tried: AddressTried, _: &mut Self::Context) {
        let AddressTried { instance, address, .. } = tried;
        if !self.address_verification.end(tried, clock::now()) {
            return;
        }
        let shown = self.directory.candidate(instance).filter(|_| self.directory.is_shown(instance));
        if let Some(shown) = shown {
            let (links, view) = self.peer_view();
            links.send_address(&shown, address, view);
        }
    }
}

impl Handler<PeerStatus> for Discovery {
    type Result = ();

    fn handle(&mut self, status: PeerStatus, _: &mut Self::Context) {
        self.static_peers.update(status);
    }
}
