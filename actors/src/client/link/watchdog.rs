//! The watchdog of one link on the client's side: races a stalled connection against a new one, and gives it up when it
//! is useless.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use meshzero_proto::stream::stall::{Expectation, StallAction, StallDetector};
use meshzero_proto::wire::hello::Rejection;
use tokio::{task, time};

use crate::link::config::LinkConfig;
use crate::link::dial::{DialError, Handshaken};
use crate::link::progress::ReceiveCounters;
use crate::link::reconnect::{LivenessProbe, Reconnector};
use crate::link::run::ConnectionSource;
use crate::link::send_queue::SendQueue;
use crate::link::standby::StandbyDials;
use crate::runtime::clock;

/// The number of silent periods, in which the other host is found to be alive, before the endpoint is probed.
const SILENT_PERIODS: u32 = 2;

/// The time in which the old connection may still recover after another has completed the handshake: both may have
/// waited for the same thread.
const RECOVERY_TIMEOUT: Duration = Duration::from_millis(20);

/// The pause before a link that does not read is checked again.
const READ_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Watches the current connection of one link.
pub(crate) struct Watchdog {
    progress: Arc<ReceiveCounters>,
    link_config: LinkConfig,
    /// The count of received bytes at which the link was last silent and got another connection because of that.
    replaced_at: Option<u64>,
    stall: StallDetector,
    /// Set if connections that stall are raced: unset if the endpoint's version does not support standby connections.
    races: Cell<bool>,
}

/// A link as its [`Watchdog`] sees it.
pub(crate) trait WatchedLink {
    /// The send queue.
    fn send_queue(&self) -> &SendQueue;

    /// Returns the frames that the other end is expected to send.
    fn expects(&self) -> Expectation;
}

impl Watchdog {
    /// A watchdog for a link whose first handshake took `round_trip`.
    pub(crate) fn new(
        progress: &Arc<ReceiveCounters>,
        round_trip: Duration,
        link_config: &LinkConfig,
    ) -> Self {
        let limits = &link_config.limits;
        Self {
            progress: Arc::clone(progress),
            link_config: link_config.clone(),
            replaced_at: None,
            stall: StallDetector::new(clock::now(), Some(round_trip), limits.keep_alive, fastrand::f64()),
            races: Cell::new(limits.races_per_second > 0),
        }
    }

    /// Waits until the connection should be given up, because another is on standby, nothing arrives on it, or the
    /// instance has moved.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn watch(&mut self, link: &impl WatchedLink, reconnector: &mut Reconnector) {
        let Self { progress, link_config, replaced_at, stall, races } = self;
        let probe = reconnector.liveness_probe();
        let dials = reconnector.dial_racer().filter(|_| races.get()).map(StandbyDials::new);
        races.set(dials.is_some());
        let keep_alive = link_config.limits.keep_alive;
        tokio::select! {
            biased;
            silent = until_dead(progress, link, &probe, keep_alive, *replaced_at, races) => *replaced_at = silent,
            standby = race(stall, progress, link, link_config, dials, races) => reconnector.stand_by(standby),
            () = reconnector.watch() => {}
        }
    }
}

/// Waits for a connection that should replace the stalled one, and returns it; `None` if the endpoint no longer knows
/// the link. Clears `races` once the endpoint turns out to be of a version without standby connections.
async fn race(
    stall: &mut StallDetector,
    progress: &ReceiveCounters,
    link: &impl WatchedLink,
    link_config: &LinkConfig,
    dials: Option<StandbyDials>,
    races: &Cell<bool>,
) -> Option<Handshaken> {
    let Some(mut dials) = dials else { return std::future::pending().await };
    let send_queue = link.send_queue();
    stall.record_move(clock::now(), progress.received_so_far());
    // The number of bytes that had been written when the peer was pinged.
    let mut written = 0;
    loop {
        let (was_asking, received) = (stall.has_unanswered_ping(), progress.received_so_far());
        let expectation = watch_expectation(link);
        let action = stall.poll(clock::now(), received, expectation);
        if was_asking && !stall.has_unanswered_ping() {
            // The old connection has recovered first.
            if dials.connected() > 0 {
                stall.record_busy();
            }
            dials.cancel_all();
        }
        let until = match action {
            StallAction::Rest if progress.is_reading() => None,
            StallAction::Rest => Some(clock::now() + READ_CHECK_INTERVAL),
            StallAction::Wait(until) => Some(until),
            StallAction::Ping => {
                send_queue.ping();
                written = send_queue.handed_to_kernel();
                continue;
            }
            StallAction::Race => {
                // Pending input is read first.
                task::yield_now().await;
                let is_silent = progress.bytes() == received.bytes;
                if is_silent && dials.may_begin() && link_config.may_dial_standby(clock::now()) {
                    link_config.traffic.races.count();
                    dials.begin();
                }
                continue;
            }
        };
        let result = tokio::select! {
            biased;
            result = dials.ended() => result,
            () = progress.arrived(), if stall.has_unanswered_ping() => continue,
            () = send_queue.bytes_sent(), if !stall.has_unanswered_ping() && !is_highest(expectation) => continue,
            () = clock::sleep_until(until) => continue,
        };
        match result {
            Ok(handshaken) => match handshaken.welcome.standby {
                Some(state) if state.is_stuck(progress.bytes(), written) => {
                    if time::timeout(RECOVERY_TIMEOUT, wait_for_bytes(progress)).await.is_err() {
                        link_config.traffic.races_won.count();
                        return Some(handshaken);
                    }
                }
                Some(_) => {
                    stall.record_busy();
                    dials.cancel_all();
                }
                None => {
                    races.set(false);
                    dials.cancel_all();
                    return std::future::pending().await;
                }
            },
            Err(DialError::Rejected { rejection: Rejection::UnknownLink, .. }) => return None,
            Err(error) => tracing::debug!(%error, "no standby connection for a stalled connection"),
        }
    }
}

/// Returns the frames that are expected. If the expectation can rise without anything arriving, the send queue
/// will notify.
fn watch_expectation(link: &impl WatchedLink) -> Expectation {
    let expectation = link.expects();
    if is_highest(expectation) {
        return expectation;
    }
    link.send_queue().watch();
    link.expects()
}

/// Returns whether no higher expectation is possible.
fn is_highest(expectation: Expectation) -> bool {
    matches!(expectation, Expectation::Reply | Expectation::News)
}

/// Waits until something arrives.
async fn wait_for_bytes(progress: &ReceiveCounters) {
    let before = progress.bytes();
    while progress.bytes() == before {
        progress.arrived().await;
    }
}

/// Waits until the connection is useless. A link that expects something sends a ping. A process that is busy or stopped
/// may not answer it, but then its system still accepts connections. If the endpoint answers on another connection
/// while this one has been silent for a long time, either the network between has lost this one, or the service is too
/// busy to read from it: another connection helps in the first case and does no harm in the second, and `replaced_at` is
/// the count of received bytes at which that was tried last. Returns the count of received bytes at which the
/// connection is silent.
async fn until_dead(
    progress: &ReceiveCounters,
    link: &impl WatchedLink,
    probe: &LivenessProbe,
    keep_alive: Duration,
    replaced_at: Option<u64>,
    races: &Cell<bool>,
) -> Option<u64> {
    let mut last_received = u64::MAX;
    let mut has_pinged = false;
    let mut has_answered = false;
    let mut silences = 0;
    loop {
        time::sleep(keep_alive).await;
        let received = progress.bytes();
        let is_silent = received == last_received;
        let expects_frames = link.expects() != Expectation::Nothing;
        last_received = received;
        if !(expects_frames && is_silent && has_pinged) {
            has_pinged = expects_frames;
            (silences, has_answered) = (0, false);
            // A race has sent a ping before.
            if expects_frames && !races.get() {
                link.send_queue().ping();
            }
            continue;
        }
        if !probe.is_host_there(keep_alive).await {
            return None;
        }
        // A process that resumes after a pause answers on all connections, and has its chance to do so on this one.
        if has_answered {
            return Some(received);
        }
        silences += 1;
        let should_probe = silences >= SILENT_PERIODS && replaced_at != Some(received);
        has_answered = should_probe && probe.does_endpoint_answer(keep_alive).await;
    }
}
