//! The connections between simulated hosts, and the faults applied to them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fastrand::Rng;
use meshzero_actors::net::connection::Connection;
use meshzero_actors::net::network::{Acceptor, IoFuture, Network, NetworkProvider};
use turmoil::net::{TcpListener, TcpStream};

use crate::connection::{End, connection};

/// The time after which a system retransmits a request for a connection; it doubles each time.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The wires of one simulation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wires(Arc<Shared>);

/// The ends of a connection that a fault affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The one at the first host; the other end is notified.
    First,
    /// Both at once, with all bytes in flight between them.
    Both,
}

/// The state shared by all hosts.
#[derive(Debug)]
pub(crate) struct Shared {
    dice: Mutex<Rng>,
    ends: Mutex<BTreeMap<(SocketAddr, SocketAddr), Weak<End>>>,
    /// Ends that have taken back the bytes that had not arrived: no port is reused as soon as that.
    abandoned: Mutex<BTreeSet<(SocketAddr, SocketAddr)>>,
    /// Partitioned hosts, between which nothing passes.
    partitioned: Mutex<BTreeSet<(IpAddr, IpAddr)>>,
    now: Mutex<Duration>,
    most_in_segment: usize,
}

impl Wires {
    /// Wires that carry at most this many bytes in one segment.
    pub fn new(seed: u64, most_in_segment: usize) -> Self {
        let dice = Mutex::new(Rng::with_seed(seed));
        Self(Arc::new(Shared {
            dice,
            ends: Mutex::default(),
            abandoned: Mutex::default(),
            partitioned: Mutex::default(),
            now: Mutex::default(),
            most_in_segment,
        }))
    }

    /// The network as the host `ip` of turmoil's simulation sees it.
    pub fn network(&self, ip: Ipv4Addr) -> Network {
        Network::Other(Arc::new(Host { ip, shared: Arc::clone(&self.0) }))
    }

    /// Records that nothing passes between two hosts from now on. Requests for connections meanwhile are lost and sent again, as
    /// a system does, and are not held in the network with the packets before them.
    pub fn partition(&self, first: Ipv4Addr, second: Ipv4Addr) {
        lock(&self.0.partitioned).insert(pair(first.into(), second.into()));
    }

    /// Records that everything passes again.
    pub fn rejoin(&self, first: Ipv4Addr, second: Ipv4Addr) {
        lock(&self.0.partitioned).remove(&pair(first.into(), second.into()));
    }

    /// Resets every connection between two hosts, as a middlebox does that has forgotten them. Bytes that have arrived and were
    /// not read are lost.
    pub fn reset(&self, first: Ipv4Addr, second: Ipv4Addr, ends: Ends) {
        for end in self.0.living() {
            let (local, remote) = (end.local.ip(), end.remote.ip());
            let is_first = local == first && remote == second;
            let is_second = local == second && remote == first;
            if is_first || is_second && ends == Ends::Both {
                end.fail(ErrorKind::ConnectionReset);
            }
        }
    }

    /// Ends all output of a host whose program dies at once: bytes written before still arrive.
    pub fn silence(&self, host: Ipv4Addr) {
        self.0
            .living()
            .iter()
            .filter(|end| end.local.ip() == host)
            .for_each(|end| end.fail(ErrorKind::BrokenPipe));
    }

    /// Lets every host check its connections, as its system does by itself. Must be called several times a second with the time
    /// since the beginning; `held_since` returns the time since which nothing passes between two hosts, if that is so.
    pub fn tend_connections(&self, now: Duration, held_since: impl Fn(IpAddr, IpAddr) -> Option<Duration>) {
        *lock(&self.0.now) = now;
        let living = self.0.living();
        let there: BTreeSet<_> = living.iter().map(|end| (end.local, end.remote)).collect();
        for end in living {
            let is_alone = !there.contains(&(end.remote, end.local));
            end.check_keepalive(now, held_since(end.local.ip(), end.remote.ip()), is_alone);
        }
    }
}

impl Shared {
    pub(crate) fn keep(&self, end: &Arc<End>) {
        let mut ends = lock(&self.ends);
        ends.retain(|_, end| end.strong_count() > 0);
        ends.insert((end.local, end.remote), Arc::downgrade(end));
    }

    /// Takes back the bytes of an end that have not arrived.
    pub(crate) fn abandon(&self, end: &End) {
        lock(&self.abandoned).insert((end.local, end.remote));
    }

    /// Returns whether nothing arrives at this end any more, because the other end has taken it back.
    pub(crate) fn is_abandoned_by_other(&self, end: &End) -> bool {
        lock(&self.abandoned).contains(&(end.remote, end.local))
    }

    fn are_parted(&self, first: IpAddr, second: IpAddr) -> bool {
        lock(&self.partitioned).contains(&pair(first, second))
    }

    /// The ends in use, in the order of their addresses.
    fn living(&self) -> Vec<Arc<End>> {
        lock(&self.ends).values().filter_map(Weak::upgrade).collect()
    }

    /// The number of bytes of the next segment.
    pub(crate) fn segment(&self) -> usize {
        lock(&self.dice).usize(1..=self.most_in_segment)
    }

    /// The time of the last call of [`tend_connections`](Wires::tend_connections).
    pub(crate) fn now(&self) -> Duration {
        *lock(&self.now)
    }
}

/// A pair of hosts, independent of the order of the arguments.
fn pair(first: IpAddr, second: IpAddr) -> (IpAddr, IpAddr) {
    (first.min(second), first.max(second))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One host's network.
#[derive(Debug)]
struct Host {
    ip: Ipv4Addr,
    shared: Arc<Shared>,
}

impl NetworkProvider for Host {
    fn connect(&self, address: SocketAddr) -> IoFuture<'static, Connection> {
        let shared = Arc::clone(&self.shared);
        let own = IpAddr::from(self.ip);
        Box::pin(async move {
            let mut again = ASK_AGAIN;
            while shared.are_parted(own, address.ip()) {
                tokio::time::sleep(again).await;
                again *= 2;
            }
            connection(TcpStream::connect(address).await?, &shared)
        })
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Acceptor>> {
        if address.is_ipv6() {
            return Err(ErrorKind::Unsupported.into());
        }
        // Binding never waits.
        let bound = pin!(TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())));
        let listener = match bound.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(bound) => bound?,
            Poll::Pending => return Err(ErrorKind::WouldBlock.into()),
        };
        let at = SocketAddr::new(self.ip.into(), listener.local_addr()?.port());
        Ok(Box::new(Listening { listener, at, shared: Arc::clone(&self.shared) }))
    }

    fn random(&self) -> [u8; 16] {
        lock(&self.shared.dice).u128(..).to_ne_bytes()
    }
}

struct Listening {
    listener: TcpListener,
    at: SocketAddr,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Acceptor for Listening {
    fn local_addr(&self) -> SocketAddr {
        self.at
    }

    fn accept(&mut self) -> IoFuture<'_, (Connection, SocketAddr)> {
        Box::pin(async move {
            let (stream, from) = self.listener.accept().await?;
            Ok((connection(stream, &self.shared)?, from))
        })
    }
}
