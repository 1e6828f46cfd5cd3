//! Admission at an endpoint: limits its connections, in total and by address, and those in the handshake.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

use meshzero_proto::limits::Limits;
use tokio::sync::oneshot;

/// The connections of one endpoint, and their limits.
pub(crate) struct Admission {
    counts: RefCell<HashMap<IpAddr, usize>>,
    limit: usize,
    limit_per_address: usize,
    handshakes: RefCell<PendingHandshakes>,
    served: Cell<usize>,
}

/// The connections in the handshake, the oldest first.
struct PendingHandshakes {
    waiting: VecDeque<WaitingHandshake>,
    limit: usize,
    next_number: u64,
    /// The number of handshakes that were evicted for newer ones.
    evicted: u64,
}

struct WaitingHandshake {
    number: u64,
    address: IpAddr,
    /// The sender that is dropped when the handshake is evicted.
    _not_evicted: oneshot::Sender<()>,
}

/// The permit of one connection.
pub(crate) struct ConnectionPermit {
    admission: Rc<Admission>,
    address: IpAddr,
}

/// The permit of one connection to perform the handshake.
pub(crate) struct HandshakePermit {
    admission: Rc<Admission>,
    number: u64,
    not_evicted: oneshot::Receiver<()>,
}

impl Admission {
    /// An endpoint without connections.
    pub(crate) fn new(limits: &Limits) -> Self {
        let limit = limits.handshakes.max(1);
        Self {
            counts: RefCell::default(),
            limit: limits.connections,
            limit_per_address: limits.connections_per_address,
            handshakes: RefCell::new(PendingHandshakes {
                waiting: VecDeque::new(),
                limit,
                next_number: 0,
                evicted: 0,
            }),
            served: Cell::new(0),
        }
    }

    /// The number of links that are served.
    pub(crate) fn served(&self) -> usize {
        self.served.get()
    }

    /// Counts a link, until the returned guard is dropped.
    pub(crate) fn serve(&self) -> impl Drop {
        struct Served<'a>(&'a Cell<usize>);
        impl Drop for Served<'_> {
            fn drop(&mut self) {
                self.0.update(|served| served - 1);
            }
        }
        self.served.update(|served| served + 1);
        Served(&self.served)
    }

    /// Returns a permit for a connection from `address`; `None` at the limit.
    pub(crate) fn admit(self: &Rc<Self>, address: IpAddr) -> Option<ConnectionPermit> {
        let mut counts = self.counts.borrow_mut();
        let total: usize = counts.values().sum();
        let from_address = counts.get(&address).copied().unwrap_or(0);
        if total >= self.limit || (from_address >= self.limit_per_address && !address.is_loopback()) {
            return None;
        }
        counts.insert(address, from_address + 1);
        Some(ConnectionPermit { admission: Rc::clone(self), address })
    }

    /// Lets a connection from `address` perform its handshake. At the limit, the oldest handshake of the address with
    /// the most handshakes is evicted: a handshake takes a millisecond, unless the peer only wants to hold the permit.
    pub(crate) fn begin_handshake(self: &Rc<Self>, address: IpAddr) -> HandshakePermit {
        let (tx, rx) = oneshot::channel();
        let mut handshakes = self.handshakes.borrow_mut();
        let number = handshakes.next_number;
        handshakes.next_number += 1;
        handshakes.waiting.push_back(WaitingHandshake { number, address, _not_evicted: tx });
        let is_over_limit = handshakes.waiting.len() > handshakes.limit;
        let evicted = if is_over_limit { handshakes.evict() } else { None };
        drop(handshakes);
        if let Some((address, evictions)) = evicted {
            tracing::debug!(%address, evictions, "evicted a handshake: too many are in progress");
        }
        HandshakePermit { admission: Rc::clone(self), number, not_evicted: rx }
    }
}

impl PendingHandshakes {
    /// Evicts a handshake; returns its address, and the number of evictions so far.
    #[cold]
    fn evict(&mut self) -> Option<(IpAddr, u64)> {
        let mut counts = HashMap::new();
        for waiting in &self.waiting {
            *counts.entry(waiting.address).or_insert(0usize) += 1;
        }
        let max_count = counts.values().copied().max().unwrap_or(0);
        let index = self.waiting.iter().position(|waiting| counts[&waiting.address] == max_count)?;
        let evicted = self.waiting.remove(index)?;
        self.evicted += 1;
        Some((evicted.address, self.evicted))
    }
}

impl HandshakePermit {
    /// Waits until the handshake is evicted.
    pub(crate) async fn evicted(&mut self) {
        // Nothing is ever sent: the sender is dropped.
        let _ = (&mut self.not_evicted).await;
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        self.admission.handshakes.borrow_mut().waiting.retain(|waiting| waiting.number != self.number);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts.borrow_mut();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(handshakes: usize, connections_per_address: usize) -> Rc<Admission> {
        let mut limits = Limits::default();
        (limits.handshakes, limits.connections_per_address) = (handshakes, connections_per_address);
        Rc::new(Admission::new(&limits))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn is_evicted(handshake: &mut HandshakePermit) -> bool {
        handshake.not_evicted.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn connections_per_address_are_limited_and_released() {
        let admission = admission(1, 2);
        let permits = [admission.admit(address(1)), admission.admit(address(1))];
        assert!(permits.iter().all(Option::is_some) && admission.admit(address(1)).is_none());
        assert!(admission.admit(address(2)).is_some());
        drop(permits);
        assert!(admission.admit(address(1)).is_some());
        assert!(admission.counts.borrow().is_empty());
    }

    #[test]
    fn the_oldest_handshake_of_the_busiest_address_is_evicted() {
        let admission = admission(4, 100);
        let mut honest = admission.begin_handshake(address(1));
        let mut slow: Vec<_> = (0..10).map(|_| admission.begin_handshake(address(2))).collect();
        assert!(!is_evicted(&mut honest));
        let evicted: Vec<bool> = slow.iter_mut().map(is_evicted).collect();
        assert_eq!(evicted, [vec![true; 7], vec![false; 3]].concat());
        drop(slow.split_off(9));
        let mut other = admission.begin_handshake(address(3));
        assert!(!is_evicted(&mut slow[8]) && !is_evicted(&mut other), "there was room");
        drop((slow, honest, other));
        assert!(admission.handshakes.borrow().waiting.is_empty());
    }
}
