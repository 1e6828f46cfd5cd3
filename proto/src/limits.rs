//! The limits of a node, each with its purpose and the cost of raising it.

use std::time::Duration;

/// The limits of a node. Plain data: start with [`Limits::default`] and change fields as needed.
///
/// A time may be up to [`Duration::MAX`], which means never.
///
/// ```
/// # use meshzero_proto::limits::Limits;
/// use std::time::Duration;
///
/// let mut limits = Limits::default();
/// assert_eq!(limits.message_bytes, 1_048_576);
/// limits.message_bytes = 16 << 20;
/// limits.request_timeout = Duration::from_secs(30);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest encoded message, reply or news item, in bytes. Default 1 MiB, at most 64 MiB. A connection may hold this much per
    /// direction before the message is complete, and each call of a caller as much of its reply, if that is longer than 64 KiB;
    /// all connections of an endpoint together `connections` times as much. Memory is reserved as bytes arrive.
    pub message_bytes: usize,
    /// Memory that decoding one message may use, as a multiple of `message_bytes`. Default 16. While a list grows, up to three
    /// times as much may be in use.
    pub decoded_factor: usize,
    /// Deepest nesting of a message. Default 64. Each level costs stack of the decoding thread.
    pub nesting: u32,
    /// Values in a message without a Rust type; a typed message may hold this many more than it has bytes.
    /// Default 65,536.
    pub values: usize,
    /// Longest time from accepting a connection to a valid hello. Default 5 s.
    pub handshake: Duration,
    /// Connections of one endpoint with an unfinished handshake. Default 64. Beyond this, the oldest of the address that has most
    /// of them is closed. Each costs a file descriptor and 1 KiB.
    pub handshakes: usize,
    /// Connections of one endpoint. Default 1,024; each costs a file descriptor and about 20 KiB.
    pub connections: usize,
    /// Connections of one endpoint from one remote IP address other than loopback. Default 64.
    pub connections_per_address: usize,
    /// Unfinished requests of one connection. Default 1,024. A client that does not read may thus make the endpoint store as many
    /// replies, each of at most `message_bytes`.
    pub requests_in_flight: usize,
    /// Unfinished messages of one service, from all its callers together. Default 256.
    pub mailbox: usize,
    /// Bytes queued for one connection before senders wait or are refused. Default 8 MiB. The same amount of uncollected results
    /// is stored in addition to those of `requests_in_flight`, before further calls wait.
    pub send_queue_bytes: usize,
    /// Unacknowledged bytes of one connection, before no more are written. Default 1 MiB, which is the minimum. They are stored
    /// in case the connection is lost, and occupy the processor's cache; on fast networks with a long delay a larger value keeps
    /// the sender from pausing.
    pub unacknowledged_bytes: usize,
    /// Time for which both ends of a link try to continue over another connection when one is lost. Default 10 s. In this time
    /// pending calls wait, sent messages are queued, and the endpoint keeps the state that it needs to continue.
    pub reconnect: Duration,
    /// Dials per second, of all links of a node together, while connections have stalled; a quarter of them may be at once.
    /// Default 100. The first that completes the handshake continues the link. Each costs a few packets and, for a moment, a file
    /// descriptor; a link makes at most ten per second. With 0 no connection is raced: after an outage of T seconds TCP's
    /// back-off keeps links silent for up to T more.
    pub races_per_second: u32,
    /// Subscriptions to the news of one service. Default 1,024; each has a backlog and a connection of its own.
    pub subscriptions: usize,
    /// News items that are queued for one subscriber, regardless of its request. Default 65,536; each costs up to 100 bytes in
    /// addition to its own.
    pub backlog_items: usize,
    /// Bytes of news that are queued for one subscriber besides the newest item, regardless of its request. Default 16 MiB.
    pub backlog_bytes: usize,
    /// Bytes of news that are queued for all subscribers of one service together, besides the newest items. Default 256 MiB. It
    /// is divided evenly, so it takes effect if many subscribers request large queues with different policies.
    pub news_bytes: usize,
    /// Timeout of a publisher's wait for a subscriber that makes no progress. Default 5 s. Afterwards the subscriber misses the
    /// items beyond its queue, and receives their number, until it has caught up.
    pub news_patience: Duration,
    /// Topics of one service with a retained item or a description. Default 1,024.
    pub topics: usize,
    /// Instances that a node stores in its directory. Default 4,096; each costs about 1 KiB, and the mDNS daemon may cache four
    /// times as many. Unproved instances are evicted for others; proved ones are not.
    pub instances: usize,
    /// Unproved instances reported by one source: a host that replied to a question, or a peer. Default 1,024. Senders by
    /// multicast cannot be distinguished, so all together have half of `instances`.
    pub instances_per_source: usize,
    /// Instances that are stored of one remote node. Default 64: the first that are reported, until one of them is gone. Others
    /// are neither listed nor sent to watchers; one that is requested by its exact name is found nevertheless, and as many again
    /// are stored of each such name. A node does not offer more itself.
    pub instances_per_node: usize,
    /// Time that a closing service may take to finish accepted messages, including outgoing replies and news. Default 5 s.
    /// Messages that are unfinished then are abandoned, and listed. A program that ends without closing its mesh waits at most
    /// 0.8 s.
    pub drain: Duration,
    /// Timeout of a request without a deadline of its own. Default 5 s.
    pub request_timeout: Duration,
    /// Time of silence on a connection after which a ping is sent. Default 2.5 s, a second at least; a peer that has sent nothing
    /// for four times as long is considered dead.
    pub keep_alive: Duration,
}

/// A duration longer than any program runs, and short enough for every system's clock: longer durations are reduced to it.
pub const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);

impl Limits {
    /// Returns the limits with times that can be added to any clock's: none is longer than [`FOREVER`].
    #[must_use]
    pub fn saturated(mut self) -> Self {
        for time in [
            &mut self.handshake,
            &mut self.reconnect,
            &mut self.news_patience,
            &mut self.drain,
            &mut self.request_timeout,
            &mut self.keep_alive,
        ] {
            *time = (*time).min(FOREVER);
        }
        self
    }
}

/// The largest value of [`Limits::message_bytes`]: 64 MiB.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1 << 20,
            decoded_factor: 16,
            nesting: 64,
            values: 65_536,
            handshake: Duration::from_secs(5),
            handshakes: 64,
            connections: 1_024,
            connections_per_address: 64,
            requests_in_flight: 1_024,
            mailbox: 256,
            send_queue_bytes: 8 << 20,
            unacknowledged_bytes: 1 << 20,
            reconnect: Duration::from_secs(10),
            races_per_second: 100,
            subscriptions: 1_024,
            backlog_items: 65_536,
            backlog_bytes: 16 << 20,
            news_bytes: 256 << 20,
            news_patience: Duration::from_secs(5),
            topics: 1_024,
            instances: 4_096,
            instances_per_source: 1_024,
            instances_per_node: 64,
            drain: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_millis(2_500),
        }
    }
}
