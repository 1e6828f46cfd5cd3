//! A dial of another node at any of its endpoints, and the resulting link.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::id::{InstanceId, NodeId};
use meshzero_proto::wire::hello::Hello;
use tokio::sync::Semaphore;
use tokio::time;

use crate::discovery::Discovery;
use crate::discovery::peers::link::{PeerConnected, PeerLinkOrigin, ends, run_peer_link};
use crate::discovery::probe::{ProbeTarget, Verdict, probe, with_slot};
use crate::link::attempt_record::AttemptRecord;
use crate::link::dial::Handshaken;
use crate::net::network::Network;

/// The most nodes that are being dialled, or wait for that, at a time: a flood of invented ones must not pile up tasks. The
/// others are dialled when the actor next checks its nodes.
const MAX_DIALS: usize = 256;

/// The count of dials under way.
#[derive(Default)]
pub(crate) struct Dials(Rc<()>);

impl Dials {
    /// Counts another dial, until the result is dropped. Returns `None` if there are too many.
    pub(crate) fn begin(&self) -> Option<Rc<()>> {
        let slot = Rc::clone(&self.0);
        (Rc::strong_count(&slot) <= MAX_DIALS + 1).then_some(slot)
    }
}

/// A node to dial.
pub(crate) struct PeerDial {
    pub(crate) network: Network,
    pub(crate) node: NodeId,
    /// The endpoints to try, in order, each with the record of the attempts.
    pub(crate) endpoints: Vec<(AttemptRecord, ProbeTarget)>,
    pub(crate) hello: Hello,
    pub(crate) permit: Permit,
    pub(crate) slots: Rc<Semaphore>,
}

/// The permission for one dial.
pub(crate) struct Permit {
    /// Set to [`ConnectionNeed::Met`] when the node connects by itself meanwhile.
    pub(crate) need: Rc<Cell<ConnectionNeed>>,
    /// Counts the dial until it is dropped.
    pub(crate) slot: Rc<()>,
}

/// The need for a dial, which ends when the node connects by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionNeed {
    Wanted,
    Met,
}

/// A dial ended without a link: with the verdict on the node, or without one if the node connected by itself.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct DialFailed {
    pub(crate) node: NodeId,
    pub(crate) verdict: Option<Verdict>,
}

impl PeerDial {
    /// Dials after a delay, and runs the link to its end. Reports [`DialFailed`] if there is none.
    pub(crate) async fn run(self, after: Duration, discovery: Addr<Discovery>) {
        if !after.is_zero() {
            time::sleep(after).await;
        }
        let Self { network, node, endpoints, hello, permit: Permit { need, slot }, slots } = self;
        match with_slot(&slots, connect(&network, &endpoints, &hello, &need)).await {
            Ok((instance, Handshaken { connection, address, .. })) => {
                drop(slot);
                let connection = connection.into_used();
                let origin = PeerLinkOrigin::Dialled { instance, address };
                let ends = ends(&connection, address);
                run_peer_link(&discovery, connection, PeerConnected { node, ends, origin, forwards: false })
                    .await;
            }
            Err(verdict) => {
                // This fails if the actor is gone, and then it does not matter.
                discovery.send(DialFailed { node, verdict }).await.ok();
                drop(slot);
            }
        }
    }
}

/// Connects to any endpoint of a node. Fails with the verdict on the node, or without one if it has connected by itself.
async fn connect(
    network: &Network,
    endpoints: &[(AttemptRecord, ProbeTarget)],
    hello: &Hello,
    need: &Cell<ConnectionNeed>,
) -> Result<(InstanceId, Handshaken), Option<Verdict>> {
    if need.get() == ConnectionNeed::Met {
        return Err(None);
    }
    let mut worst = Verdict::Dead;
    for (record, endpoint) in endpoints {
        let hello = Hello { instance: Some(endpoint.instance.id), ..hello.clone() };
        match probe(network, endpoint, &hello, record).await {
            Ok(handshaken) => return Ok((endpoint.instance.id, handshaken)),
            // The others are on the same host.
            Err(Verdict::Alive) => return Err(Some(Verdict::Alive)),
            Err(Verdict::Unreachable) if worst == Verdict::Unreachable => break,
            Err(Verdict::Unreachable) => worst = Verdict::Unreachable,
            Err(Verdict::Dead) => {}
        }
    }
    Err(Some(worst))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_dials_under_way_is_bounded() {
        let dials = Dials::default();
        let mut under_way: Vec<_> = std::iter::from_fn(|| dials.begin()).collect();
        assert_eq!(under_way.len(), MAX_DIALS);
        under_way.pop();
        assert!(dials.begin().is_some());
    }
}
