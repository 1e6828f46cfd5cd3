//! The statistics of a node, as plain data: per link, per service, and for the node.
//!
//! Counters begin at 0 when what they count begins, and never go down. While messages flow, two numbers may be from
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
    /// The mesh that the node is on.
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
    /// Its subscriptions, in the order of whom they follow.
    #[serde(default)]
    pub subscriptions: Vec<SubscriptionStats>,
}

/// Asks for what a node has counted.
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
    /// Bytes that the system has taken.
    pub bytes_written: u64,
    /// System calls that brought bytes.
    pub reads: u64,
    /// System calls that took bytes.
    pub writes: u64,
    /// Dials beside connections that had stalled.
    pub races: u64,
    /// Links that continued over such a connection, because it completed the handshake before the old one carried again.
    pub races_won: u64,
}

/// A node's knowledge of the mesh, and the instances that it did not take in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DiscoveryStats {
    /// Instances that are known, of all services.
    pub instances: u64,
    /// Instances that made way for others, because there was no room.
    pub evicted: u64,
    /// Instances that were not taken in, because nothing made way for them.
    pub refused: u64,
    /// Times that the daemon that announces by multicast DNS was replaced, because it died, remembered too much or could not
    /// share its port.
    pub mdns_restarts: u64,
    /// One-shot questions, whose answers go to this node alone. They are asked when a service is sought.
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
    /// Messages that arrived over links and were handed to the actor.
    pub messages: u64,
    /// Messages that are unfinished at the moment, those of this process among them.
    pub unfinished: u64,
    /// Times that its actor was restarted after a panic.
    pub restarts: u64,
    /// Messages that were not handled, and requests that have no reply.
    pub requests: RequestCounts,
    /// The items that it published.
    pub news: NewsCounts,
    /// Connections to its endpoint.
    pub connections: ConnectionCounts,
    /// The links that have most bytes waiting, [`MOST_LINKS`] at most.
    pub links: Vec<LinkStats>,
}

/// Messages of a service that were not handled, and requests that have no reply, by the reason. Those that came over links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RequestCounts {
    /// Their deadline passed while they waited. Their callers were told that they were not handled.
    pub expired: u64,
    /// Their callers gave up, or dropped the call, before there was a reply. Those that waited were not handled.
    pub cancelled: u64,
    /// The caller had as many requests under way as it may.
    pub busy: u64,
    /// Nothing handles messages of their type.
    pub no_handler: u64,
    /// They did not decode.
    pub undecodable: u64,
    /// The service was closing.
    pub draining: u64,
    /// The handler panicked, or its actor ended, before there was a reply.
    pub panicked: u64,
    /// There was a reply that could not travel: it was too long, or could not be encoded.
    pub bad_reply: u64,
}

impl RequestCounts {
    /// All of them, each with its reason as a word.
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
    /// Items that were not, because their topic waits for subscribers and there was no room.
    pub refused: u64,
    /// Items that were handed to the connections of subscribers, each as often as there were subscribers.
    pub delivered: u64,
    /// Items that subscribers have missed, by the reason, each as often as there were subscribers.
    pub missed: Missed,
    /// Times that a subscriber was waited for in vain, see
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
    /// Links that are open at the moment, those among them that wait for their clients to come back.
    pub open: u64,
    /// Links that were begun.
    pub opened: u64,
    /// Times that a link went on over another connection.
    pub resumed: u64,
    /// Links that were given up, because their clients did not come back or broke the protocol.
    pub given_up: u64,
    /// Connections that were turned away and told why: another mesh, another instance, closing, no room, an unknown link.
    pub rejected: u64,
    /// Connections that were closed because they never said hello.
    pub handshake_failed: u64,
}

/// The statistics of one service that a node calls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RouteStats {
    /// The name, or the `ip:port`, that it was discovered by.
    pub service: String,
    /// Messages that were not simply sent.
    pub calls: CallCounts,
    /// The links to its instances, [`MOST_LINKS`] at most.
    pub links: Vec<LinkStats>,
}

/// Messages to a service that were not simply sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CallCounts {
    /// Calls were tried again so often.
    pub retries: u64,
    /// Calls that would have been tried again, but for the budget of retries.
    pub over_budget: u64,
    /// Instances were set aside so often, because they had failed several times in a row.
    pub ejected: u64,
    /// Calls that have found out whether an instance that was set aside works again.
    pub probes: u64,
    /// Messages that `do_send` has given up, because they could not be sent at once.
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
    /// Items that the subscriber has been told it missed, by the reason.
    pub missed: Missed,
    /// Times that the subscriber was told that a publisher is gone.
    pub lost: u64,
    /// The links to its publishers in other processes, [`MOST_LINKS`] at most.
    pub links: Vec<LinkStats>,
}

/// The most links that are listed for one service.
pub(crate) const MOST_LINKS: usize = 64;

/// One end of a link as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkStats {
    /// The node at the other end.
    #[serde(with = "text")]
    pub node: NodeId,
    /// The address at which that was reached, or from which it came, last.
    pub address: SocketAddr,
    /// Its purpose.
    pub purpose: LinkPurpose,
    /// Set if there is a connection. Without one, the link waits for the next.
    pub attached: bool,
    /// Times that it went on over another connection.
    pub resumed: u64,
    /// Bytes that this end has written.
    pub written: u64,
    /// Bytes of these that the other end has acknowledged. It does so now and then, or when it is asked.
    pub acknowledged: u64,
    /// Bytes that wait to be written.
    pub waiting: u64,
    /// Bytes of results of calls that gave their places to others before their callers looked.
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

impl LinkStats {
    /// A link on which nothing has happened.
    pub(crate) fn new(node: NodeId, address: SocketAddr, carries: LinkPurpose) -> Self {
        Self {
            node,
            address,
            purpose: carries,
            attached: true,
            resumed: 0,
            written: 0,
            acknowledged: 0,
            waiting: 0,
            unread: 0,
        }
    }
}

/// The links that are listed: those with most bytes waiting first.
pub(crate) fn listed(mut links: Vec<LinkStats>) -> Vec<LinkStats> {
    links.sort_by(|one, other| other.waiting.cmp(&one.waiting).then(one.address.cmp(&other.address)));
    links.truncate(MOST_LINKS);
    links
}

impl Stats {
    /// The JSON bytes that travel, read by [`Stats::from_bytes`].
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always encode")
    }

    /// Reads what travelled.
    ///
    /// # Errors
    /// The part that does not decode, as text.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// An identity as it is written for people.
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
    fn the_links_that_have_most_waiting_are_listed() {
        let links = (0..100).map(|port| link(port, u64::from(port / 2))).collect();
        let listed = listed(links);
        assert_eq!(listed.len(), MOST_LINKS);
        assert_eq!((listed[0].clone(), listed[1].clone()), (link(98, 49), link(99, 49)));
    }

    #[test]
    fn what_another_version_does_not_know_is_not_there() {
        let node = NodeId::from_random([1; 16]);
        let json = format!(r#"{{"mesh":"m","node":"{node}","routes":[{{"service":"a","hue":"blue"}}]}}"#);
        let stats = Stats::from_bytes(json.as_bytes()).expect("stats");
        let route = RouteStats { service: "a".to_owned(), ..RouteStats::default() };
        assert_eq!((stats.node, &stats.routes), (node, &vec![route]));
        assert_eq!(Stats::from_bytes(&stats.to_bytes()), Ok(stats));
        assert!(Stats::from_bytes(br#"{"mesh":"m","node":"1"}"#).is_err());
    }
}
