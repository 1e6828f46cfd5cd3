//! Questions and answers by multicast DNS: one task reads each of the sockets.

mod errors;
mod faults;
mod hearing;
mod sockets;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::diagnosis::MulticastObservations;
use meshzero_proto::directory::{Changes, Source};
use meshzero_proto::query::Families;

use super::Discovery;
use crate::clock;
use crate::mdns::channel::Use;
use crate::mdns::nics::{Nic, Nics};
use crate::socket::Family;
use errors::note_error;
use faults::SocketFaults;
use hearing::Heard;
use sockets::Open;

/// This node's own multicast is heard back within this time, if at all.
const ECHO: Duration = Duration::from_millis(200);
/// The time for which replies to a one-shot question are waited for.
const LAST_REPLIES: Duration = Duration::from_secs(1);

/// The sockets, and what has gone through them.
#[derive(Default)]
pub(super) struct Multicast {
    nics: Nics,
    has_told_left_out: bool,
    listening: Vec<Open>,
    /// Only while questions are asked.
    one_shot: Vec<Open>,
    one_shot_at: Option<Instant>,
    faults: SocketFaults,
    seen: MulticastObservations,
    /// The time of the first question to other hosts, by family.
    sent_at: [Option<Instant>; 2],
}

impl Multicast {
    /// The counts of what was asked and heard, for statistics and diagnosis.
    pub(super) fn observations(&self, now: Instant) -> MulticastObservations {
        let given_time =
            |sent: Option<Instant>| sent.is_some_and(|at| now.saturating_duration_since(at) >= ECHO);
        let mut seen = self.seen.clone();
        for (own_heard, sent) in
            [&mut seen.own_heard_v4, &mut seen.own_heard_v6].into_iter().zip(self.sent_at)
        {
            if own_heard.is_none() && given_time(sent) {
                *own_heard = Some(false);
            }
        }
        seen
    }

    /// Sends questions on every interface, in these families; `message` makes one of at most so many bytes.
    pub(super) fn ask(
        &mut self,
        purpose: Use,
        families: Families,
        mut message: impl FnMut(usize) -> Vec<u8>,
    ) {
        let channels = match purpose {
            Use::OneShot => &self.one_shot,
            Use::Multicast => &self.listening,
        };
        for open in channels.iter().filter(|open| families.include(open.in_family())) {
            let Open { nic, family, channel, .. } = open;
            match channel.ask(&message(channel.datagram_bytes())) {
                Ok(()) => {
                    match purpose {
                        Use::OneShot => self.seen.oneshot_questions += 1,
                        Use::Multicast => self.seen.ordinary_questions += 1,
                    }
                    if !channel.is_loopback() {
                        self.sent_at[usize::from(*family == Family::V6)].get_or_insert_with(clock::now);
                    }
                }
                Err(error) => {
                    tracing::debug!(%channel, %error, "a question was not sent");
                    // Where IPv4 works, it matters little that IPv6 does not.
                    if Families::First.include(open.in_family()) {
                        note_error(&mut self.seen.send_errors, nic, &error);
                    }
                }
            }
        }
    }

    /// The numbers of the interfaces by which questions go to other hosts.
    pub(super) fn zones_out(&self) -> Vec<u32> {
        self.nics_out().filter_map(|nic| nic.index).collect()
    }

    /// Returns whether questions go to other hosts.
    pub(super) fn leads_out(&self) -> bool {
        self.nics_out().next().is_some()
    }

    fn nics_out(&self) -> impl Iterator<Item = &Nic> {
        self.nics.used.iter().filter(|nic| !nic.is_loopback)
    }

    /// Closes the sockets for one-shot questions if nothing has been asked for a while.
    pub(super) fn close_idle(&mut self, now: Instant) {
        if self.one_shot_at.is_some_and(|at| now.saturating_duration_since(at) >= LAST_REPLIES) {
            self.one_shot.clear();
            self.one_shot_at = None;
        }
    }
}

impl Handler<Heard> for Discovery {
    type Result = ();

    fn handle(&mut self, heard: Heard, ctx: &mut Self::Context) {
        let now = clock::now();
        let own = self.own_interfaces.connected();
        let is_own = |host: &IpAddr| own.iter().any(|own| own.address.ip == *host);
        let alone = own.iter().all(|own| own.address.ip.is_loopback());
        let from_others = |host: &&IpAddr| alone || !is_own(host);
        let hosts = || heard.adverts.iter().map(|(host, _)| host).filter(from_others);
        let adverts = hosts().count() as u64;
        // A firewall may be for IPv4 only, which nearly all hosts have.
        let has_ipv4 = self.multicast.nics_out().any(|nic| nic.v4.is_some());
        let in_first_family = hosts().any(|host| host.is_ipv4() || !has_ipv4);
        let seen = &mut self.multicast.seen;
        match heard.purpose {
            Use::OneShot => {
                seen.replies_by_unicast += adverts;
                if in_first_family {
                    self.asking.answered();
                }
            }
            Use::Multicast => {
                seen.heard_by_multicast += adverts;
                if adverts > 0 {
                    self.asking.heard_others();
                }
                for own in heard.hosts.iter().filter(|host| is_own(host) && !host.is_loopback()) {
                    let heard = if own.is_ipv4() { &mut seen.own_heard_v4 } else { &mut seen.own_heard_v6 };
                    *heard = Some(true);
                }
            }
        }
        let mut changes = Changes::default();
        for (host, advert) in heard.adverts {
            changes.append(match heard.purpose {
                _ if advert.leaving => self.hear_goodbye(advert.instance),
                Use::OneShot => self.hear(advert, Source::Reply(host), now),
                Use::Multicast => {
                    self.dialling.announced(advert.instance);
                    self.hear(advert, Source::Mdns, now)
                }
            });
        }
        for instance in heard.gone {
            changes.append(self.hear_goodbye(instance));
        }
        for (from, asked) in heard.asked {
            self.hear_question(from, &asked, now);
        }
        self.apply(changes, None, ctx);
    }
}
