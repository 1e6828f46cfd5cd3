//! Asking the network: the rounds of the one-shot question, while somebody looks for what is not known.

use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::advert::Advert;
use meshzero_proto::directory::{Changes, Source};
use tokio::sync::Notify;
use tokio::time;

use super::Discovery;
use crate::interfaces::Interfaces;
use crate::query::{Query, ROUNDS_MS};

/// Questions this close together are one.
const SAME_QUESTION: Duration = Duration::from_millis(50);
/// How long replies are waited for after the last round.
const LAST_REPLIES: Duration = Duration::from_secs(1);
/// The later rounds, in milliseconds, as long as something is sought.
const LATER_MS: [u64; 3] = [1_200, 2_400, 4_800];

/// The question that is being asked, if one is.
#[derive(Default)]
pub(super) struct Asking {
    again: Rc<Notify>,
    running: bool,
    begun: Option<Instant>,
}

/// Replies to the question.
#[derive(Message)]
#[rtype(result = "Wanted")]
struct Replied(Vec<Advert>);

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
    /// Begins the rounds, or begins them again.
    pub(super) fn ask_around(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        if self.asking.begun.is_some_and(|begun| now.duration_since(begun) < SAME_QUESTION) {
            return;
        }
        self.asking.begun = Some(now);
        if self.asking.running {
            self.asking.again.notify_one();
            return;
        }
        self.asking.running = true;
        let rounds = rounds(self.config.interfaces.clone(), self.asking.again.clone(), ctx.address());
        actix_rt::spawn(rounds);
    }
}

impl Handler<Replied> for Discovery {
    type Result = Wanted;

    fn handle(&mut self, Replied(adverts): Replied, ctx: &mut Self::Context) -> Wanted {
        let now = Instant::now();
        let mut changes = Changes::default();
        for advert in adverts {
            changes.append(self.directory.hear(advert, Source::Reply, now));
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
            self.ask_around(ctx);
        }
    }
}

async fn rounds(interfaces: Interfaces, again: Rc<Notify>, discovery: Addr<Discovery>) {
    match Query::open(&interfaces) {
        Ok(query) => ask_in_rounds(query, &again, &discovery).await,
        Err(error) => {
            tracing::warn!(%error, "the network cannot be asked");
            time::sleep(LAST_REPLIES).await;
        }
    }
    // The actor may have gone meanwhile, and with it the wish.
    discovery.send(Done).await.ok();
}

async fn ask_in_rounds(mut query: Query, again: &Notify, discovery: &Addr<Discovery>) {
    let at = |ms: u64, begun: time::Instant| begun + Duration::from_millis(ms);
    'question: loop {
        let begun = time::Instant::now();
        let mut later = ROUNDS_MS.into_iter().chain(LATER_MS).skip(1).peekable();
        query.ask();
        let mut end = at(ROUNDS_MS[ROUNDS_MS.len() - 1], begun) + LAST_REPLIES;
        loop {
            let next = later.peek().map_or(end, |ms| at(*ms, begun));
            tokio::select! {
                biased;
                adverts = query.heard() => {
                    if discovery.send(Replied(adverts)).await.is_err() {
                        return;
                    }
                }
                () = again.notified() => continue 'question,
                () = time::sleep_until(next.min(end)) => {
                    let Some(ms) = later.next() else { return };
                    if ms > ROUNDS_MS[ROUNDS_MS.len() - 1] {
                        match discovery.send(Replied(Vec::new())).await {
                            Ok(Wanted::Yes) => end = at(ms, begun) + LAST_REPLIES,
                            Ok(Wanted::No) | Err(_) => return,
                        }
                    }
                    query.ask();
                }
            }
        }
    }
}
