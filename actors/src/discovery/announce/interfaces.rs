//! The chosen interfaces of this host: read every two seconds and when the system reports changes, and published to the
//! endpoints that follow them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::watch;

use crate::net::host::changes::HostChanges;
use crate::net::ingress::MAX_INTERFACES;
use crate::net::interfaces::{ChosenAddresses, Interface, Interfaces, InterfacesError, Listing};
use crate::net::listeners::Addresses;
use crate::runtime::clock;

/// The interval at which the interfaces are read where the system does not report changes.
const READ_INTERVAL: Duration = Duration::from_secs(2);

/// The chosen interfaces, as of the last read.
pub(crate) struct OwnInterfaces {
    choice: Interfaces,
    /// The interfaces that are connected, or were so not long ago: a client may return when the cable does.
    connected: Vec<Interface>,
    /// Those of them that are not connected now, and since when.
    unplugged: Vec<(Interface, Instant)>,
    /// The time for which an unplugged interface counts as connected.
    grace: Duration,
    /// All chosen interfaces: an endpoint can listen at an address before its cable is plugged in. `None` until they have been
    /// read.
    published: watch::Sender<Option<Arc<ChosenAddresses>>>,
    changes: HostChanges,
    last_read: Instant,
    /// Set if the last attempt to read them failed, which has been logged.
    is_unknown: bool,
}

/// Asks for the chosen addresses of this host, as they change.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Addresses")]
pub struct FollowAddresses;

impl OwnInterfaces {
    /// Reads the interfaces for the first time. Those that are unplugged count as connected for the time `grace`.
    pub(crate) fn new(choice: Interfaces, grace: Duration, changes: HostChanges) -> Self {
        let read = clock::now();
        let listing = choice.list_all();
        let mut own = Self {
            choice,
            connected: Vec::new(),
            unplugged: Vec::new(),
            grace,
            published: watch::Sender::new(None),
            changes,
            last_read: read,
            is_unknown: false,
        };
        own.update(listing, read);
        own
    }

    /// Returns the interfaces that are connected, or were so not long ago.
    pub(crate) fn connected(&self) -> &[Interface] {
        &self.connected
    }

    /// Returns the chosen addresses of this host, as they change.
    pub(crate) fn follow(&self) -> Addresses {
        self.published.subscribe()
    }

    /// Reads the interfaces when it is time. Returns whether those that are connected or were so not long ago have changed, or
    /// `None` when it is not time, or when they cannot be read, which changes nothing.
    pub(crate) fn read(&mut self, now: Instant) -> Option<InterfaceChange> {
        let is_notified = self.changes.any();
        if !is_notified && now.duration_since(self.last_read) < READ_INTERVAL {
            return None;
        }
        if is_notified {
            tracing::debug!("the system reports changed interfaces or addresses");
        }
        self.last_read = now;
        self.update(self.choice.list_all(), now)
    }

    fn update(&mut self, listing: Result<Listing, InterfacesError>, now: Instant) -> Option<InterfaceChange> {
        let Listing { connected, all } = match listing {
            Ok(listing) => listing,
            Err(error) if self.is_unknown => {
                tracing::debug!(%error, "the addresses of this host are still unknown");
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, "the addresses of this host cannot be read; trying again");
                self.is_unknown = true;
                return None;
            }
        };
        self.is_unknown = false;
        let change = self.set_connected(connected, &all.list, now);
        self.publish(all);
        Some(change)
    }

    fn publish(&self, all: ChosenAddresses) {
        self.published.send_if_modified(|published| {
            if published.as_deref() == Some(&all) {
                return false;
            }
            let was_too_long = published.as_ref().is_some_and(|previous| previous.ingress.is_too_long());
            if all.ingress.is_too_long() && !was_too_long {
                tracing::warn!(
                    "more than {MAX_INTERFACES} interfaces are chosen; connections by the others are accepted as well"
                );
            }
            *published = Some(Arc::new(all));
            true
        });
    }

    fn set_connected(
        &mut self,
        mut connected: Vec<Interface>,
        all: &[Interface],
        now: Instant,
    ) -> InterfaceChange {
        let was_unplugged = std::mem::take(&mut self.unplugged);
        for interface in &self.connected {
            if connected.contains(interface) || !all.contains(interface) {
                continue;
            }
            let before = was_unplugged.iter().find(|(unplugged, _)| unplugged == interface);
            let since = before.map_or(now, |(_, since)| *since);
            if now.duration_since(since) < self.grace {
                self.unplugged.push((interface.clone(), since));
            }
        }
        connected.extend(self.unplugged.iter().map(|(interface, _)| interface.clone()));
        let has_changed = connected != self.connected;
        self.connected = connected;
        if has_changed { InterfaceChange::Some } else { InterfaceChange::None }
    }
}

/// The result of reading the interfaces once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InterfaceChange {
    None,
    Some,
}

#[cfg(test)]
mod tests {
    use meshzero_proto::discovery::addresses::OwnAddress;

    use super::*;
    use crate::net::ingress::Ingress;

    fn interface(ip: &str) -> Interface {
        let address = OwnAddress { ip: ip.parse().expect("an address"), prefix: 24 };
        Interface { name: "eth0".into(), index: Some(2), address }
    }

    #[test]
    fn the_last_list_is_kept_if_the_interfaces_cannot_be_read() {
        let choice: Interfaces = "eth0".parse().expect("a choice");
        let mut own = OwnInterfaces::new(choice, Duration::from_secs(10), HostChanges::none());
        let read = own.last_read;
        let local = [interface("10.0.0.1")];
        let all = ChosenAddresses { list: local.to_vec(), ingress: Ingress::only(&[1, 2]) };
        let listing = Listing { connected: local.to_vec(), all: all.clone() };
        own.update(Ok(listing.clone()), read);
        let mut follower = own.published.subscribe();
        let failed = || Err(InterfacesError::Unlisted("no file descriptor is left".to_owned()));
        assert_eq!(own.update(failed(), read), None);
        assert_eq!(own.update(failed(), read), None);
        assert_eq!(own.connected(), local);
        assert!(!follower.has_changed().expect("it lives"));
        assert_eq!(follower.borrow_and_update().as_deref(), Some(&all));
        assert_eq!(own.update(Ok(listing), read), Some(InterfaceChange::None));
        assert_eq!(own.update(Ok(Listing::default()), read), Some(InterfaceChange::Some), "they are gone");
    }

    #[test]
    fn an_address_is_announced_for_a_while_after_its_cable_was_pulled_out() {
        let (local, other) = (interface("10.0.0.1"), interface("10.0.0.2"));
        let both = [local.clone(), other.clone()];
        let grace = Duration::from_secs(10);
        let mut own = OwnInterfaces::new(Interfaces::loopback(), grace, HostChanges::none());
        let started = own.last_read;
        own.connected.clear();
        assert_eq!(own.set_connected(vec![local.clone()], &both, started), InterfaceChange::Some);
        assert_eq!(own.set_connected(Vec::new(), &both, started), InterfaceChange::None, "the cable is out");
        assert_eq!(own.connected(), std::slice::from_ref(&local));
        assert_eq!(
            own.set_connected(vec![local.clone()], &both, started + grace / 2),
            InterfaceChange::None,
            "it is back"
        );
        assert_eq!(
            own.set_connected(Vec::new(), &both, started + grace),
            InterfaceChange::None,
            "the time starts again"
        );
        assert_eq!(own.set_connected(Vec::new(), &both, started + grace * 2), InterfaceChange::Some);
        assert_eq!(own.set_connected(vec![local], &both, started), InterfaceChange::Some);
        assert_eq!(
            own.set_connected(Vec::new(), &[other], started),
            InterfaceChange::Some,
            "the address itself is gone"
        );
    }
}
