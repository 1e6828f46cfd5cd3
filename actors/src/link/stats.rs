//! Statistics of one end of a link, as far as its send queue knows them.

use std::net::SocketAddr;

use meshzero_proto::id::NodeId;

use crate::link::send_queue::{QueueStats, SendQueue};
use crate::telemetry::stats::{LinkPurpose, LinkStats};

/// Returns the statistics of a link to or from `node` at `address`, whose send queue is `send_queue`.
pub(crate) fn link_stats(
    send_queue: &SendQueue,
    node: NodeId,
    address: SocketAddr,
    carries: LinkPurpose,
) -> LinkStats {
    let QueueStats { transport, attached, resumed, written, acknowledged, waiting } = send_queue.stats();
    let link = LinkStats::new(node, address, carries);
    LinkStats { transport, attached, resumed, written, acknowledged, waiting, ..link }
}
