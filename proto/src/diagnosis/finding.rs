//! One cause with its sentence and its remedy.

use std::fmt;

use serde::{Serialize, Serializer};

/// A cause that fits what was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which cause it is.
    pub code: FindingCode,
    /// What is the matter.
    pub sentence: String,
    /// What to do about it.
    pub remedy: String,
}

/// The causes that are told apart. Programs may rely on their text, such as `firewall-there-drops`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingCode {
    /// There are other meshes on the same network, and what is sought may be on one of them.
    OtherMesh,
    /// The choice of interfaces leaves out those that lead to others.
    InterfacesRestricted,
    /// An interface has no carrier: no cable, or no association with an access point.
    NoCarrier,
    /// An interface has no address, or only one that it gave itself.
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
    /// The other host is there, and a firewall drops what is sent to the endpoint.
    FirewallThereDrops,
    /// The other host is there, and a firewall rejects what is sent to the endpoint.
    FirewallThereRejects,
    /// The other host is there, and nothing listens at the endpoint.
    ProcessGone,
    /// The other host does not answer at all: it is off, asleep or unplugged.
    HostSilent,
    /// The access point or switch keeps its clients apart.
    ClientsIsolated,
    /// The other host is in another network.
    OtherSubnet,
    /// Multicast does not arrive from hosts that can be reached directly.
    MulticastBlocked,
    /// Packets to the other host leave by a tunnel.
    VpnRoute,
    /// This program runs in a container's own network.
    Container,
    /// This program runs in a virtual machine behind address translation.
    VirtualMachine,
    /// A connection is accepted, and then nothing comes.
    ProgramStalled,
    /// The other end speaks another protocol.
    OtherProtocol,
    /// The other end declined.
    Declined,
    /// No answer, and what was observed does not say why.
    NoAnswer,
    /// This mesh is heard, and nobody on it has the name.
    NotAdvertised,
    /// More services are known of than are kept.
    LimitReached,
    /// Nothing of this mesh was heard at all.
    NothingHeard,
}

impl FindingCode {
    /// Its text.
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
