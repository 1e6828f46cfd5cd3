//! The sockets of one endpoint: a single one, or one for each chosen address, opened and closed as addresses come and go.

use std::fmt;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use meshzero_proto::shortened::few;
use tokio::sync::watch;

use self::chosen_addresses::WantedAddresses;
use crate::net::bound_addresses::BoundAddresses;
use crate::net::connection::Connection;
use crate::net::ingress::Ingress;
use crate::net::interfaces::{ChosenAddresses, Interfaces};
use crate::net::network::Listener;
use crate::net::socket::{self, ReservedPort};
use crate::net::system_listener::{SystemListener, UnixSockets};
use crate::net::zone::ZonedAddress;
use crate::runtime::clock;

mod chosen_addresses;

/// The most attempts to find a port that is free at all addresses.
const MAX_ATTEMPTS: usize = 16;
/// The delay before the sockets are checked again, if an address is gone or cannot be listened at: a new IPv6 address is not
/// usable for a second or two.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The chosen addresses of this host, as they change; `None` until they are known.
pub(crate) type Addresses = watch::Receiver<Option<Arc<ChosenAddresses>>>;

/// The sockets of one endpoint. Dropping it closes them.
#[derive(Debug)]
pub(crate) enum Listeners {
    /// One socket, for one address or for all.
    One(Listener),
    /// One socket for each chosen address.
    Chosen(ChosenListeners),
}

/// One socket for each chosen address.
pub(crate) struct ChosenListeners {
    bound: BoundAddresses,
    sockets: Vec<ListeningSocket>,
    /// The interfaces by which connections may arrive.
    ingress: Ingress,
    unix_sockets: UnixSockets,
    /// Reserves the port while there is no address to listen at.
    reserved_port: Option<ReservedPort>,
    /// The index of the socket that is polled first. It rotates, so that no socket starves the others.
    poll_first: usize,
    /// The wanted addresses that cannot be listened at, which has been logged.
    failing: Vec<SocketAddr>,
    /// Set if there are more addresses than sockets, which has been logged.
    is_truncated: bool,
    follower: Option<AddressFollower>,
    retry_at: Option<Instant>,
}

struct ListeningSocket {
    address: SocketAddr,
    listener: SystemListener,
    /// The time at which its address disappeared from this host, if it did.
    gone_since: Option<Instant>,
}

struct AddressFollower {
    addresses: Addresses,
    linger: Duration,
    changed: Box<dyn Fn()>,
}

impl Listeners {
    /// Waits for the next connection, and returns it with the address that it comes from.
    ///
    /// # Errors
    /// The network's error, for instance when no file descriptor is left. The next call may succeed.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        match self {
            Self::One(listener) => listener.accept().await,
            Self::Chosen(chosen) => chosen.accept().await,
        }
    }

    /// Returns one address that stands for all: the only one, or the unspecified address with the port.
    pub(crate) fn summary(&self) -> Option<SocketAddr> {
        match self {
            Self::One(listener) => listener.local_addr().ok(),
            Self::Chosen(chosen) => Some(chosen.bound.summary()),
        }
    }
}

impl ChosenListeners {
    /// Listens at all `addresses`, at the same port; where it is 0, at one that is free at all of them. It is not an error if
    /// some cannot be listened at yet, or if there are none.
    ///
    /// # Errors
    /// The address and the system's error.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn listen(
        addresses: &ChosenAddresses,
        port: u16,
        unix_sockets: UnixSockets,
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let mut attempts_left = if port == 0 { MAX_ATTEMPTS } else { 1 };
        loop {
            attempts_left -= 1;
            let no_port = |error| (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), error);
            let reserved_port = if port == 0 { Some(socket::reserve().map_err(no_port)?) } else { None };
            let port = reserved_port.as_ref().map_or(port, ReservedPort::port);
            let mut chosen = Self {
                bound: BoundAddresses::chosen(port),
                sockets: Vec::new(),
                ingress: addresses.ingress.clone(),
                unix_sockets,
                reserved_port,
                poll_first: 0,
                failing: Vec::new(),
                is_truncated: false,
                follower: None,
                retry_at: None,
            };
            let failed = chosen
                .open(&WantedAddresses::of(&addresses.list, port))
                .into_iter()
                .find(|(_, error)| !is_not_here(error));
            match failed {
                None => {
                    chosen.publish();
                    return Ok(chosen);
                }
                Some((_, error)) if error.kind() == io::ErrorKind::AddrInUse && attempts_left > 0 => {}
                Some(failed) => return Err(failed),
            }
        }
    }

    /// Returns the addresses at which it listens.
    pub(crate) fn bound(&self) -> &BoundAddresses {
        &self.bound
    }

    /// Makes the sockets follow the addresses of the host. A socket whose address is gone stays open for `linger`, so that
    /// clients are not refused when the address returns. `changed` is called whenever the addresses change.
    pub(crate) fn follow(
        &mut self,
        mut addresses: Addresses,
        linger: Duration,
        changed: impl Fn() + 'static,
    ) {
        // The addresses may have changed since the sockets were opened.
        addresses.mark_changed();
        self.follower = Some(AddressFollower { addresses, linger, changed: Box::new(changed) });
    }

    async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        loop {
            tokio::select! {
                biased;
                () = changed(self.follower.as_mut(), self.retry_at) => self.update_sockets(),
                accepted = poll_fn(|cx| poll_accept(&mut self.sockets, &mut self.poll_first, cx)) => return accepted,
            }
        }
    }

    /// Opens and closes sockets so that they match the current addresses.
    fn update_sockets(&mut self) {
        let Some(follower) = &mut self.follower else { return };
        let addresses = follower.addresses.borrow_and_update().clone();
        let Some(addresses) = addresses else {
            // The addresses are not known yet: a change follows.
            self.retry_at = None;
            return;
        };
        let wanted = WantedAddresses::of(&addresses.list, self.bound.port());
        let linger = follower.linger;
        self.restrict(&addresses.ingress);
        self.close_gone(&wanted.addresses, linger);
        for (address, error) in self.open(&wanted) {
            if is_not_here(&error) {
                tracing::debug!(address = %ZonedAddress(address), "cannot listen at an address yet");
            } else if !self.failing.contains(&address) {
                tracing::warn!(address = %ZonedAddress(address), %error, "cannot listen at an address; retrying");
                self.failing.push(address);
            }
        }
        self.failing.retain(|failing| wanted.addresses.contains(failing));
        if self.publish()
            && let Some(follower) = &self.follower
        {
            (follower.changed)();
        }
    }

    /// Restricts connections to those that arrive by these interfaces.
    fn restrict(&mut self, ingress: &Ingress) {
        if *ingress != self.ingress {
            self.ingress = ingress.clone();
            for socket in &self.sockets {
                socket.listener.restrict(ingress);
            }
        }
    }

    fn close_gone(&mut self, wanted: &[SocketAddr], linger: Duration) {
        let now = clock::now();
        for socket in &mut self.sockets {
            socket.gone_since =
                if wanted.contains(&socket.address) { None } else { socket.gone_since.or(Some(now)) };
        }
        if self.sockets.iter().all(|socket| socket.gone_since.is_none()) {
            return;
        }
        // An address may have moved to an interface that was not chosen, where no connection may be accepted.
        let host_addresses = Interfaces::default().list_unplugged_too().unwrap_or_default();
        let is_on_host = |ip: IpAddr| host_addresses.iter().any(|interface| interface.address.ip == ip);
        self.sockets.retain(|socket| {
            socket
                .gone_since
                .is_none_or(|gone_since| now - gone_since < linger && !is_on_host(socket.address.ip()))
        });
    }

    /// Opens the missing sockets for the `wanted` addresses, and returns the addresses that failed.
    fn open(&mut self, wanted: &WantedAddresses) -> Vec<(SocketAddr, io::Error)> {
        let WantedAddresses { addresses, excluded } = wanted;
        if !excluded.is_empty() && !self.is_truncated {
            let excluded: Vec<ZonedAddress> = excluded.iter().copied().map(ZonedAddress).collect();
            tracing::warn!(
                excluded = few(&excluded),
                "there are too many addresses for an endpoint to listen at all of them; choose fewer interfaces, or addresses"
            );
        }
        self.is_truncated = !excluded.is_empty();
        let mut failed = Vec::new();
        for address in addresses {
            if self.sockets.iter().any(|socket| socket.address == *address) {
                continue;
            }
            if self.sockets.len() >= addresses.len().max(chosen_addresses::MAX_ADDRESSES) {
                // There are more sockets than addresses, so some of their addresses are gone.
                self.sockets.retain(|socket| socket.gone_since.is_none());
            }
            self.reserved_port = None;
            match SystemListener::listen(*address, &self.ingress, self.unix_sockets) {
                Ok(listener) => {
                    self.sockets.push(ListeningSocket { address: *address, listener, gone_since: None })
                }
                Err(error) => failed.push((*address, error)),
            }
        }
        let is_complete = failed.is_empty() && self.sockets.iter().all(|socket| socket.gone_since.is_none());
        self.retry_at = if is_complete { None } else { Some(clock::now() + RETRY_DELAY) };
        failed
    }

    /// Publishes the addresses at which it listens, and returns whether they have changed.
    fn publish(&self) -> bool {
        let active = self.sockets.iter().filter(|socket| socket.gone_since.is_none());
        self.bound.set(active.map(|socket| socket.address).collect())
    }
}

impl fmt::Debug for ChosenListeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chosen").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// Waits until the sockets have to be updated.
async fn changed(follower: Option<&mut AddressFollower>, retry_at: Option<Instant>) {
    let Some(follower) = follower else { return pending().await };
    tokio::select! {
        biased;
        changed = follower.addresses.changed() => {
            // The node is leaving, so nothing changes any more.
            if changed.is_err() {
                pending::<()>().await;
            }
        }
        () = clock::sleep_until(retry_at) => {}
    }
}

fn poll_accept(
    sockets: &mut [ListeningSocket],
    poll_first: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<(Connection, SocketAddr)>> {
    for step in 0..sockets.len() {
        let index = (*poll_first + step) % sockets.len();
        if let Poll::Ready(accepted) = sockets[index].listener.poll_accept(cx) {
            *poll_first = index + 1;
            return Poll::Ready(accepted);
        }
    }
    Poll::Pending
}

fn is_not_here(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
}

#[cfg(test)]
mod tests;
