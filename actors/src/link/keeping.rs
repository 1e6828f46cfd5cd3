//! Keeps one link: hands replies to their callers, watches deadlines and the other end, and lets the link go on over another
//! connection when one is lost.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use meshzero_proto::calls::CallId;
use meshzero_proto::frame::{self, Frames, Header, Kind};
use meshzero_proto::refusal::Refusal;
use meshzero_proto::stream::NotThere;
use tokio::time;

use super::{Ended, Link};
use crate::carry::{Carried, Conversation, Stop, Way, carry, keep_up};
use crate::connection::Connection;
use crate::inbound::Outcome;
use crate::incoming::{Incoming, IncomingError};
use crate::payload::Payload;
use crate::redial::{Doubt, Redial};
use crate::traffic::Carrying;

/// One link's task.
pub(super) struct Keeping {
    reading: Reading,
    watching: Watching,
}

/// What arrives.
struct Reading {
    link: Arc<Link>,
    incoming: Incoming,
}

/// Where connections come from, and whether the one of the moment is good for anything.
struct Watching {
    link: Arc<Link>,
    redial: Redial,
    /// Silence, while something is expected, after which the other host is looked for.
    patience: Duration,
    /// The byte after which the link was silent when it was last given another connection for that.
    settled: Option<u64>,
}

/// So many times the other host is found to be there before the endpoint is asked.
const SILENCES: u32 = 2;

/// What an endpoint may do wrong.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    #[error(transparent)]
    NotThere(#[from] NotThere),
}

impl Keeping {
    pub(super) fn new(link: Arc<Link>, incoming: Incoming, redial: Redial, carrying: &Carrying) -> Self {
        let reading = Reading { link: Arc::clone(&link), incoming };
        let patience = carrying.limits.keep_alive;
        Self { reading, watching: Watching { link, redial, patience, settled: None } }
    }

    pub(super) async fn run(mut self) {
        let link = Arc::clone(&self.reading.link);
        let carried = tokio::select! {
            biased;
            // However much arrives.
            () = link.watch_deadlines() => Carried::Over,
            carried = carry(&mut self.reading, &link.outbox, &mut self.watching) => carried,
        };
        let address = link.address();
        match carried {
            Carried::Over => tracing::debug!(%address, "a link has ended"),
            Carried::Lost(why) => tracing::debug!(%address, %why, "a link was lost"),
            Carried::Broken(error) => tracing::warn!(%address, %error, "a link was given up"),
        }
        link.end();
    }
}

impl Conversation for Reading {
    type Error = Wrong;

    fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }

    async fn run(&mut self) -> Result<(), Stop<Wrong>> {
        let Self { link, incoming } = self;
        let mut callers = Vec::new();
        loop {
            let (frames, contents) = incoming.batch(&link.outbox).await?;
            let mut is_over = false;
            if contents.upkeep > 0 {
                for (header, _) in Frames::new(&frames) {
                    is_over |= keep_up(header, incoming, &link.outbox)?;
                }
            }
            let mut calls = link.lock();
            for (header, payload) in Frames::new(&frames) {
                let Some(outcome) = outcome(header, payload, &frames) else { continue };
                if let Some(waiting) = calls.get(CallId::from_wire(header.id)) {
                    callers.extend(waiting.end(|| Ended::Answered(outcome)));
                }
            }
            drop(calls);
            callers.drain(..).for_each(Waker::wake);
            link.received.store(incoming.received().bytes(), Ordering::Relaxed);
            if is_over {
                return Ok(());
            }
        }
    }
}

/// What a call ends in, if the frame says that.
fn outcome(header: Header, payload: &[u8], frames: &bytes::Bytes) -> Option<Outcome> {
    match header.kind {
        Kind::Reply => {
            let encoding = frame::encoding(header.flags, frame::BINCODE);
            Some(Outcome::Reply(encoding, Payload::of(frames, payload)))
        }
        Kind::Refusal => Some(Outcome::Refused(Refusal::from_bytes(payload))),
        other if other.is_upkeep() => None,
        other => {
            tracing::debug!(kind = ?other, "a frame that means nothing here");
            None
        }
    }
}

impl Watching {
    /// Waits until the connection is good for nothing any more. Whoever waits for something asks for a sign of life, which a
    /// process that is busy or stopped may owe; but then its system still takes connections. Where the endpoint answers on
    /// another connection while this one has been silent for long, something in between has lost this one, or the service has
    /// so much to do that nothing more is read here: another connection mends the first and does no harm to the second, and
    /// `settled` says after which byte that has been tried. Returns the byte after which it is silent.
    async fn useless(link: &Link, doubt: &Doubt, patience: Duration, settled: Option<u64>) -> Option<u64> {
        let mut heard = u64::MAX;
        let mut has_asked = false;
        let mut has_answered = false;
        let mut silences = 0;
        loop {
            time::sleep(patience).await;
            let received = link.received.load(Ordering::Relaxed);
            let is_silent = received == heard;
            let expects = link.in_flight() > 0 || link.outbox.is_owed_word();
            heard = received;
            if !(expects && is_silent && has_asked) {
                has_asked = expects;
                (silences, has_answered) = (0, false);
                if expects {
                    link.outbox.ping();
                }
                continue;
            }
            if !doubt.is_host_there(patience).await {
                return None;
            }
            // A process that goes on after a while answers everywhere, and has its chance to do so here.
            if has_answered {
                return Some(received);
            }
            silences += 1;
            let asks = silences >= SILENCES && settled != Some(received);
            has_answered = asks && doubt.does_endpoint_answer(patience).await;
        }
    }
}

impl Way for Watching {
    async fn watch(&mut self) {
        let doubt = self.redial.doubt();
        tokio::select! {
            biased;
            silent = Self::useless(&self.link, &doubt, self.patience, self.settled) => self.settled = silent,
            () = self.redial.watch() => {}
        }
    }

    async fn next(&mut self, received: u64) -> Result<(Connection, u64), String> {
        let link = Arc::clone(&self.link);
        link.is_attached.store(false, Ordering::Relaxed);
        let next = self.redial.next(received).await?;
        link.moved(self.redial.address());
        Ok(next)
    }
}

impl Link {
    /// There is a connection again.
    fn moved(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
        self.is_attached.store(true, Ordering::Relaxed);
    }
}
