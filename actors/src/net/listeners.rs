//! The sockets of one endpoint: one for every address of the host, or one for each chosen address, opened and closed with them.

use std::fmt;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use meshzero_proto::shortened::few;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::chosen_addresses::WantedAddresses;
use crate::net::bound_addresses::BoundAddresses;
use crate::net::connection::Connection;
use crate::net::ingress::Ingress;
use crate::net::interfaces::{ChosenAddresses, Interfaces};
use crate::net::network::Listener;
use crate::net::socket::{self, ReservedPort};
use crate::net::zone::ZonedAddress;
use crate::runtime::clock;

mod chosen_addresses;

/// The most attempts to find a port that is free at all addresses.
const MAX_ATTEMPTS: usize = 16;
/// The pause before the sockets are checked again, where an address has gone or cannot be listened at: a fresh IPv6 address is
/// not usable for a second or two.
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
    /// Reserves the port while there is no address to listen at.
    reserved: Option<ReservedPort>,
    /// The socket that is polled first. It rotates, so that no socket starves the others.
    first: usize,
    /// The wanted addresses that cannot be listened at. Each is logged once.
    refused: Vec<SocketAddr>,
    /// Set if there are more addresses than sockets, which has been logged.
    is_cut: bool,
    follow: Option<AddressFollower>,
    again: Option<Instant>,
}

struct ListeningSocket {
    address: SocketAddr,
    listener: TcpListener,
    /// The time at which its address disappeared from this host, if it did.
    gone: Option<Instant>,
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
            Self::Chosen(chosen) => {
                let (stream, from) = chosen.accept().await?;
                Ok((stream.into(), from))
            }
        }
    }

    /// Returns one address for all: the only one, or the unspecified one with the port.
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
    pub(crate) fn listen(addresses: &ChosenAddresses, port: u16) -> Result<Self, (SocketAddr, io::Error)> {
        let mut tries = if port == 0 { MAX_ATTEMPTS } else { 1 };
        loop {
            tries -= 1;
            let unreserved = |error| (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), error);
            let reserved = if port == 0 { Some(socket::reserve().map_err(unreserved)?) } else { None };
            let port = reserved.as_ref().map_or(port, ReservedPort::port);
            let mut chosen = Self {
                bound: BoundAddresses::chosen(port),
                sockets: Vec::new(),
                ingress: addresses.ingress.clone(),
                reserved,
                first: 0,
                refused: Vec::new(),
                is_cut: false,
                follow: None,
                again: None,
            };
            let failed = chosen
                .open(&WantedAddresses::of(&addresses.list, port))
                .into_iter()
                .find(|(_, error)| !is_not_here(error));
            match failed {
                None => {
                    chosen.show();
                    return Ok(chosen);
                }
                Some((_, error)) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
                Some(failed) => return Err(failed),
            }
        }
    }

    /// Returns the addresses at which it listens.
    pub(crate) fn bound(&self) -> &BoundAddresses {
        &self.bound
    }

    /// Makes the sockets follow the addresses of the host. A socket whose address has gone stays open for `linger`, so that
    /// clients are not refused when the address returns. `changed` is called whenever the addresses change.
    pub(crate) fn follow(
        &mut self,
        mut addresses: Addresses,
        linger: Duration,
        changed: impl Fn() + 'static,
    ) {
        // They may have changed since this began to listen.
        addresses.mark_changed();
        self.follow = Some(AddressFollower { addresses, linger, changed: Box::new(changed) });
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            tokio::select! {
                biased;
                () = changed(self.follow.as_mut(), self.again) => self.match_addresses(),
                accepted = poll_fn(|cx| poll_accept(&self.sockets, &mut self.first, cx)) => {
                    if let Ok((stream, _)) = &accepted {
                        socket::unrestrict(stream);
                    }
                    return accepted;
                }
            }
        }
    }

    /// Opens and closes sockets so that they match the current addresses.
    fn match_addresses(&mut self) {
        let Some(follow) = &mut self.follow else { return };
        let addresses = follow.addresses.borrow_and_update().clone();
        let Some(addresses) = addresses else {
            // It is woken when they are known.
            self.again = None;
            return;
        };
        let wanted = WantedAddresses::of(&addresses.list, self.bound.port());
        let linger = follow.linger;
        self.restrict(&addresses.ingress);
        self.close_gone(&wanted.addresses, linger);
        for (address, error) in self.open(&wanted) {
            if is_not_here(&error) {
                tracing::debug!(address = %ZonedAddress(address), "cannot listen there yet");
            } else if !self.refused.contains(&address) {
                tracing::warn!(address = %ZonedAddress(address), %error, "cannot listen there; trying again");
                self.refused.push(address);
            }
        }
        self.refused.retain(|refused| wanted.addresses.contains(refused));
        if self.show()
            && let Some(follow) = &self.follow
        {
            (follow.changed)();
        }
    }

    /// Restricts connections to those that arrive by these interfaces.
    fn restrict(&mut self, ingress: &Ingress) {
        if *ingress != self.ingress {
            self.ingress = ingress.clone();
            for socket in &self.sockets {
                socket::restrict((&socket.listener).into(), ingress);
            }
        }
    }

    fn close_gone(&mut self, wanted: &[SocketAddr], linger: Duration) {
        let now = clock::now();
        for socket in &mut self.sockets {
            socket.gone = if wanted.contains(&socket.address) { None } else { socket.gone.or(Some(now)) };
        }
        if self.sockets.iter().all(|socket| socket.gone.is_none()) {
            return;
        }
        // An address may have moved to an interface that was not chosen, where no connection may be accepted.
        let elsewhere = Interfaces::default().list_unplugged_too().unwrap_or_default();
        let is_elsewhere = |ip: IpAddr| elsewhere.iter().any(|interface| interface.address.ip == ip);
        self.sockets.retain(|socket| {
            socket.gone.is_none_or(|gone| now - gone < linger && !is_elsewhere(socket.address.ip()))
        });
    }

    /// Opens the missing sockets for the `wanted` addresses, and returns the addresses that failed.
    fn open(&mut self, wanted: &WantedAddresses) -> Vec<(SocketAddr, io::Error)> {
        let WantedAddresses { addresses, left_out } = wanted;
        if !left_out.is_empty() && !self.is_cut {
            let left_out: Vec<ZonedAddress> = left_out.iter().copied().map(ZonedAddress).collect();
            tracing::warn!(
                left_out = few(&left_out),
                "there are too many addresses for an endpoint to listen at all of them; choose fewer interfaces, or addresses"
            );
        }
        self.is_cut = !left_out.is_empty();
        let mut failed = Vec::new();
        for address in addresses {
            if self.sockets.iter().any(|socket| socket.address == *address) {
                continue;
            }
            if self.sockets.len() >= addresses.len().max(chosen_addresses::MOST) {
                // All wanted ones have a socket, so some of these have gone.
                self.sockets.retain(|socket| socket.gone.is_none());
            }
            self.reserved = None;
            match socket::listen(*address, &self.ingress) {
                Ok(listener) => {
                    self.sockets.push(ListeningSocket { address: *address, listener, gone: None })
                }
                Err(error) => failed.push((*address, error)),
            }
        }
        let is_complete = failed.is_empty() && self.sockets.iter().all(|socket| socket.gone.is_none());
        self.again = if is_complete { None } else { Some(clock::now() + RETRY_DELAY) };
        failed
    }

    /// Publishes the addresses at which it listens, and returns whether they have changed.
    fn show(&self) -> bool {
        let here = self.sockets.iter().filter(|socket| socket.gone.is_none());
        self.bound.set(here.map(|socket| socket.address).collect())
    }
}

impl fmt::Debug for ChosenListeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chosen").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// Waits until the sockets have to be matched with the addresses again.
async fn changed(follow: Option<&mut AddressFollower>, again: Option<Instant>) {
    let Some(follow) = follow else { return pending().await };
    tokio::select! {
        biased;
        changed = follow.addresses.changed() => {
            // The node is leaving: nothing changes any more.
            if changed.is_err() {
                pending::<()>().await;
            }
        }
        () = clock::sleep_until(again) => {}
    }
}

fn poll_accept(
    sockets: &[ListeningSocket],
    first: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
    for step in 0..sockets.len() {
        let at = (*first + step) % sockets.len();
        if let Poll::Ready(accepted) = sockets[at].listener.poll_accept(cx) {
            *first = at + 1;
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
