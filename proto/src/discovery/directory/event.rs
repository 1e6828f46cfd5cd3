//! The public view of services: instances, the source of an advert, and the changes it made.

use std::net::{IpAddr, SocketAddr};

use crate::id::{InstanceId, NodeId};
use crate::name::ServiceName;

/// One instance of a service, as returned by lookups.
///
/// ```
/// # use meshzero_proto::discovery::directory::Instance;
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
    /// The addresses at which its endpoint listens; the one that answered last comes first.
    pub addresses: Vec<SocketAddr>,
    /// Set if this node itself offers it.
    pub local: bool,
}

impl Instance {
    /// Returns the address to display and to pass on as text: the best that is not loopback, if there is one.
    pub fn address(&self) -> Option<SocketAddr> {
        let not_loopback = self.addresses.iter().find(|address| !address.ip().is_loopback());
        not_loopback.or(self.addresses.first()).copied()
    }
}

/// A change in the directory, as sent to watchers.
///
/// ```
/// # use meshzero_proto::discovery::directory::{DirectoryEvent as WatchEvent, DownReason, Instance};
/// # use meshzero_proto::id::{InstanceId, NodeId};
/// # use meshzero_proto::name::ServiceName;
/// # let service = ServiceName::new("robot/arm").expect("a name");
/// # let (id, node) = (InstanceId::from_random([1; 16]), NodeId::from_random([2; 16]));
/// # let instance = Instance { id, node, service, addresses: Vec::new(), local: false };
/// # let event = WatchEvent::Down { instance, reason: DownReason::NodeDied };
/// match &event {
///     WatchEvent::Up(instance) => println!("{} is there", instance.service),
///     WatchEvent::Moved(instance) => println!("{} is now at {:?}", instance.service, instance.address()),
///     WatchEvent::Down { instance, reason } => println!("{} is gone: {reason}", instance.service),
/// }
/// assert_eq!(event.instance().service.as_str(), "robot/arm");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryEvent {
    /// An instance is available.
    Up(Instance),
    /// An instance is gone.
    Down {
        /// The instance as it was last known.
        instance: Instance,
        /// The reason that became known.
        reason: DownReason,
    },
    /// An instance is reachable at other addresses than before.
    Moved(Instance),
}

impl DirectoryEvent {
    /// Returns the instance that the event is about.
    pub fn instance(&self) -> &Instance {
        match self {
            Self::Up(instance) | Self::Moved(instance) | Self::Down { instance, .. } => instance,
        }
    }
}

/// The reason why an instance is considered gone.
///
/// ```
/// # use meshzero_proto::discovery::directory::DownReason;
/// assert_eq!(DownReason::NodeDied.to_string(), "its process has ended");
/// assert_eq!(DownReason::Withdrawn.to_string(), "it was withdrawn");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownReason {
    /// Its node withdrew it.
    Withdrawn,
    /// Its address no longer answers, or another service answers there.
    Refused,
    /// Its addresses do not answer in time.
    Unreachable,
    /// The connection to its process broke and none of its endpoints answers.
    NodeDied,
    /// The directory is full, and this instance was reported but never proved.
    Evicted,
}

impl std::fmt::Display for DownReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Withdrawn => "it was withdrawn",
            Self::Refused => "its address does not answer any more",
            Self::Unreachable => "its addresses do not answer in time",
            Self::NodeDied => "its process has ended",
            Self::Evicted => "the directory is full",
        })
    }
}

/// The source of an advert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdvertSource {
    /// This node offers the service itself.
    Local,
    /// A multicast announcement, or the mDNS cache's copy of one.
    Mdns,
    /// A direct reply, from this host, to a recent question of this node.
    Reply(IpAddr),
    /// A node that this one dialled. Its reports on its own services are proved by the handshake.
    Peer(NodeId),
    /// A node that dialled this one. Its reports prove nothing.
    Caller(NodeId),
}

/// The changes made by one update.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Events for watchers, in order.
    pub events: Vec<DirectoryEvent>,
    /// Instances that have more addresses than before, or more useful ones, and have not moved: for tasks that are connecting to
    /// them.
    pub grown: Vec<Instance>,
    /// Instances with a claim that only their endpoints can settle: probe them, then call
    /// [`record_proof`](super::Directory::record_proof) or [`remove_instance`](super::Directory::remove_instance).
    pub doubts: Vec<InstanceId>,
    /// Instances with newly claimed addresses that need no probe: for tasks that are connecting to them.
    pub claimed: Vec<InstanceId>,
    /// A node whose first instance was hidden because of the limit of instances per node, to be reported to the user.
    pub hides: Option<NodeId>,
}

impl Changes {
    /// Adds the changes of `later`.
    pub fn append(&mut self, mut later: Changes) {
        self.events.append(&mut later.events);
        self.grown.append(&mut later.grown);
        self.doubts.append(&mut later.doubts);
        self.claimed.append(&mut later.claimed);
        self.hides = self.hides.or(later.hides);
    }
}
