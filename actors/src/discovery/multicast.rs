//! The multicast sockets of a node: opened and closed as interfaces come and go, read by one task each.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::advert::Advert;
use meshzero_proto::diagnosis::{MulticastObservations, SendError};
use meshzero_proto::directory::{Changes, Source};
use meshzero_proto::id::InstanceId;
use meshzero_proto::query::{Asked, Replied, Replies};
use tokio::task::JoinHandle;

use super::Discovery;
use crate::clock;
use crate::few::few;
use crate::mdns::channel::{Channel, Use};
use crate::mdns::nics::Nics;
use crate::socket::{Family, MDNS_PORT};

/// The most datagrams of one socket that travel to the actor in one message.
const BATCH: usize = 64;
/// Incomplete records are dropped after this time.
const FORGET: Duration = Duration::from_secs(5);
/// This node's own multicast is heard back within this time, if at all.
const ECHO: Duration = Duration::from_millis(200);
/// How many different errors are remembered.
const MOST_ERRORS: usize = 32;
/// How long replies to a one-shot question are waited for.
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
    /// The reason why some interfaces are not listened on, as it was last logged.
    trouble: Option<String>,
    seen: MulticastObservations,
    /// The time of the first question to other hosts, by family.
    sent_at: [Option<Instant>; 2],
}

/// One socket, until it is dropped.
struct Open {
    nic: String,
    family: Family,
    channel: Rc<Channel>,
    reading: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// The messages that one socket has received.
#[derive(Message)]
#[rtype(result = "()")]
struct Heard {
    purpose: Use,
    adverts: Vec<(IpAddr, Advert)>,
    gone: Vec<InstanceId>,
    asked: Vec<Asked>,
    /// The hosts that it comes from.
    hosts: Vec<IpAddr>,
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

    /// Sends questions on every interface; `message` makes one of at most so many bytes.
    pub(super) fn ask(&mut self, purpose: Use, mut message: impl FnMut(usize) -> Vec<u8>) {
        let channels = match purpose {
            Use::OneShot => &self.one_shot,
            Use::Multicast => &self.listening,
        };
        for Open { nic, family, channel, .. } in channels {
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
                    note_error(&mut self.seen.send_errors, nic, &error);
                }
            }
        }
    }

    /// Closes the sockets for one-shot questions if nothing has been asked for a while.
    pub(super) fn close_idle(&mut self, now: Instant) {
        if self.one_shot_at.is_some_and(|at| now.saturating_duration_since(at) >= LAST_REPLIES) {
            self.one_shot.clear();
            self.one_shot_at = None;
        }
    }
}

impl Discovery {
    /// Listens on the current interfaces. Returns whether one of them was not listened on before.
    pub(super) fn open_multicast(&mut self, nics: Nics, ctx: &mut Context<Self>) -> bool {
        let multicast = &mut self.multicast;
        if nics != multicast.nics {
            // They may have other addresses.
            multicast.one_shot.clear();
            if !nics.left_out.is_empty() && !multicast.has_told_left_out {
                multicast.has_told_left_out = true;
                tracing::warn!("{}", left_out(&nics.left_out));
            }
            multicast.nics = nics;
        }
        let (nics, mut before) = (&multicast.nics, std::mem::take(&mut multicast.listening));
        let mut news = false;
        let mut in_use = false;
        let mut trouble = None;
        for nic in &nics.used {
            for family in nic.families() {
                let same = |open: &Open| {
                    let zone = nic.index.unwrap_or(0);
                    open.nic == nic.name && open.family == family && open.channel.zone() == zone
                };
                let open = match before.iter().position(|open| same(open) && !open.reading.is_finished()) {
                    Some(at) => Ok(before.swap_remove(at)),
                    None => Channel::open(nic, family, Use::Multicast).map(|channel| {
                        news = true;
                        begin(nic.name.clone(), family, channel, Use::Multicast, ctx.address())
                    }),
                };
                match open {
                    Ok(open) => multicast.listening.push(open),
                    // Services cannot be announced either, and the announcer logs that.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => in_use = true,
                    Err(error) => trouble = Some(format!("{}: {error}", nic.name)),
                }
            }
        }
        multicast.seen.port_taken = Some(in_use);
        let is_logged_here = trouble.is_some();
        let trouble = trouble.or(in_use.then(|| "UDP port 5353 is in use".to_owned()));
        match (&multicast.trouble, &trouble) {
            (before, Some(now)) if is_logged_here && before.as_ref() != Some(now) => {
                tracing::warn!(problem = %now, "multicast DNS is not heard; retrying");
            }
            (Some(_), None) => tracing::info!("multicast DNS is heard again"),
            _ => {}
        }
        multicast.trouble = trouble;
        news
    }

    /// Opens the sockets for one-shot questions, if they are not.
    pub(super) fn open_one_shot(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let multicast = &mut self.multicast;
        multicast.one_shot_at = Some(now);
        if !multicast.one_shot.is_empty() {
            return;
        }
        for nic in &multicast.nics.used {
            let Some(family) = nic.family() else { continue };
            match Channel::open(nic, family, Use::OneShot) {
                Ok(channel) => {
                    let open = begin(nic.name.clone(), family, channel, Use::OneShot, ctx.address());
                    multicast.one_shot.push(open);
                }
                Err(error) => {
                    tracing::debug!(interface = nic.name, %error, "no question can be asked here");
                    note_error(&mut multicast.seen.send_errors, &nic.name, &error);
                }
            }
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
        let adverts = heard.adverts.iter().map(|(host, _)| host).filter(from_others).count() as u64;
        let seen = &mut self.multicast.seen;
        match heard.purpose {
            Use::OneShot => {
                seen.replies_by_unicast += adverts;
                if adverts > 0 {
                    self.asking.answered();
                }
            }
            Use::Multicast => {
                seen.heard_by_multicast += adverts;
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
        for asked in heard.asked {
            self.hear_question(&asked, now);
        }
        self.apply(changes, None, ctx);
    }
}

/// Takes note of a question that was not sent, once for each interface and kind.
fn note_error(errors: &mut Vec<SendError>, interface: &str, error: &io::Error) {
    let same = |known: &&mut SendError| known.interface == interface && known.kind == error.kind();
    if let Some(known) = errors.iter_mut().find(same) {
        known.count += 1;
    } else if errors.len() < MOST_ERRORS {
        let (interface, kind, code) = (interface.to_owned(), error.kind(), error.raw_os_error());
        errors.push(SendError { interface, kind, code, count: 1 });
    }
}

/// Which interfaces are left out, as a sentence.
fn left_out(names: &[String]) -> String {
    let (are, others) = if names.len() == 1 { ("is", "another") } else { ("are", "others") };
    let way_out = format!("to use {others}, set MESHZERO_INTERFACES");
    format!("there are too many network interfaces to use them all: {} {are} left out; {way_out}", few(names))
}

fn begin(nic: String, family: Family, channel: Channel, purpose: Use, discovery: Addr<Discovery>) -> Open {
    let channel = Rc::new(channel);
    let reading = actix_rt::spawn(read(Rc::clone(&channel), purpose, discovery));
    Open { nic, family, channel, reading }
}

/// Passes on what arrives at one socket, with at most one message to the actor under way.
async fn read(channel: Rc<Channel>, purpose: Use, discovery: Addr<Discovery>) {
    let mut replies = Replies::on_interface(channel.zone());
    let mut forgotten_at = clock::now();
    loop {
        let mut heard =
            Heard { purpose, adverts: Vec::new(), gone: Vec::new(), asked: Vec::new(), hosts: Vec::new() };
        let received = channel.receive(BATCH, |from, bytes| heard.take(from, bytes, &mut replies)).await;
        if let Err(error) = received {
            // The actor opens another when it looks after its interfaces again.
            return tracing::warn!(%channel, %error, "multicast DNS cannot be heard");
        }
        let now = clock::now();
        if now.saturating_duration_since(forgotten_at) >= FORGET {
            replies.forget_incomplete();
            forgotten_at = now;
        }
        // It fails as well when handling it panicked, and then the next may do better.
        if !heard.is_empty() && discovery.send(heard).await.is_err() && !discovery.connected() {
            return;
        }
    }
}

impl Heard {
    fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    fn take(&mut self, from: std::net::SocketAddr, bytes: &[u8], replies: &mut Replies) {
        let host = from.ip().to_canonical();
        let is_response = bytes.get(2).is_some_and(|flags| flags & 0x80 != 0);
        let problem = if is_response {
            replies.add(from, bytes).map(|Replied { adverts, gone, invalid }| {
                for (label, problem) in invalid {
                    tracing::debug!(%from, label, %problem, "an announcement is no advert");
                }
                if adverts.is_empty() && gone.is_empty() {
                    return;
                }
                self.note(host);
                self.adverts.extend(adverts.into_iter().map(|advert| (host, advert)));
                self.gone.extend(gone);
            })
        } else {
            Asked::parse(bytes).map(|asked| {
                if asked.questions.is_empty() {
                    return;
                }
                self.note(host);
                // From another port it is a one-shot question: only the asker gets the answers.
                if from.port() == MDNS_PORT {
                    self.asked.push(asked);
                }
            })
        };
        if let Err(problem) = problem {
            tracing::debug!(%from, %problem, "not a message of mDNS");
        }
    }

    fn note(&mut self, host: IpAddr) {
        if !self.hosts.contains(&host) {
            self.hosts.push(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_interface_is_left_out_and_many_are() {
        let names: Vec<String> = (0..6).map(|n| format!("br-{n}")).collect();
        assert!(
            left_out(&names[..1]).contains("br-0 is left out; to use another"),
            "{}",
            left_out(&names[..1])
        );
        let many = left_out(&names);
        assert!(many.contains("br-0, br-1, br-2, br-3 and 2 more are left out; to use others"), "{many}");
    }
}
