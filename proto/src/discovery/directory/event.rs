//! What is said about services: instances, where an advert was heard, and what a piece of news changed.

use std::net::{IpAddr, SocketAddr};

use crate::id::{InstanceId, NodeId};
use crate::name::ServiceName;

/// One instance of a service, as handed out to those who look for it.
///
/// ```
/// # use meshzero_proto::directory::Instance;
/// # use meshzero_proto::id::{InstanceId, NodeId};
/// # use meshzero_proto::name::ServiceName;
/// # let service = ServiceName::new("robot/arm").expect("a name");
/// # let addresses: Vec<std::net::SocketAddr> =
/// #     ["127.0.0.1:9000", "192.168.1.7:9000"].map(|text| text.parse().expect("an address")).to_vec();
/// # let (id, node) = (InstanceId::from_random([1; 16]), NodeId::from_random([2; 16]));
/// let arm = Instance { id, node, service, addresses, local: false };
/// assert_eq!(arm.addresses[0].to_string(), "127.0.0.1:9000");
/// assert_eq!(arm.address().expect("it has one").to_string(), "192.168.1.7:9000");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its identity.
    pub id: InstanceId,
    /// The node that offers it.
    pub node: NodeId,
    /// Its name.
    pub service: ServiceName,
    /// Where its endpoint listens; the address that answered last comes first.
    pub addresses: Vec<SocketAddr>,
    /// It is offered by this very node.
    pub local: bool,
}

impl Instance {
    /// The address to show to people, and to pass on as text: the best that is not loopback, where there is one.
    pub fn address(&self) -> Option<SocketAddr> {
        let elsewhere = self.addresses.iter().find(|address| !address.ip().is_loopback());
        elsewhere.or(self.addresses.first()).copied()
    }
}

/// What changed in the directory, as told to those who watch it.
///
/// ```
/// # use meshzero_proto::directory::{DirectoryEvent as WatchEvent, Instance, Why};
/// # use meshzero_proto::id::{InstanceId, NodeId};
/// # use meshzero_proto::name::ServiceName;
/// # let service = ServiceName::new("robot/arm").expect("a name");
/// # let (id, node) = (InstanceId::from_random([1; 16]), NodeId::from_random([2; 16]));
/// # let instance = Instance { id, node, service, addresses: Vec::new(), local: false };
/// # let event = WatchEvent::Down { instance, why: Why::NodeDied };
/// match &event {
///     WatchEvent::Up(instance) => println!("{} is there", instance.service),
///     WatchEvent::Moved(instance) => println!("{} is now at {:?}", instance.service, instance.address()),
///     WatchEvent::Down { instance, why } => println!("{} is gone: {why}", instance.service),
/// }
/// assert_eq!(event.instance().service.as_str(), "robot/arm");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryEvent {
    /// An instance is there.
    Up(Instance),
    /// An instance is gone.
    Down {
        /// Which one, as it was last known.
        instance: Instance,
        /// How that became known.
        why: DownReason,
    },
    /// An instance is to be reached at other addresses than before.
    Moved(Instance),
}

impl DirectoryEvent {
    /// The instance that the event is about.
    pub fn instance(&self) -> &Instance {
        match self {
            Self::Up(instance) | Self::Moved(instance) | Self::Down { instance, .. } => instance,
        }
    }
}

/// How it became known that an instance is gone.
///
/// ```
/// # use meshzero_proto::directory::Why;
/// assert_eq!(Why::NodeDied.to_string(), "its process has ended");
/// assert_eq!(Why::Withdrawn.to_string(), "it was withdrawn");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownReason {
    /// Its node said goodbye.
    Withdrawn,
    /// Its address answers no more, or another service answers there.
    Refused,
    /// Its addresses do not answer in time.
    Unreachable,
    /// The connection to its process broke and none of its endpoints answers.
    NodeDied,
    /// The directory is full, and this instance was only heard of, not proved.
    Displaced,
}

impl std::fmt::Display for DownReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Withdrawn => "it was withdrawn",
            Self::Refused => "its address does not answer any more",
            Self::Unreachable => "its addresses do not answer in time",
            Self::NodeDied => "its process has ended",
            Self::Displaced => "the directory is full",
        })
    }
}

/// Where an advert was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdvertSource {
    /// This node offers the service itself.
    Local,
    /// A multicast announcement, or what the mDNS cache remembers of one.
    Mdns,
    /// A direct reply, from this host, to a question that this node asked just now.
    Reply(IpAddr),
    /// A node that this one dialled told it. What it tells of its own services is proved by the handshake.
    Peer(NodeId),
    /// A node that dialled this one told it, and has proved nothing.
    Caller(NodeId),
}

/// What one piece of news changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// For those who watch, in order.
    pub events: Vec<DirectoryEvent>,
    /// Instances that are known at more addresses than before, or at others that are more useful, and are still where they were:
    /// for those who are connecting to them.
    pub grown: Vec<Instance>,
    /// Instances about which something was claimed that only their endpoints can settle: ask them, then call
    /// [`verified`](super::Directory::verified) or [`gone`](super::Directory::gone).
    pub doubts: Vec<InstanceId>,
    /// Instances for which more addresses were claimed that need not be asked about: for those who are connecting to them.
    pub claimed: Vec<InstanceId>,
    /// A node of which the first instance is not kept, because it has as many as are kept of one: to be told to somebody.
    pub hides: Option<NodeId>,
}

impl Changes {
    /// Adds what `later` changed.
    pub fn append(&mut self, mut later: Changes) {
        self.events.append(&mut later.events);
        self.grown.append(&mut later.grown);
        self.doubts.append(&mut later.doubts);
        self.claimed.append(&mut later.claimed);
        self.hides = self.hides.or(later.hides);
    }
}
