//! The task of a gateway: it runs this machine's beacon, or uses the beacon of another process.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use meshzero_proto::networkzero::{Beacon, ServiceAdvert};
use tokio::sync::mpsc;
use tokio::time;

use super::beacon_socket::BeaconSocket;
use super::bridge::Bridge;
use super::command_service;
use super::commands::CommandQueue;
use super::event::GatewayEvent;
use super::external_beacon::{ExternalBeacon, ExternalBeaconError};
use super::import::ImportState;
use crate::discovery::Watcher;
use crate::net::interfaces::Interfaces;
use crate::runtime::clock;
use crate::runtime::shutdown::ShutdownSignal;

/// The interval at which expired adverts are removed, and commands whose wait is over are answered.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);

/// The interval at which the beacon of another process is queried.
const QUERY_INTERVAL: Duration = Duration::from_secs(1);

/// The timeout of withdrawing the announcements.
pub(super) const WITHDRAW_TIMEOUT: Duration = Duration::from_millis(500);

/// The maximum number of NetworkZero names.
pub(super) const MAX_NAMES: usize = 512;

/// Binds the port of the machine's beacon; `None` if another process has it.
pub(super) fn open(interfaces: &Interfaces) -> io::Result<Option<BeaconSocket>> {
    match BeaconSocket::open(interfaces) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

/// The task of a gateway.
pub(super) struct GatewayTask {
    pub(super) bridge: Bridge,
    pub(super) watcher: Watcher,
    pub(super) import_states: mpsc::Receiver<ImportState>,
}

/// Continues the gateway, or ends it.
type TaskFlow = std::ops::ControlFlow<()>;

impl GatewayTask {
    /// Runs until `closing` is triggered or the node has left. `socket` is the socket of the machine's beacon, if the port
    /// was free.
    pub(super) async fn run(mut self, mut socket: Option<BeaconSocket>, closing: &ShutdownSignal) {
        loop {
            let ended = match socket.take() {
                Some(socket) => self.run_own_beacon(socket, closing).await,
                None => self.run_external_beacon(closing).await,
            };
            let Some(node) = self.bridge.node.upgrade().filter(|_| ended.is_continue()) else { return };
            socket = match open(&node.config().interfaces) {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::warn!(%error, "cannot receive the beacons of NetworkZero; trying again");
                    None
                }
            };
        }
    }

    /// Runs the beacon of this machine.
    async fn run_own_beacon(&mut self, socket: BeaconSocket, closing: &ShutdownSignal) -> TaskFlow {
        self.bridge.notify(GatewayEvent::IsBeacon);
        let mut beacon = Beacon::new(MAX_NAMES);
        beacon.announce(self.bridge.announced().clone(), clock::now());
        let started = match self.bridge.node.upgrade() {
            Some(node) => command_service::start(&node).await,
            None => return TaskFlow::Break(()),
        };
        let (_service, mut commands) = match started {
            Ok((service, commands)) => (Some(service), commands),
            Err(error) => {
                let hint = "NetworkZero programs on this machine cannot use the beacon";
                tracing::warn!(%error, hint, "cannot open the command socket of the beacon");
                (None, mpsc::channel(1).1)
            }
        };
        let (mut queue, mut is_over_limit) = (CommandQueue::default(), false);
        let mut expiry_timer = time::interval(EXPIRY_INTERVAL);
        loop {
            let now = clock::now();
            let due = beacon.next_due();
            tokio::select! {
                biased;
                () = closing.triggered() => return TaskFlow::Break(()),
                event = self.watcher.recv() => match event {
                    Some(event) => self.bridge.on_event(event),
                    None => return TaskFlow::Break(()),
                },
                Some(import) = self.import_states.recv() => self.bridge.on_import(import),
                Some(command) = commands.recv() => queue.execute(command, &mut beacon, now),
                received = socket.recv() => match received {
                    Ok(bytes) => match ServiceAdvert::from_bytes(&bytes) {
                        Ok(advert) => {
                            let has_room = beacon.receive(advert, now);
                            if !has_room && !is_over_limit {
                                tracing::warn!("NetworkZero has more names than are imported");
                            }
                            is_over_limit |= !has_room;
                        }
                        Err(error) => {
                            tracing::debug!(%error, "a datagram that is not an advert of NetworkZero");
                            continue;
                        }
                    },
                    Err(error) => {
                        tracing::debug!(%error, "cannot receive the beacons of NetworkZero");
                        continue;
                    }
                },
                () = clock::sleep_until(due) => {
                    if let Some(bytes) = beacon.broadcast(clock::now()) {
                        socket.broadcast(&bytes).await;
                    }
                    continue;
                }
                _ = expiry_timer.tick() => beacon.forget_old(now),
            }
            let natives: BTreeMap<_, _> =
                beacon.networkzero_services().map(|(name, address)| (name.to_owned(), address)).collect();
            if self.bridge.reconcile(&natives) {
                beacon.announce(self.bridge.announced().clone(), now);
            }
            queue.answer(&beacon, now);
        }
    }

    /// Uses the beacon of another process, until that has ended.
    async fn run_external_beacon(&mut self, closing: &ShutdownSignal) -> TaskFlow {
        let Some(node) = self.bridge.node.upgrade() else { return TaskFlow::Break(()) };
        let (network, limits) = (node.config().network.clone(), Arc::clone(node.limits()));
        drop(node);
        let mut beacon = match ExternalBeacon::connect(&network, &limits, MAX_NAMES).await {
            Ok(beacon) => beacon,
            Err(error) => {
                tracing::debug!(%error, "the beacon of NetworkZero on this machine does not answer");
                return self.pause(closing).await;
            }
        };
        self.bridge.notify(GatewayEvent::OtherBeacon);
        loop {
            if let Err(error) = self.exchange_with(&mut beacon).await {
                tracing::debug!(%error, "the connection to the beacon of NetworkZero on this machine ended");
                return TaskFlow::Continue(());
            }
            if self.pause(closing).await.is_break() {
                let nothing = BTreeMap::new();
                let withdrawal = beacon.announce(&nothing);
                if !matches!(time::timeout(WITHDRAW_TIMEOUT, withdrawal).await, Ok(Ok(()))) {
                    tracing::debug!(
                        "cannot withdraw the services of the mesh from the beacon of NetworkZero on this machine"
                    );
                }
                return TaskFlow::Break(());
            }
        }
    }

    async fn exchange_with(&mut self, beacon: &mut ExternalBeacon) -> Result<(), ExternalBeaconError> {
        let natives = beacon.list().await?;
        self.bridge.reconcile(&natives);
        beacon.announce(self.bridge.announced()).await
    }

    /// Handles events of the mesh until the next query is due.
    async fn pause(&mut self, closing: &ShutdownSignal) -> TaskFlow {
        let until = time::Instant::now() + QUERY_INTERVAL;
        loop {
            tokio::select! {
                biased;
                () = closing.triggered() => return TaskFlow::Break(()),
                event = self.watcher.recv() => match event {
                    Some(event) => self.bridge.on_event(event),
                    None => return TaskFlow::Break(()),
                },
                Some(import) = self.import_states.recv() => self.bridge.on_import(import),
                () = time::sleep_until(until) => return TaskFlow::Continue(()),
            }
        }
    }
}
