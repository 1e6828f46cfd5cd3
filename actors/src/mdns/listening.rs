//! The thread that always drains what a daemon has heard, and sees whether it lives and how much it remembers.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mdns_sd::{Error, Metrics, Receiver, ServiceDaemon, ServiceEvent};
use tokio::sync::mpsc;

use super::records::{label, read};
use super::{GOODBYE, Heard, Loss, SERVICE_TYPE, Shared, patiently};

/// How often a daemon is asked whether it lives, and how much it remembers.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Starts the thread that drains the events of the daemon of this number, for as long as it lives.
///
/// The daemon only listens. Its own questions would be answered by multicast, by everybody to everybody: sixty
/// processes that start together spend most of their time on that. Who wants to know asks by [`crate::query`].
pub(super) fn listen(
    shared: &Arc<Shared>,
    heard: &mpsc::Sender<Heard>,
    number: u64,
    daemon: &ServiceDaemon,
) -> Result<(), Error> {
    let mut events = patiently(|| daemon.browse_cache(SERVICE_TYPE))?;
    let (daemon, heard) = (daemon.clone(), heard.clone());
    let mut listening = Listening { shared: Arc::clone(shared), daemon: number, loss: Loss::Died };
    let drain = move || {
        if listening.daemon > 1 && heard.blocking_send(Heard::Missed).is_err() {
            return;
        }
        loop {
            match drain(&events, &heard, &daemon, &listening.shared) {
                Drained::Again if !listening.shared.wishes().closing => {}
                Drained::Again | Drained::Over => break,
                Drained::Overfull => {
                    listening.loss = Loss::Overfull;
                    break;
                }
            }
            // The subscription was closed because too much arrived at once, or because the daemon is gone.
            match patiently(|| daemon.browse_cache(SERVICE_TYPE)) {
                Ok(again) => events = again,
                Err(error) => {
                    tracing::debug!(%error, "listening to multicast DNS ended");
                    break;
                }
            }
        }
    };
    let started = thread::Builder::new().name("meshzero-heard".into()).spawn(drain);
    started.map(drop).map_err(|error| Error::Msg(error.to_string()))
}

/// Tells when the thread that listens to a daemon ends, in whatever way.
struct Listening {
    shared: Arc<Shared>,
    daemon: u64,
    loss: Loss,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shared.wishes().ended = Some((self.daemon, self.loss));
        self.shared.changed.notify_one();
    }
}

/// How passing on events ended.
enum Drained {
    /// The subscription ended, and it is worth trying again.
    Again,
    /// Nobody wants to hear more, or nobody will tell.
    Over,
    /// The daemon remembers too much.
    Overfull,
}

/// Passes events on until the subscription ends.
fn drain(
    events: &Receiver<ServiceEvent>,
    heard: &mpsc::Sender<Heard>,
    daemon: &ServiceDaemon,
    shared: &Shared,
) -> Drained {
    let mut looked = Instant::now();
    loop {
        let event = events.recv_timeout(LOOK_AFTER);
        #[cfg(test)]
        shared.harm.stumble();
        if looked.elapsed() >= LOOK_AFTER {
            looked = Instant::now();
            // A subscription that the daemon was asked for just as it ended waits in its queue for ever.
            match daemon.get_metrics() {
                Ok(metrics) => match metrics.recv_timeout(GOODBYE) {
                    Ok(metrics) if records(&metrics) > shared.most_records => return Drained::Overfull,
                    // One that is busy answers next time.
                    Ok(_) | Err(_) => {}
                },
                Err(Error::Again) => {}
                Err(_) => return Drained::Over,
            }
        }
        let Ok(event) = event else {
            if events.is_disconnected() {
                break;
            }
            continue;
        };
        let news = match event {
            ServiceEvent::ServiceResolved(service) => match read(&service) {
                Ok(advert) => Some(Heard::Up(advert)),
                Err(problem) => {
                    tracing::debug!(name = %service.fullname, %problem, "an announcement is no advert");
                    None
                }
            },
            ServiceEvent::ServiceRemoved(_, fullname) => label(&fullname).parse().ok().map(Heard::Down),
            _ => None,
        };
        if let Some(news) = news
            && heard.blocking_send(news).is_err()
        {
            return Drained::Over;
        }
    }
    if heard.is_closed() { Drained::Over } else { Drained::Again }
}

/// How many records of others a daemon remembers.
fn records(metrics: &Metrics) -> i64 {
    metrics.iter().filter(|(counter, _)| counter.starts_with("cached-")).map(|(_, count)| count).sum()
}
