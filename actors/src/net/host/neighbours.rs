//! The system's table of neighbours: the hosts of its networks, and whether they answer requests for their hardware addresses.
//! Systems other than Linux expose it only with more effort.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux makes entries"))]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use meshzero_proto::diagnosis::Neighbour;

use crate::net::host::routers;
use crate::net::zone;

#[cfg(target_os = "linux")]
mod netlink;

/// One entry of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NeighbourEntry {
    ip: IpAddr,
    /// The index of the interface.
    zone: u32,
    state: EntryState,
    /// Set if it has announced that it forwards packets, as IPv6 routers do.
    is_router: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryState {
    /// The hardware address is known.
    Known {
        /// The time since the host was last confirmed, if the system reports it.
        confirmed: Option<Duration>,
    },
    /// The host did not answer a request.
    Silent,
}

/// Returns the table; `None` where it cannot be read.
pub(crate) fn table() -> Option<Vec<NeighbourEntry>> {
    #[cfg(target_os = "linux")]
    let table = netlink::table().ok();
    #[cfg(not(target_os = "linux"))]
    let table = None;
    table
}

/// Returns the state of each host, without regard to when it was last confirmed.
pub(crate) fn states(table: &[NeighbourEntry]) -> Vec<(IpAddr, Neighbour)> {
    table.iter().map(|entry| (entry.ip, entry.since(Duration::ZERO))).collect()
}

/// Returns whether the system knows a host other than the routers on the interfaces with these indices.
pub(crate) fn has_others(zones: &[u32]) -> bool {
    let routers = routers::all();
    table().is_some_and(|table| table.iter().any(|entry| entry.is_other(zones, &routers)))
}

/// Returns the state of a host that was dialled `dialled_ago` ago.
pub(crate) fn state(table: &[NeighbourEntry], address: SocketAddr, dialled_ago: Duration) -> Neighbour {
    let zone = zone::of(address);
    let is_match = |entry: &&NeighbourEntry| entry.ip == address.ip() && (zone == 0 || entry.zone == zone);
    table.iter().find(is_match).map(|entry| entry.since(dialled_ago)).unwrap_or_default()
}

impl NeighbourEntry {
    fn is_other(&self, zones: &[u32], routers: &[IpAddr]) -> bool {
        let is_router = self.is_router || routers.contains(&self.ip);
        self.state != EntryState::Silent && !is_router && zones.contains(&self.zone)
    }

    fn since(&self, dialled_ago: Duration) -> Neighbour {
        match self.state {
            EntryState::Silent => Neighbour::Incomplete,
            EntryState::Known { confirmed: Some(ago) } if ago < dialled_ago => Neighbour::Complete,
            EntryState::Known { .. } => Neighbour::Stale,
        }
    }
}
