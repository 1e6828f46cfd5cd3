//! What was observed, as plain data. `None`, and `Unknown`, say that nobody could look.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::attempt::{Attempt, named};
use crate::discovery::addresses::{OwnAddress, is_link_local};

/// All that is known when something was not found or not reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observations {
    /// What was looked for.
    pub sought: Sought,
    /// The mesh that was looked on.
    pub mesh: String,
    /// The endpoints of what was looked for that were announced or named, and did not answer.
    pub endpoints: Vec<SilentEndpoint>,
    /// What else is known to be in the way.
    pub trouble: Option<String>,
    /// The names of services heard on this mesh, in alphabetical order.
    pub heard: Vec<String>,
    /// Those of them that are on this host only: they say nothing about the way to others.
    pub heard_here: Vec<String>,
    /// How many more instances are known of and not kept, because their nodes have as many as are kept of one.
    pub hidden: usize,
    /// How many are kept of one node.
    pub instances_per_node: usize,
    /// The names of other meshes that were heard.
    pub other_meshes: Vec<String>,
    /// The static peers that are not connected.
    pub peers: Vec<StaticPeer>,
    /// The hosts of the nodes that are connected.
    pub connected: Vec<IpAddr>,
    /// The choice of interfaces as it was made; `None` means all of them.
    pub chosen_interfaces: Option<String>,
    /// All interfaces of this host, loopback included; `None` where they cannot be listed.
    pub interfaces: Option<Vec<InterfaceSeen>>,
    /// Whether the network has multicast at all; one that stands in for the system's may have none.
    pub has_multicast: bool,
    /// What became of this node's multicast.
    pub multicast: MulticastObservations,
    /// The neighbours that the system knows of, with what it knows of each; `None` where it does not tell.
    pub neighbours: Option<Vec<(IpAddr, Neighbour)>>,
    /// The routers through which this host sends to other networks.
    pub gateways: Vec<IpAddr>,
    /// What this program runs in.
    pub surroundings: Surroundings,
}

/// What was looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sought {
    /// Everything there is.
    #[default]
    Everything,
    /// All services whose name begins so.
    Group(String),
    /// One name.
    Name(String),
    /// One address.
    Address(SocketAddr),
}

/// An endpoint that did not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SilentEndpoint {
    /// The service that was announced there; `None` where only the address is known.
    pub service: Option<String>,
    /// How long ago its own process last replied to a question by itself, which proves that it ran.
    pub replied_ago: Option<Duration>,
    /// The addresses that were tried.
    pub tried: Vec<TriedAddress>,
}

/// An address that was tried, with what the system says about the way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedAddress {
    /// The attempt.
    pub attempt: Attempt,
    /// What the system knows of the host as a neighbour.
    pub neighbour: Neighbour,
    /// The interface that packets to it leave by.
    pub leaves_by: Option<String>,
    /// What the other end said when it declined, or what it seems to be instead.
    pub said: Option<String>,
    /// The name of the interface that is the zone of a link-local address.
    pub zone: Option<String>,
}

/// What the system's table of neighbours (ARP for IPv4) says about a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Neighbour {
    /// Its hardware address is known, and it has answered since it was dialled.
    Complete,
    /// Its hardware address is known from before, which says nothing about now.
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
    /// As it was given.
    pub peer: String,
    /// What is in the way.
    pub trouble: String,
    /// The addresses that were tried last.
    pub tried: Vec<TriedAddress>,
}

/// One interface of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceSeen {
    /// The system's name for it.
    pub name: String,
    /// The system's number for it, where it is known.
    pub index: Option<u32>,
    /// What it is.
    pub kind: InterfaceKind,
    /// Whether this node uses it.
    pub chosen: bool,
    /// Whether it is switched on.
    pub up: Option<bool>,
    /// Whether it has a carrier: a cable with a live other end, or an association with an access point.
    pub carrier: Option<bool>,
    /// Whether it carries multicast.
    pub multicast: Option<bool>,
    /// Its addresses.
    pub addresses: Vec<OwnAddress>,
}

/// What an interface is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InterfaceKind {
    /// The host itself.
    Loopback,
    /// Wired, or something that behaves like it.
    Wired,
    /// Wi-Fi.
    Wireless,
    /// A tunnel, such as a VPN's.
    Tunnel,
    /// A bridge or the like inside this host, such as Docker's.
    Inner,
    /// Nobody could look.
    #[default]
    Unknown,
}

/// What became of this node's multicast: filled in by the part that asks and listens.
///
/// The default says that nobody counted, and nothing is concluded from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MulticastObservations {
    /// One-shot questions that the system took, once for each interface and family; they are replied to directly.
    pub oneshot_questions: u64,
    /// Ordinary (QM) questions from port 5353 that the system took; they are answered by multicast.
    pub ordinary_questions: u64,
    /// Replies of other hosts that came directly, by unicast.
    pub replies_by_unicast: u64,
    /// Responses and announcements of other hosts, of this mesh or any other, that came by multicast.
    pub heard_by_multicast: u64,
    /// Whether this node's own multicast was heard back by IPv4: `None` before one was sent and given time, or without IPv4.
    pub own_heard_v4: Option<bool>,
    /// The same by IPv6.
    pub own_heard_v6: Option<bool>,
    /// What the system said to questions that it did not take, once for each interface and kind.
    pub send_errors: Vec<SendError>,
    /// Whether another program holds UDP port 5353 for itself, so that this node hears no multicast.
    pub port_taken: Option<bool>,
}

/// Why a question could not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// The interface.
    pub interface: String,
    /// What the system said.
    pub kind: io::ErrorKind,
    /// The number that it gave.
    pub code: Option<i32>,
    /// How often.
    pub count: u64,
}

/// What this program runs in, and what guards it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The kind of container, such as `Docker`; empty if it is none, `None` where nobody could look.
    pub container: Option<String>,
    /// The kind of virtual machine, such as `VirtualBox`; likewise.
    pub virtual_machine: Option<String>,
    /// The firewall that is switched on here, if a known one is.
    pub firewall: Option<HostFirewall>,
}

/// A firewall that people know by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFirewall {
    /// Ubuntu's.
    Ufw,
    /// Fedora's.
    Firewalld,
}

impl Observations {
    /// The interface with this name.
    pub(super) fn interface(&self, name: &str) -> Option<&InterfaceSeen> {
        self.interfaces.iter().flatten().find(|interface| interface.name == name)
    }

    /// An address, with the name of its zone.
    pub(super) fn named(&self, address: SocketAddr) -> String {
        let SocketAddr::V6(v6) = address else { return address.to_string() };
        let mut interfaces = self.interfaces.iter().flatten();
        let zone = interfaces.find(|interface| interface.index == Some(v6.scope_id()));
        named(address, zone.map(|interface| interface.name.as_str()))
    }

    /// Returns whether a service of another host is heard.
    pub(super) fn hears_others(&self) -> bool {
        self.heard.iter().any(|name| !self.heard_here.contains(name))
    }

    /// Returns whether `ip` is an address of this host; `None` where its interfaces are unknown.
    pub(super) fn is_own(&self, ip: IpAddr) -> Option<bool> {
        let interfaces = self.interfaces.as_ref()?;
        let mut addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
        Some(ip.is_loopback() || addresses.any(|own| own.ip == ip))
    }

    /// Returns whether `ip` is in a network of this host; `None` where its interfaces are unknown.
    pub(super) fn is_near(&self, ip: IpAddr) -> Option<bool> {
        let interfaces = self.interfaces.as_ref()?;
        let mut addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
        Some(is_link_local(ip) || addresses.any(|own| own.shares_network_with(ip)))
    }

    /// What the table of neighbours says of `ip`.
    pub fn neighbour(&self, ip: IpAddr) -> Neighbour {
        let known = self.neighbours.iter().flatten().find(|(neighbour, _)| *neighbour == ip);
        known.map(|(_, state)| *state).unwrap_or_default()
    }
}

impl TriedAddress {
    /// The address, with the name of its zone.
    pub(super) fn place(&self) -> String {
        named(self.attempt.address, self.zone.as_deref())
    }
}

impl Neighbour {
    /// Returns whether it has answered at some time.
    pub(super) fn has_answered(self) -> bool {
        matches!(self, Self::Complete | Self::Stale)
    }
}

impl InterfaceSeen {
    /// Returns whether others may be reached by it, as far as its kind says.
    pub(super) fn leads_out(&self) -> bool {
        match self.kind {
            InterfaceKind::Wired | InterfaceKind::Wireless | InterfaceKind::Unknown => true,
            InterfaceKind::Loopback | InterfaceKind::Tunnel | InterfaceKind::Inner => false,
        }
    }

    /// Returns whether it has an address that somebody gave it.
    pub(super) fn has_address(&self) -> bool {
        self.addresses.iter().any(|own| !is_link_local(own.ip) && !own.ip.is_loopback())
    }
}
