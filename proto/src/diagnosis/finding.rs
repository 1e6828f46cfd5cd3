//! A finding: one cause with its sentence and its remedy.

use std::fmt;

use serde::{Serialize, Serializer};

/// A cause that fits the observations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The cause.
    pub code: FindingCode,
    /// The problem, as a sentence.
    pub sentence: String,
    /// The remedy.
    pub remedy: String,
}

/// The distinct causes. Programs may rely on their text, such as `firewall-there-drops`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingCode {
    /// There are other meshes on the same network, and the service may be on one of them.
    OtherMesh,
    /// The choice of interfaces excludes those that lead to other hosts.
    InterfacesRestricted,
    /// An interface has no carrier: no cable, or no association with an access point.
    NoCarrier,
    /// An interface has no address, or only one that it assigned itself.
    NoAddress,
    /// The interfaces do not carry multicast.
    NoMulticast,
    /// This machine does not let packets out.
    OutgoingFilter,
    /// A firewall on this machine drops incoming mDNS.
    IncomingFilter,
    /// A firewall on this machine drops the direct replies to questions; those by multicast arrive.
    UnicastRepliesDropped,
    /// Another program holds UDP port 5353 for itself.
    PortTaken,
    /// The other host is up, and a firewall drops packets to the endpoint.
    FirewallThereDrops,
    /// The other host is up, and a firewall rejects packets to the endpoint.
    FirewallThereRejects,
    /// The other host is up, and nothing listens at the endpoint.
    ProcessGone,
    /// The other host does not answer at all: it is off, asleep or unplugged.
    HostSilent,
    /// The access point or switch isolates its clients.
    ClientsIsolated,
    /// The other host is in another network.
    OtherSubnet,
    /// Multicast does not arrive from hosts that are reachable directly.
    MulticastBlocked,
    /// Packets to the other host leave through a tunnel.
    VpnRoute,
    /// This program runs in a container's own network.
    Container,
    /// This program runs in a virtual machine behind address translation.
    VirtualMachine,
    /// A connection is accepted, and then nothing arrives.
    ProgramStalled,
    /// The other end speaks another protocol.
    OtherProtocol,
    /// The other end rejected the handshake.
    Declined,
    /// There is no answer, and the observations do not show the cause.
    NoAnswer,
    /// This mesh is received, and no node on it has the name.
    NotAdvertised,
    /// More services are known than the limit allows to store.
    LimitReached,
    /// Nothing of this mesh was received at all.
    NothingHeard,
}

impl FindingCode {
    /// Returns its text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherMesh => "other-mesh",
            Self::InterfacesRestricted => "interfaces-restricted",
            Self::NoCarrier => "no-carrier",
            Self::NoAddress => "no-address",
            Self::NoMulticast => "no-multicast",
            Self::OutgoingFilter => "outgoing-filter",
            Self::IncomingFilter => "incoming-filter",
            Self::UnicastRepliesDropped => "unicast-replies-dropped",
            Self::PortTaken => "port-taken",
            Self::FirewallThereDrops => "firewall-there-drops",
            Self::FirewallThereRejects => "firewall-there-rejects",
            Self::ProcessGone => "process-gone",
            Self::HostSilent => "host-silent",
            Self::ClientsIsolated => "clients-isolated",
            Self::OtherSubnet => "other-subnet",
            Self::MulticastBlocked => "multicast-blocked",
            Self::VpnRoute => "vpn-route",
            Self::Container => "container",
            Self::VirtualMachine => "virtual-machine",
            Self::ProgramStalled => "program-stalled",
            Self::OtherProtocol => "other-protocol",
            Self::Declined => "declined",
            Self::NoAnswer => "no-answer",
            Self::NotAdvertised => "not-advertised",
            Self::LimitReached => "limit-reached",
            Self::NothingHeard => "nothing-heard",
        }
    }
}

impl Serialize for FindingCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.sentence, self.remedy)
    }
}
