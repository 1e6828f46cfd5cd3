//! The multicast sockets of a node: opened and closed as interfaces come and go, read by one task each.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::advert::Advert;
use meshzero_proto::diagnosis::{MulticastObservations, SendError};
use meshzero_proto::directory::{Changes, Source};
use meshzero_proto::id::InstanceId;
use meshzero_proto::query::{Asked, Families, InFamily, Replied, Replies};
use tokio::task::JoinHandle;

use super::Discovery;
use super::socket_faults::{SocketFaults, SocketKey, Word};
use crate::clock;
use crate::mdns::channel::{Channel, Use};
use crate::mdns::nics::{Nic, Nics};
use crate::socket::{self, Family, MDNS_PORT};

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
    faults: SocketFaults,
    seen: MulticastObservations,
    /// The time of the first question to other hosts, by family.
    sent_at: [Option<Instant>; 2],
}

/// One socket, until it is dropped.
struct Open {
    nic: String,
    family: Family,
    /// The interface has no other family.
    is_only: bool,
    channel: Rc<Channel>,
    opened: Instant,
    /// Ends with what is wrong with the socket.
    reading: JoinHandle<Option<io::Error>>,
}

impl Open {
    fn key(&self, purpose: Use) -> SocketKey {
        key(&self.nic, self.family, purpose)
    }

    fn in_family(&self) -> InFamily {
        InFamily { is_ipv4: self.family != Family::V6, is_only: self.is_only }
    }

    /// What is wrong with the socket, if it is read no longer.
    fn problem(&mut self) -> Option<String> {
        let ended = Pin::new(&mut self.reading).poll(&mut TaskContext::from_waker(Waker::noop()));
        let Poll::Ready(ended) = ended else { return None };
        let problem = ended.map(|error| error.map(|error| error.to_string()));
        Some(problem.ok().flatten().unwrap_or_else(|| "its reader has ended".to_owned()))
    }
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
    asked: Vec<(IpAddr, Asked)>,
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

    /// Returns whether questions go to other hosts.
    pub(super) fn leads_out(&self) -> bool {
        self.listening.iter().chain(&self.one_shot).any(|open| !open.channel.is_loopback())
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
    /// Listens on the current interfaces. Returns whether one of them was not listened on before, or not for a while.
    pub(super) fn open_multicast(&mut self, nics: Nics, ctx: &mut Context<Self>) -> bool {
        let now = clock::now();
        let multicast = &mut self.multicast;
        if nics != multicast.nics {
            // They may have other addresses.
            multicast.one_shot.clear();
            if !nics.left_out.is_empty() && !multicast.has_told_left_out {
                multicast.has_told_left_out = true;
                tracing::warn!(
                    "there are too many network interfaces to use them all: {} is left out; \
                     to use others, name them in MESHZERO_INTERFACES",
                    some_of(&nics.left_out)
                );
            }
            multicast.nics = nics;
        }
        let nics = multicast.nics.used.clone();
        multicast.faults.retain(|name| nics.iter().any(|nic| nic.name == name));
        let mut before = std::mem::take(&mut multicast.listening);
        let (mut news, mut in_use) = (false, false);
        for (nic, family, is_only) in sockets_of(&nics) {
            let key = key(&nic.name, family, Use::Multicast);
            let zone = nic.index.unwrap_or(0);
            let same =
                |open: &Open| open.nic == nic.name && open.family == family && open.channel.zone() == zone;
            if let Some(at) = before.iter().position(same) {
                let mut open = before.swap_remove(at);
                match open.problem() {
                    None => {
                        open.is_only = is_only;
                        news |= multicast.has_recovered(&key, open.opened, now);
                        multicast.listening.push(open);
                        continue;
                    }
                    Some(problem) => {
                        let word = multicast.faults.failed(key.clone(), open.opened, problem.clone(), now);
                        warn(word, &open.channel.to_string(), &problem);
                    }
                }
            }
            if !multicast.faults.may_open(&key, now) {
                continue;
            }
            match Channel::open(nic, family, Use::Multicast) {
                Ok(channel) => {
                    // One that failed before may fail again: what was missed is asked for when it works.
                    news |= !multicast.faults.is_down(&key);
                    let open =
                        begin(nic.name.clone(), family, is_only, channel, Use::Multicast, ctx.address());
                    multicast.listening.push(open);
                }
                // Services cannot be announced either, and the announcer logs that, and when it has passed.
                Err(error) if socket::is_port_held(&error) => in_use = true,
                Err(error) => {
                    let problem = error.to_string();
                    warn(multicast.faults.refused(key, problem.clone(), now), &nic.name, &problem);
                }
            }
        }
        multicast.seen.port_taken = Some(in_use);
        news
    }

    /// Opens the sockets for one-shot questions, if they are not.
    pub(super) fn open_one_shot(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let multicast = &mut self.multicast;
        multicast.one_shot_at = Some(now);
        let mut before = std::mem::take(&mut multicast.one_shot);
        for (nic, family, is_only) in sockets_of(&multicast.nics.used) {
            let key = key(&nic.name, family, Use::OneShot);
            if let Some(at) = before.iter().position(|open| open.key(Use::OneShot) == key) {
                let mut open = before.swap_remove(at);
                let Some(problem) = open.problem() else {
                    multicast.one_shot.push(open);
                    continue;
                };
                let word = multicast.faults.failed(key.clone(), open.opened, problem.clone(), now);
                warn(word, &open.channel.to_string(), &problem);
            }
            if !multicast.faults.may_open(&key, now) {
                continue;
            }
            match Channel::open(nic, family, Use::OneShot) {
                Ok(channel) => {
                    let open = begin(nic.name.clone(), family, is_only, channel, Use::OneShot, ctx.address());
                    multicast.one_shot.push(open);
                }
                Err(error) => {
                    tracing::debug!(interface = nic.name, %error, "no question can be asked here");
                    if Families::First.include(InFamily { is_ipv4: family != Family::V6, is_only }) {
                        note_error(&mut multicast.seen.send_errors, &nic.name, &error);
                    }
                }
            }
        }
    }
}

impl Multicast {
    /// Returns whether a socket that failed before works by now, and logs it if the failure was logged.
    fn has_recovered(&mut self, key: &SocketKey, opened: Instant, now: Instant) -> bool {
        let word = self.faults.lasts(key, opened, now);
        if word == Some(Word::Say) {
            tracing::warn!(interface = key.0, "multicast DNS is heard again");
        }
        word.is_some()
    }
}

/// The sockets for these interfaces: each with its interface and family, and whether that has no other one.
fn sockets_of(nics: &[Nic]) -> impl Iterator<Item = (&Nic, Family, bool)> {
    nics.iter().flat_map(|nic| {
        let is_only = nic.families().count() == 1;
        nic.families().map(move |family| (nic, family, is_only))
    })
}

fn key(nic: &str, family: Family, purpose: Use) -> SocketKey {
    (nic.to_owned(), family != Family::V6, purpose)
}

fn warn(word: Word, socket: &str, problem: &str) {
    match word {
        Word::Say => tracing::warn!(socket, problem, "multicast DNS is not heard; retrying"),
        Word::Nothing => tracing::debug!(socket, problem, "multicast DNS is still not heard"),
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

/// The first few of many names.
fn some_of(names: &[String]) -> String {
    const FEW: usize = 4;
    match names.len().checked_sub(FEW) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..FEW].join(", ")),
    }
}

fn begin(
    nic: String,
    family: Family,
    is_only: bool,
    channel: Channel,
    purpose: Use,
    discovery: Addr<Discovery>,
) -> Open {
    let channel = Rc::new(channel);
    let reading = actix_rt::spawn(read(Rc::clone(&channel), purpose, discovery));
    Open { nic, family, is_only, channel, opened: clock::now(), reading }
}

/// Passes on what arrives at one socket, with at most one message to the actor under way.
async fn read(channel: Rc<Channel>, purpose: Use, discovery: Addr<Discovery>) -> Option<io::Error> {
    let mut replies = Replies::on_interface(channel.zone());
    let mut forgotten_at = clock::now();
    loop {
        let mut heard =
            Heard { purpose, adverts: Vec::new(), gone: Vec::new(), asked: Vec::new(), hosts: Vec::new() };
        let received = channel.receive(BATCH, |from, bytes| heard.take(from, bytes, &mut replies)).await;
        if let Err(error) = received {
            // The actor opens another when it looks after its interfaces again.
            return Some(error);
        }
        let now = clock::now();
        if now.saturating_duration_since(forgotten_at) >= FORGET {
            replies.forget_incomplete();
            forgotten_at = now;
        }
        // It fails as well when handling it panicked, and then the next may do better.
        if !heard.is_empty() && discovery.send(heard).await.is_err() && !discovery.connected() {
            return None;
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
                    self.asked.push((host, asked));
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
