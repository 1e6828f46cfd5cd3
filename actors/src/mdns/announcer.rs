//! The thread that owns the daemon: it makes true what is wished for, and has a new daemon when the old one died.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use mdns_sd::{Error, IfKind, IfPredicate, ServiceDaemon};
use meshzero_proto::advert::Advert;
use meshzero_proto::id::InstanceId;
use tokio::sync::{mpsc, oneshot};

use super::records::record;
use super::{GOODBYE, Heard, Loss, SERVICE_TYPE, Shared, listening, patiently};
use crate::interfaces::Interfaces;

/// The pause before a daemon that died is replaced: doubled each time up to the second value.
const REVIVE_FIRST: Duration = Duration::from_millis(50);
const REVIVE_LAST: Duration = Duration::from_secs(5);
/// The largest datagram over loopback, where nothing is cut into pieces: RFC 6762 §17.
const LOOPBACK_DATAGRAM: usize = 8_952;

/// The thread itself.
pub(super) struct Announcer {
    shared: Arc<Shared>,
    heard: mpsc::Sender<Heard>,
    /// The number of the present daemon.
    daemon: u64,
    /// What the present daemon announces.
    registered: BTreeMap<InstanceId, Advert>,
}

/// What the announcer found to do.
enum Work {
    Announce(Box<Advert>),
    Withdraw(InstanceId),
    Replace(Loss),
    Close(Option<oneshot::Sender<()>>),
}

/// How the life of a daemon ended.
enum Ended {
    /// The node left, and somebody may wait to be told.
    Left(Option<oneshot::Sender<()>>),
    /// It has to be replaced.
    Lost(Loss),
}

impl Announcer {
    pub(super) fn new(shared: Arc<Shared>, heard: mpsc::Sender<Heard>) -> Self {
        Self { shared, heard, daemon: 0, registered: BTreeMap::new() }
    }

    /// Runs until the node leaves.
    pub(super) fn run(mut self) {
        let mut pause = REVIVE_FIRST;
        loop {
            let started = Instant::now();
            self.daemon += 1;
            let loss = match catch_unwind(AssertUnwindSafe(|| self.live())) {
                Ok(Ok(Ended::Left(closed))) => {
                    // Nobody waits for it when the node was dropped rather than closed.
                    if let Some(closed) = closed {
                        closed.send(()).ok();
                    }
                    return;
                }
                Ok(Ok(Ended::Lost(loss))) => {
                    tracing::warn!(%loss, "multicast DNS is started again");
                    loss
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "multicast DNS stopped; starting it again");
                    Loss::Died
                }
                Err(_) => {
                    tracing::error!("announcing by multicast DNS panicked; starting it again");
                    Loss::Died
                }
            };
            self.shared.replaced.fetch_add(1, Ordering::Relaxed);
            // Who fills it must not thereby silence this node.
            if started.elapsed() > REVIVE_LAST || loss == Loss::Overfull {
                pause = REVIVE_FIRST;
            }
            if self.pause(pause) {
                return;
            }
            pause = (pause * 2).min(REVIVE_LAST);
            self.announce_everything_again();
        }
    }

    /// One daemon's life. Ends well when the node leaves.
    fn live(&mut self) -> Result<Ended, Error> {
        let daemon = self.start_daemon()?;
        #[cfg(test)]
        self.shared.harm.expose(&daemon);
        let listening = listening::listen(&self.shared, &self.heard, self.daemon, &daemon);
        let served = listening.and_then(|()| self.serve(&daemon));
        if !matches!(served, Ok(Ended::Left(_))) {
            // Its goodbyes are called back by what the next one announces: a record lives on for a second after them.
            match patiently(|| daemon.shutdown()) {
                Ok(done) => drop(done.recv_timeout(GOODBYE)),
                Err(error) => tracing::debug!(%error, "the old daemon had ended by itself"),
            }
        }
        served
    }

    fn start_daemon(&self) -> Result<ServiceDaemon, Error> {
        let daemon = ServiceDaemon::new()?;
        // Commands are executed in order, so nothing is sent on an interface that was not chosen.
        let interfaces = self.shared.interfaces.clone();
        let chosen = IfPredicate::new(move |interface| {
            interfaces.includes(&interface.name, interface.ip())
                && (interface.ip().is_ipv4() || !has_ipv4(&interfaces, &interface.name))
        });
        patiently(|| daemon.disable_interface(IfKind::All))?;
        patiently(|| daemon.enable_interface(IfKind::Predicate(chosen.clone())))?;
        patiently(|| daemon.set_max_packet_size(IfKind::LoopbackV4, LOOPBACK_DATAGRAM))?;
        Ok(daemon)
    }

    /// Makes wishes true until the node leaves.
    fn serve(&mut self, daemon: &ServiceDaemon) -> Result<Ended, Error> {
        loop {
            match self.next_work() {
                Work::Announce(advert) => self.announce(daemon, *advert)?,
                Work::Withdraw(instance) => self.withdraw(daemon, instance)?,
                Work::Replace(loss) => return Ok(Ended::Lost(loss)),
                Work::Close(closed) => {
                    for instance in self.registered.keys().copied().collect::<Vec<_>>() {
                        self.withdraw(daemon, instance)?;
                    }
                    let done = patiently(|| daemon.shutdown())?;
                    if done.recv_timeout(GOODBYE).is_err() {
                        tracing::warn!("multicast DNS did not confirm its goodbye");
                    }
                    return Ok(Ended::Left(closed));
                }
            }
        }
    }

    fn announce(&mut self, daemon: &ServiceDaemon, advert: Advert) -> Result<(), Error> {
        match record(&advert) {
            Ok(info) => {
                patiently(|| daemon.register(info.clone()))?;
                self.registered.insert(advert.instance, advert);
            }
            Err(error) => {
                tracing::error!(service = %advert.service, %error, "the service cannot be announced")
            }
        }
        Ok(())
    }

    /// Peers believe `bye=1` at once; a record that is merely withdrawn stays with them for another second.
    fn withdraw(&mut self, daemon: &ServiceDaemon, instance: InstanceId) -> Result<(), Error> {
        if let Some(advert) = self.registered.remove(&instance) {
            let leaving = record(&Advert { leaving: true, ..advert })?;
            patiently(|| daemon.register(leaving.clone()))?;
            patiently(|| daemon.unregister(&format!("{instance}.{SERVICE_TYPE}")))?;
        }
        Ok(())
    }

    fn next_work(&self) -> Work {
        let mut wishes = self.shared.wishes();
        loop {
            if wishes.closing {
                return Work::Close(wishes.closed.take());
            }
            if let Some((daemon, loss)) = wishes.ended.take()
                && daemon == self.daemon
            {
                return Work::Replace(loss);
            }
            while let Some(instance) = wishes.dirty.pop_front() {
                match wishes.announced.get(&instance) {
                    Some(advert) => return Work::Announce(Box::new(advert.clone())),
                    None if self.registered.contains_key(&instance) => return Work::Withdraw(instance),
                    None => {}
                }
            }
            wishes = self.shared.changed.wait(wishes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits before the next daemon, and says whether the node left meanwhile.
    fn pause(&self, pause: Duration) -> bool {
        let wishes = self.shared.wishes();
        let (wishes, _) = self
            .shared
            .changed
            .wait_timeout_while(wishes, pause, |wishes| !wishes.closing)
            .unwrap_or_else(PoisonError::into_inner);
        wishes.closing
    }

    fn announce_everything_again(&mut self) {
        self.registered.clear();
        let mut wishes = self.shared.wishes();
        wishes.dirty = wishes.announced.keys().copied().collect();
    }
}

fn has_ipv4(interfaces: &Interfaces, name: &str) -> bool {
    let list = interfaces.list().unwrap_or_default();
    list.iter().any(|interface| interface.name == name && interface.address.ip.is_ipv4())
}
