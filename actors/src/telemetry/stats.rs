//! The statistics of a node, as plain data: per link, per service, and for the node.
//!
//! Counters begin at 0 and never go down. While messages flow, two numbers may be from
//! slightly different moments.

use std::net::SocketAddr;

use actix::Message;
use meshzero_proto::id::NodeId;
use meshzero_proto::name::MeshName;
use meshzero_proto::news::Missed;
use serde::{Deserialize, Serialize};

/// The statistics of a node since it joined. They are plain data for serde.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// The node's mesh.
    pub mesh: MeshName,
    /// The node's identity.
    #[serde(with = "text")]
    pub node: NodeId,
    /// The traffic of its connections for messages.
    #[serde(default)]
    pub traffic: Traffic,
    /// Its knowledge of the mesh.
    #[serde(default)]
    pub discovery: DiscoveryStats,
    /// The services that it offers, in the order of their names.
    #[serde(default)]
    pub services: Vec<ServiceStats>,
    /// The services that it calls, in the order of their names.
    #[serde(default)]
    pub routes: Vec<RouteStats>,
    /// Its subscriptions, in the order of the services that they follow.
    #[serde(default)]
    pub subscriptions: Vec<SubscriptionStats>,
}

/// A request for the statistics of a node.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Stats")]
pub(crate) struct GetStats;

/// The traffic of a node's connections: requests, replies and news, not discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes that have arrived.
    pub bytes_read: u64,
    /// Bytes that the system has accepted.
    pub bytes_written: u64,
    /// System calls that returned bytes.
    pub reads: u64,
    /// System calls that accepted bytes.
    pub writes: u64,
    /// Dials made because a connection had stalled.
    pub races: u64,
    /// Links that were resumed over such a connection, because it completed the handshake before the old one made progress.
    pub races_won: u64,
}

/// A node's knowledge of the mesh, and counts of the instances that it did not add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DiscoveryStats {
    /// Instances that are known, of all services.
    pub instances: u64,
    /// Instances that were evicted to make room for others.
    pub evicted: u64,
    /// Instances that were not added, because there was no room and none could be evicted.
    pub refused: u64,
    /// Daemons for multicast DNS announcements that were replaced, because they died, stored too many records or could not
    /// share their port.
    pub mdns_restarts: u64,
    /// One-shot questions, whose answers go to this node alone. They are asked during a search for a service.
    pub one_shot_queries: u64,
    /// Ordinary questions, whose answers are multicast. They are asked where no direct reply arrives, and at long intervals for
    /// watchers.
    pub multicast_queries: u64,
    /// Services in direct replies.
    pub replies: u64,
    /// Services in announcements and in multicast answers, of any mesh.
    pub announcements: u64,
}

/// The statistics of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ServiceStats {
    /// Its name; its address, if it has none.
    pub service: String,
    /// Messages that arrived over links and were passed to the actor.
    pub messages: u64,
    /// Messages that are unfinished at the moment, including those of this process.
    pub unfinished: u64,
    /// The number of times that its actor was restarted after a panic.
    pub restarts: u64,
    /// Messages that were not handled, and requests without a reply.
    pub requests: RequestCounts,
    /// The items that it published.
    pub news: NewsCounts,
    /// Connections to its endpoint.
    pub connections: ConnectionCounts,
    /// The links with the most bytes waiting, [`MAX_LINKS`] at most.
    pub links: Vec<LinkStats>,
}

/// Messages of a service that were not handled, and requests without a reply, by the reason. They count messages from links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RequestCounts {
    /// The deadline passed while they waited. The callers were notified that they were not handled.
    pub expired: u64,
    /// The caller cancelled or dropped the call before there was a reply. Those that waited were not handled.
    pub cancelled: u64,
    /// The caller had reached its limit of requests under way.
    pub busy: u64,
    /// The service has no handler for messages of their type.
    pub no_handler: u64,
    /// They did not decode.
    pub undecodable: u64,
    /// The service was closing.
    pub draining: u64,
    /// The handler panicked, or its actor ended, before there was a reply.
    pub panicked: u64,
    /// The reply could not be sent: it was too long, or could not be encoded.
    pub bad_reply: u64,
}

impl RequestCounts {
    /// Returns all counts, each with the name of its reason.
    pub fn by_reason(&self) -> [(&'static str, u64); 8] {
        [
            ("expired", self.expired),
            ("cancelled", self.cancelled),
            ("busy", self.busy),
            ("no_handler", self.no_handler),
            ("undecodable", self.undecodable),
            ("draining", self.draining),
            ("panicked", self.panicked),
            ("bad_reply", self.bad_reply),
        ]
    }
}

/// The items that one service published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewsCounts {
    /// Items that were published.
    pub published: u64,
    /// Items that were refused, because their topic waits for subscribers and had no room.
    pub refused: u64,
    /// Items that were delivered to the connections of subscribers, counted once for each subscriber.
    pub delivered: u64,
    /// Items that subscribers have missed, by the reason, counted once for each subscriber.
    pub missed: Missed,
    /// Waits for a slow subscriber that timed out, see
    /// [`Limits::news_patience`](meshzero_proto::limits::Limits::news_patience).
    pub given_up: u64,
    /// Subscriptions at the moment.
    pub subscribers: usize,
}

/// The connections to one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Links that are open at the moment, including those whose clients have yet to reconnect.
    pub open: u64,
    /// Links that were opened.
    pub opened: u64,
    /// Links that were resumed over another connection.
    pub resumed: u64,
    /// Links that were given up, because their clients did not reconnect or broke the protocol.
    pub given_up: u64,
    /// Connections that were rejected with a reason: another mesh, another instance, closing, no room, an unknown link.
    pub rejected: u64,
    /// Connections that were closed because they did not complete the handshake.
    pub handshake_failed: u64,
}

/// The statistics of one service that a node calls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RouteStats {
    /// The name, or the `ip:port`, by which it was discovered.
    pub service: String,
    /// Exceptional events of messages.
    pub calls: CallCounts,
    /// The links to its instances, [`MAX_LINKS`] at most.
    pub links: Vec<LinkStats>,
}

/// Exceptional events of messages to a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CallCounts {
    /// Calls that were retried, counted once for each retry.
    pub retries: u64,
    /// Calls that were not retried, because the budget of retries was used up.
    pub over_budget: u64,
    /// Ejections of instances that had failed several times in a row.
    pub ejected: u64,
    /// Calls that tested whether an ejected instance works again.
    pub probes: u64,
    /// Messages that `do_send` dropped, because they could not be sent at once.
    pub dropped: u64,
}

/// The statistics of one of a node's subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SubscriptionStats {
    /// The name, the group or the `ip:port` that it follows.
    pub service: String,
    /// The beginning of the topics of its items.
    pub topic: String,
    /// Missed items that were reported to the subscriber, by the reason.
    pub missed: Missed,
    /// Notifications of the subscriber that a publisher is gone.
    pub lost: u64,
    /// The links to its publishers in other processes, [`MAX_LINKS`] at most.
    pub links: Vec<LinkStats>,
}

/// The most links that are listed for one service.
pub(crate) const MAX_LINKS: usize = 64;

/// The current state of one end of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkStats {
    /// The node at the other end.
    #[serde(with = "text")]
    pub node: NodeId,
    /// The address at which that node was last reached, or from which it last connected. A client that connected over a Unix
    /// socket has none: in its place stands the loopback address with the number of the connection.
    pub address: SocketAddr,
    /// Its purpose.
    pub purpose: LinkPurpose,
    /// The transport of its connection, or of the last one while there is none.
    #[serde(default)]
    pub transport: LinkTransport,
    /// Set if there is a connection. Without one, the link waits for the next.
    pub attached: bool,
    /// The number of times that it was resumed over another connection.
    pub resumed: u64,
    /// Bytes that this end has written.
    pub written: u64,
    /// Bytes of these that the other end has acknowledged. It does so from time to time, and on request.
    pub acknowledged: u64,
    /// Bytes that wait to be written.
    pub waiting: u64,
    /// Bytes of results that callers have not read yet, of calls whose slots were already freed for others.
    #[serde(default)]
    pub unread: u64,
}

/// The purpose of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LinkPurpose {
    /// Requests, tells and replies.
    Requests,
    /// One subscription.
    News,
}

/// The transport of a link's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LinkTransport {
    /// TCP.
    #[default]
    Tcp,
    /// A Unix socket: both ends are processes of one user on one host.
    Unix,
}

impl LinkTransport {
    /// Returns its name, as in JSON: `tcp` or `unix`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
        }
    }
}

impl LinkStats {
    /// Creates the statistics of a link on which nothing has happened.
    pub(crate) fn new(node: NodeId, address: SocketAddr, purpose: LinkPurpose) -> Self {
        Self {
            node,
            address,
            purpose,
            transport: LinkTransport::default(),
            attached: true,
            resumed: 0,
            written: 0,
            acknowledged: 0,
            waiting: 0,
            unread: 0,
        }
    }
}

/// Returns the links to list: those with the most bytes waiting first.
pub(crate) fn listed(mut links: Vec<LinkStats>) -> Vec<LinkStats> {
    links.sort_by(|left, right| right.waiting.cmp(&left.waiting).then(left.address.cmp(&right.address)));
    links.truncate(MAX_LINKS);
    links
}

impl Stats {
    /// Returns the JSON that is sent, for [`Stats::from_bytes`].
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always encode")
    }

    /// Reads the JSON that was received.
    ///
    /// # Errors
    /// The part that does not decode, as text.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// The text form of an identity.
mod text {
    use meshzero_proto::id::NodeId;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(node: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(node)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(port: u16, waiting: u64) -> LinkStats {
        let link =
            LinkStats::new(NodeId::from_random([1; 16]), ([127, 0, 0, 1], port).into(), LinkPurpose::News);
        LinkStats { waiting, ..link }
    }

    #[test]
    fn the_links_with_the_most_bytes_waiting_are_listed() {
        let links = (0..100).map(|port| link(port, u64::from(port / 2))).collect();
        let listed = listed(links);
        assert_eq!(listed.len(), MAX_LINKS);
        assert_eq!((listed[0].clone(), listed[1].clone()), (link(98, 49), link(99, 49)));
    }

    #[test]
    fn unknown_fields_of_another_version_are_ignored() {
        let node = NodeId::from_random([1; 16]);
        let json = format!(r#"{{"mesh":"m","node":"{node}","routes":[{{"service":"a","hue":"blue"}}]}}"#);
        let stats = Stats::from_bytes(json.as_bytes()).expect("stats");
        let route = RouteStats { service: "a".to_owned(), ..RouteStats::default() };
        assert_eq!((stats.node, &stats.routes), (node, &vec![route]));
        assert_eq!(Stats::from_bytes(&stats.to_bytes()), Ok(stats));
        assert!(Stats::from_bytes(br#"{"mesh":"m","node":"1"}"#).is_err());
    }
}
