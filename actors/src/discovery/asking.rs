//! Asking the network: the rounds of the one-shot question, while somebody looks for what is not known.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::advert::Advert;
use meshzero_proto::directory::{Changes, Source};
use tokio::sync::Notify;
use tokio::time;

use super::Discovery;
use crate::clock;
use crate::interfaces::Interfaces;
use crate::query::Query;

/// Questions this close together are one.
const SAME_QUESTION: Duration = Duration::from_millis(50);
/// When a name is asked for, in milliseconds after the first time. At 10 % loss one question in five goes unanswered.
const FOR_A_NAME_MS: [u64; 4] = [60, 150, 300, 600];
/// The later rounds, as long as the name is sought.
const LATER_MS: [u64; 3] = [1_200, 2_400, 4_800];
/// When it is asked what there is: seldom, because everybody answers with all that it has.
const FOR_ALL_MS: [u64; 2] = [150, 600];
/// How long replies are waited for after the last round.
const LAST_REPLIES: Duration = Duration::from_secs(1);

/// How often to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody waits for one name.
    Name,
    /// Somebody wants to know what there is.
    All,
    /// Only in case something was missed.
    Once,
}

/// The question that is being asked, if one is.
pub(super) struct Asking {
    again: Rc<Notify>,
    running: bool,
    begun: Option<Instant>,
    urgency: Rc<Cell<Urgency>>,
}

impl Default for Asking {
    fn default() -> Self {
        Self { again: Rc::default(), running: false, begun: None, urgency: Rc::new(Cell::new(Urgency::Once)) }
    }
}

/// Replies to the question.
#[derive(Message)]
#[rtype(result = "Wanted")]
struct Replied(Vec<(IpAddr, Advert)>);

/// Whether the rounds should go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, MessageResponse)]
pub(super) enum Wanted {
    Yes,
    No,
}

/// The rounds are over.
#[derive(Message)]
#[rtype(result = "()")]
struct Done;

impl Discovery {
    /// Begins the rounds, or begins them again, where anybody can hear the question.
    pub(super) fn ask_around(&mut self, urgency: Urgency, ctx: &mut Context<Self>) {
        if !self.config.network.has_multicast() {
            return;
        }
        let now = clock::now();
        let just_now = self.asking.begun.is_some_and(|begun| now.duration_since(begun) < SAME_QUESTION);
        // The rounds for one name serve everybody else as well.
        let same = self.asking.urgency.get() == Urgency::Name || self.asking.urgency.get() == urgency;
        if just_now && same {
            return;
        }
        self.asking.urgency.set(if self.is_seeking() { Urgency::Name } else { urgency });
        self.asking.begun = Some(now);
        if self.asking.running {
            self.asking.again.notify_one();
            return;
        }
        self.asking.running = true;
        let wish = (self.asking.again.clone(), self.asking.urgency.clone());
        actix_rt::spawn(rounds(self.config.interfaces.clone(), wish, ctx.address()));
    }
}

impl Handler<Replied> for Discovery {
    type Result = Wanted;

    fn handle(&mut self, Replied(adverts): Replied, ctx: &mut Self::Context) -> Wanted {
        let now = clock::now();
        let mut changes = Changes::default();
        for (host, advert) in adverts {
            changes.append(self.hear(advert, Source::Reply(host), now));
        }
        self.apply(changes, None, ctx);
        if self.is_seeking() { Wanted::Yes } else { Wanted::No }
    }
}

impl Handler<Done> for Discovery {
    type Result = ();

    fn handle(&mut self, Done: Done, ctx: &mut Self::Context) {
        self.asking.running = false;
        if self.is_seeking() {
            self.ask_around(Urgency::Name, ctx);
        }
    }
}

async fn rounds(interfaces: Interfaces, wish: (Rc<Notify>, Rc<Cell<Urgency>>), discovery: Addr<Discovery>) {
    match Query::open(&interfaces) {
        Ok(query) => ask_in_rounds(query, &wish.0, &wish.1, &discovery).await,
        Err(error) => {
            tracing::warn!(%error, "the network cannot be asked");
            time::sleep(LAST_REPLIES).await;
        }
    }
    // The actor may have gone meanwhile, and with it the wish.
    discovery.send(Done).await.ok();
}

async fn ask_in_rounds(
    mut query: Query,
    again: &Notify,
    urgency: &Cell<Urgency>,
    discovery: &Addr<Discovery>,
) {
    'question: loop {
        let begun = time::Instant::now();
        let (rounds, while_sought): (&[u64], &[u64]) = match urgency.get() {
            Urgency::Name => (&FOR_A_NAME_MS, &LATER_MS),
            Urgency::All => (&FOR_ALL_MS, &[]),
            Urgency::Once => (&[], &[]),
        };
        let mut rounds =
            rounds.iter().map(|ms| (ms, Wanted::Yes)).chain(while_sought.iter().map(|ms| (ms, Wanted::No)));
        query.ask();
        let mut next = rounds.next();
        let mut last = begun;
        loop {
            let at = next.map_or(last + LAST_REPLIES, |(ms, _)| begun + Duration::from_millis(*ms));
            tokio::select! {
                biased;
                adverts = query.heard() => {
                    if discovery.send(Replied(adverts)).await.is_err() {
                        return;
                    }
                }
                () = again.notified() => continue 'question,
                () = time::sleep_until(at) => {
                    let Some((_, anyway)) = next else { return };
                    let wanted = match anyway {
                        Wanted::Yes => Ok(Wanted::Yes),
                        Wanted::No => discovery.send(Replied(Vec::new())).await,
                    };
                    if wanted == Ok(Wanted::Yes) {
                        query.ask();
                        last = at;
                        next = rounds.next();
                    } else {
                        next = None;
                    }
                }
            }
        }
    }
}
