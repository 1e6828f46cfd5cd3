//! Observations, as plain data. `None`, and `Unknown`, mean that the fact could not be observed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::attempt::{Attempt, format_address};
use crate::discovery::addresses::{OwnAddress, is_link_local};

/// The known facts about a service that was not found or not reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observations {
    /// The target of the search.
    pub target: Sought,
    /// The mesh that was searched.
    pub mesh: String,
    /// The endpoints of the target that were announced or named, and did not answer.
    pub endpoints: Vec<SilentEndpoint>,
    /// Another known problem.
    pub trouble: Option<String>,
    /// The names of services received on this mesh, in alphabetical order.
    pub received: Vec<String>,
    /// Those of them that are on this host only: they are no evidence about the network.
    pub received_here: Vec<String>,
    /// The number of known instances that are hidden because their nodes have reached the limit.
    pub hidden: usize,
    /// The limit on stored instances of one node.
    pub instances_per_node: usize,
    /// The names of other meshes that were received.
    pub other_meshes: Vec<String>,
    /// The static peers that are not connected.
    pub peers: Vec<StaticPeer>,
    /// The hosts of the connected nodes.
    pub connected: Vec<IpAddr>,
    /// The configured choice of interfaces; `None` means all of them.
    pub chosen_interfaces: Option<String>,
    /// All interfaces of this host, loopback included; `None` if they cannot be listed.
    pub interfaces: Option<Vec<InterfaceSeen>>,
    /// Set if the network has multicast at all; a simulated one may have none.
    pub has_multicast: bool,
    /// The observations of this node's multicast.
    pub multicast: MulticastObservations,
    /// The entries of the system's neighbour table; `None` if it cannot be read.
    pub neighbours: Option<Vec<(IpAddr, Neighbour)>>,
    /// The routers through which this host sends to other networks.
    pub gateways: Vec<IpAddr>,
    /// The environment of this program.
    pub surroundings: Surroundings,
}

/// The target of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sought {
    /// All services.
    #[default]
    Everything,
    /// All services whose name begins with this.
    Group(String),
    /// One name.
    Name(String),
    /// One address.
    Address(SocketAddr),
}

/// An endpoint that did not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SilentEndpoint {
    /// The service that was announced there; `None` if only the address is known.
    pub service: Option<String>,
    /// The time since its own process last replied to a question, which proves that it ran.
    pub replied_ago: Option<Duration>,
    /// The addresses that were tried.
    pub tried: Vec<TriedAddress>,
}

/// An address that was tried, with the system's information about its route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedAddress {
    /// The attempt.
    pub attempt: Attempt,
    /// The state of the host in the neighbour table.
    pub neighbour: Neighbour,
    /// The outgoing interface of packets to it.
    pub leaves_by: Option<String>,
    /// The other end's reason for the rejection, or its apparent protocol.
    pub reason: Option<String>,
    /// The name of the interface that is the zone of a link-local address.
    pub zone: Option<String>,
}

/// The state of a host in the system's neighbour table (ARP for IPv4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Neighbour {
    /// Its hardware address is known, and it has answered since it was dialled.
    Complete,
    /// Its hardware address is known from before, which proves nothing about now.
    Stale,
    /// It was asked for its hardware address and did not answer.
    Incomplete,
    /// The table has no entry for it, or cannot be read.
    #[default]
    Unknown,
}

/// A static peer that is not connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaticPeer {
    /// The peer as it was configured.
    pub peer: String,
    /// The problem.
    pub trouble: String,
    /// The addresses that were tried last.
    pub tried: Vec<TriedAddress>,
}

/// One interface of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceSeen {
    /// The system's name for it.
    pub name: String,
    /// The system's index for it, if it is known.
    pub index: Option<u32>,
    /// Its kind.
    pub kind: InterfaceKind,
    /// Set if this node uses it.
    pub chosen: bool,
    /// Set if it is up.
    pub up: Option<bool>,
    /// Set if it has a carrier: a cable with a live other end, or an association with an access point.
    pub carrier: Option<bool>,
    /// Set if it carries multicast.
    pub multicast: Option<bool>,
    /// Its addresses.
    pub addresses: Vec<OwnAddress>,
}

/// The kind of an interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InterfaceKind {
    /// The host itself.
    Loopback,
    /// Wired, or an interface that behaves like it.
    Wired,
    /// Wi-Fi.
    Wireless,
    /// A tunnel, such as a VPN's.
    Tunnel,
    /// A bridge or similar interface inside this host, such as Docker's.
    Inner,
    /// An unknown kind.
    #[default]
    Unknown,
}

/// The observations of this node's multicast, filled in by the tasks that send questions and receive replies.
///
/// The default means that nothing was counted, and nothing is concluded from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MulticastObservations {
    /// One-shot questions that the system accepted, once for each interface and family; they are replied to directly.
    pub oneshot_questions: u64,
    /// Ordinary (QM) questions from port 5353 that the system accepted; they are answered by multicast.
    pub ordinary_questions: u64,
    /// Replies of other hosts that arrived directly, by unicast.
    pub replies_by_unicast: u64,
    /// Responses and announcements of other hosts, of this mesh or any other, that arrived by multicast.
    pub received_by_multicast: u64,
    /// Set if this node received its own multicast in IPv4: `None` until one was sent and had time to arrive, or without IPv4.
    pub own_received_v4: Option<bool>,
    /// The same observation for IPv6.
    pub own_received_v6: Option<bool>,
    /// The system's errors for questions that it did not accept, once for each interface and kind.
    pub send_errors: Vec<SendError>,
    /// Set if another program holds UDP port 5353 exclusively, so that this node receives no multicast.
    pub port_taken: Option<bool>,
}

/// The error of a question that could not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// The interface.
    pub interface: String,
    /// The kind of the system's error.
    pub kind: io::ErrorKind,
    /// The system's error number.
    pub code: Option<i32>,
    /// The number of occurrences.
    pub count: u64,
}

/// The environment of this program: container, virtual machine and firewall.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The kind of container, such as `Docker`; empty if there is none, `None` if that is unknown.
    pub container: Option<String>,
    /// The kind of virtual machine, such as `VirtualBox`; empty or `None` likewise.
    pub virtual_machine: Option<String>,
    /// The active firewall of this host, if it is a known one.
    pub firewall: Option<HostFirewall>,
}

/// A firewall with a well-known name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFirewall {
    /// ufw, Ubuntu's firewall.
    Ufw,
    /// firewalld, Fedora's firewall.
    Firewalld,
}

impl Observations {
    /// Returns the interface with this name.
    pub(super) fn interface(&self, name: &str) -> Option<&InterfaceSeen> {
        self.interfaces.iter().flatten().find(|interface| interface.name == name)
    }

    /// Formats an address, with the name of its zone.
    pub(super) fn address_with_zone(&self, address: SocketAddr) -> String {
        let SocketAddr::V6(v6) = address else { return address.to_string() };
        let mut interfaces = self.interfaces.iter().flatten();
        let zone = interfaces.find(|interface| interface.index == Some(v6.scope_id()));
        format_address(address, zone.map(|interface| interface.name.as_str()))
    }

    /// Returns true if a service of another host is received.
    pub(super) fn receives_others(&self) -> bool {
        self.received.iter().any(|name| !self.received_here.contains(name))
    }

    /// Returns true if `ip` is an address of this host; `None` if its interfaces are unknown.
    pub(super) fn is_own(&self, ip: IpAddr) -> Option<bool> {
        let interfaces = self.interfaces.as_ref()?;
        let mut addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
        Some(ip.is_loopback() || addresses.any(|own| own.ip == ip))
    }

    /// Returns true if `ip` is in a network of this host; `None` if its interfaces are unknown.
    pub(super) fn is_near(&self, ip: IpAddr) -> Option<bool> {
        let interfaces = self.interfaces.as_ref()?;
        let mut addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
        Some(is_link_local(ip) || addresses.any(|own| own.shares_network_with(ip)))
    }

    /// Returns the state of `ip` in the neighbour table.
    pub fn neighbour(&self, ip: IpAddr) -> Neighbour {
        let entry = self.neighbours.iter().flatten().find(|(neighbour, _)| *neighbour == ip);
        entry.map(|(_, state)| *state).unwrap_or_default()
    }
}

impl TriedAddress {
    /// Formats the address, with the name of its zone.
    pub(super) fn address_text(&self) -> String {
        format_address(self.attempt.address, self.zone.as_deref())
    }
}

impl Neighbour {
    /// Returns true if it has answered at some time.
    pub(super) fn has_answered(self) -> bool {
        matches!(self, Self::Complete | Self::Stale)
    }
}

impl InterfaceSeen {
    /// Returns true if its kind suggests that it reaches other hosts.
    pub(super) fn leads_out(&self) -> bool {
        match self.kind {
            InterfaceKind::Wired | InterfaceKind::Wireless | InterfaceKind::Unknown => true,
            InterfaceKind::Loopback | InterfaceKind::Tunnel | InterfaceKind::Inner => false,
        }
    }

    /// Returns true if it has an address that it did not assign itself.
    pub(super) fn has_address(&self) -> bool {
        self.addresses.iter().any(|own| !is_link_local(own.ip) && !own.ip.is_loopback())
    }
}
