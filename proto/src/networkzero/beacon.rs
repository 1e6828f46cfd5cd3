//! The beacon of one machine: local and received adverts, and the times of broadcasts.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::ServiceAdvert;

/// The interval between broadcasts of each service (`BEACON_ADVERT_FREQUENCY_S`).
const BROADCAST_INTERVAL: Duration = Duration::from_secs(2);

/// The shortest time between two broadcasts, so that many services are not sent as a burst.
const MIN_BROADCAST_GAP: Duration = Duration::from_millis(10);

/// The lifetime of this beacon's adverts (`ADVERT_TTL_S`).
pub const LIFETIME: Duration = Duration::from_secs(20);

/// A beacon.
#[derive(Debug)]
pub struct Beacon {
    /// The received adverts by name. As in NetworkZero, a later advert replaces an earlier one.
    received: BTreeMap<String, ReceivedAdvert>,
    /// The adverts by programs of this machine, until they withdraw them.
    local: BTreeMap<String, ServiceAdvert>,
    /// The services of the mesh.
    mesh: BTreeMap<String, SocketAddrV4>,
    /// The time of each name's next broadcast.
    due: BTreeMap<String, Instant>,
    /// The time of the last broadcast.
    last_broadcast_at: Option<Instant>,
    is_paused: bool,
    /// The maximum number of received names, and of local ones.
    max_names: usize,
}

#[derive(Debug)]
struct ReceivedAdvert {
    address: SocketAddrV4,
    expires_at: Instant,
}

impl Beacon {
    /// Creates an empty beacon that stores `max_names` names of others at most.
    pub fn new(max_names: usize) -> Self {
        Self {
            received: BTreeMap::new(),
            local: BTreeMap::new(),
            mesh: BTreeMap::new(),
            due: BTreeMap::new(),
            last_broadcast_at: None,
            is_paused: false,
            max_names,
        }
    }

    /// Stores a received advert, if there is room for its name. Returns true if there is.
    pub fn receive(&mut self, advert: ServiceAdvert, now: Instant) -> bool {
        // Broadcasts are also received by their sender.
        let is_own = self.announced(&advert.name) == Some(advert.address);
        let has_room = self.received.len() < self.max_names || self.received.contains_key(&advert.name);
        if !is_own && has_room {
            let expires_at = now + advert.lifetime;
            self.received.insert(advert.name, ReceivedAdvert { address: advert.address, expires_at });
        }
        is_own || has_room
    }

    /// Advertises for a program of this machine. Returns true if there is room, the name is short enough to be broadcast and, if
    /// it `must_be_new`, not advertised yet.
    pub fn advertise(&mut self, advert: ServiceAdvert, must_be_new: bool, now: Instant) -> bool {
        let exists = self.local.contains_key(&advert.name);
        let is_taken = exists || self.mesh.contains_key(&advert.name);
        let has_room = exists || self.local.len() < self.max_names;
        if (must_be_new && is_taken) || !has_room || advert.to_bytes().is_none() {
            return false;
        }
        self.received.remove(&advert.name);
        self.due.insert(advert.name.clone(), now);
        self.local.insert(advert.name.clone(), advert);
        true
    }

    /// Withdraws the advert of a program of this machine.
    pub fn unadvertise(&mut self, name: &str) {
        self.local.remove(name);
        if !self.mesh.contains_key(name) {
            self.due.remove(name);
        }
    }

    /// Sets the services of the mesh that are broadcast from now on.
    pub fn announce(&mut self, services: BTreeMap<String, SocketAddrV4>, now: Instant) {
        for name in services.keys() {
            self.due.entry(name.clone()).or_insert(now);
            // Another gateway may have announced it before this one received it.
            if self.received.get(name).is_some_and(|advert| services.get(name) == Some(&advert.address)) {
                self.received.remove(name);
            }
        }
        self.mesh = services;
        let (local, mesh) = (&self.local, &self.mesh);
        self.due.retain(|name, _| local.contains_key(name) || mesh.contains_key(name));
    }

    /// Pauses or resumes all broadcasts.
    pub fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Forgets the received adverts, and those of programs of this machine.
    pub fn reset(&mut self) {
        self.received.clear();
        self.local.clear();
        let mesh = &self.mesh;
        self.due.retain(|name, _| mesh.contains_key(name));
        self.is_paused = false;
    }

    /// Returns the next datagram that is due.
    pub fn broadcast(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next_due().is_none_or(|due| due > now) {
            return None;
        }
        let (name, due) = self.due.iter_mut().min_by_key(|(_, due)| **due)?;
        *due = now + BROADCAST_INTERVAL;
        self.last_broadcast_at = Some(now);
        let name = name.clone();
        let advert = match (self.local.get(&name), self.mesh.get(&name)) {
            (Some(advert), _) => advert.clone(),
            (None, Some(address)) => ServiceAdvert { name, address: *address, lifetime: LIFETIME },
            (None, None) => return None,
        };
        // An advert that would be truncated at the other end is never sent: see `can_be_announced`.
        advert.to_bytes()
    }

    /// Returns the time at which the next datagram is due.
    pub fn next_due(&self) -> Option<Instant> {
        let due = *self.due.values().min().filter(|_| !self.is_paused)?;
        Some(
            self.last_broadcast_at
                .map_or(due, |last_broadcast_at| due.max(last_broadcast_at + MIN_BROADCAST_GAP)),
        )
    }

    /// Forgets adverts that were not repeated in time.
    pub fn forget_old(&mut self, now: Instant) {
        self.received.retain(|_, advert| advert.expires_at > now);
    }

    /// Returns the address of a name, on any host.
    pub fn find(&self, name: &str) -> Option<SocketAddrV4> {
        self.announced(name).or_else(|| self.received.get(name).map(|advert| advert.address))
    }

    /// Returns all names with their addresses.
    pub fn all(&self) -> BTreeMap<&str, SocketAddrV4> {
        let mut all: BTreeMap<_, _> = self.networkzero_services().collect();
        all.extend(self.mesh.iter().map(|(name, address)| (name.as_str(), *address)));
        all
    }

    /// Returns the services of NetworkZero programs, on this and other hosts.
    pub fn networkzero_services(&self) -> impl Iterator<Item = (&str, SocketAddrV4)> {
        let received = self.received.iter().map(|(name, advert)| (name.as_str(), advert.address));
        let local = self.local.iter().map(|(name, advert)| (name.as_str(), advert.address));
        received.chain(local)
    }

    fn announced(&self, name: &str) -> Option<SocketAddrV4> {
        self.local.get(name).map(|advert| advert.address).or_else(|| self.mesh.get(name).copied())
    }
}
