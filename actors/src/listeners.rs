//! The sockets of one endpoint: one for every address of the host, or one for each chosen address, which come and go with them.

use std::fmt;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::bound::Bound;
use crate::clock;
use crate::connection::Connection;
use crate::host::Interface;
use crate::interfaces::Interfaces;
use crate::network::Listener;
use crate::socket::{self, Reserved};
use crate::zone::Named;

/// The most sockets of one endpoint.
const MOST: usize = 64;
/// The most attempts to find a port that is free at all addresses.
const TRIES: usize = 16;
/// The pause before the sockets are looked after again, where an address has gone or cannot be listened at: a fresh IPv6 address is
/// not usable for a second or two.
const AGAIN: Duration = Duration::from_secs(1);

/// The chosen addresses of this host, as they change.
pub type Addresses = watch::Receiver<Arc<[Interface]>>;

/// The sockets of one endpoint. Dropping it closes them.
#[derive(Debug)]
pub enum Listeners {
    /// One socket, for one address or for all.
    One(Listener),
    /// One socket for each chosen address.
    Chosen(Chosen),
}

/// One socket for each chosen address.
pub struct Chosen {
    bound: Bound,
    sockets: Vec<Socket>,
    /// Keeps the port while there is no address to listen at.
    reserved: Option<Reserved>,
    /// The socket that is asked first: none keeps the others from their turn.
    first: usize,
    /// The wanted addresses that cannot be listened at. Each is logged once.
    refused: Vec<SocketAddr>,
    /// Whether there are more addresses than sockets, which has been logged.
    is_cut: bool,
    follow: Option<Follow>,
    again: Option<Instant>,
}

struct Socket {
    address: SocketAddr,
    listener: TcpListener,
    /// The time at which its address disappeared from this host, if it did.
    gone: Option<Instant>,
}

struct Follow {
    addresses: Addresses,
    linger: Duration,
    changed: Box<dyn Fn()>,
}

impl Listeners {
    /// Waits for the next connection, and says where it comes from.
    ///
    /// # Errors
    /// What the network says, for instance when no file descriptor is left. The next may succeed.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        match self {
            Self::One(listener) => listener.accept().await,
            Self::Chosen(chosen) => {
                let (stream, from) = chosen.accept().await?;
                Ok((stream.into(), from))
            }
        }
    }

    /// One address for all: the only one, or the unspecified one with the port.
    pub(crate) fn summary(&self) -> Option<SocketAddr> {
        match self {
            Self::One(listener) => listener.local_addr().ok(),
            Self::Chosen(chosen) => Some(chosen.bound.summary()),
        }
    }
}

impl Chosen {
    /// Listens at all addresses of `list`, at the same port; where it is 0, at one that is free at all of them. That some cannot be
    /// listened at yet, or that there are none, is no error.
    ///
    /// # Errors
    /// The address and what the system says.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn listen(list: &[Interface], port: u16) -> Result<Self, (SocketAddr, io::Error)> {
        let mut tries = if port == 0 { TRIES } else { 1 };
        loop {
            tries -= 1;
            let unreserved = |error| (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), error);
            let reserved = if port == 0 { Some(socket::reserve().map_err(unreserved)?) } else { None };
            let port = reserved.as_ref().map_or(port, Reserved::port);
            let mut chosen = Self {
                bound: Bound::chosen(port),
                sockets: Vec::new(),
                reserved,
                first: 0,
                refused: Vec::new(),
                is_cut: false,
                follow: None,
                again: None,
            };
            let failed = chosen.open(&wanted(list, port)).into_iter().find(|(_, error)| !is_not_here(error));
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

    /// Returns where it listens.
    pub(crate) fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Makes the sockets follow the addresses of the host. A socket whose address has gone stays open for `linger`, so that clients
    /// are not refused when the address returns. `changed` is called whenever the endpoint listens elsewhere.
    pub(crate) fn follow(
        &mut self,
        mut addresses: Addresses,
        linger: Duration,
        changed: impl Fn() + 'static,
    ) {
        // They may have changed since it began to listen.
        addresses.mark_changed();
        self.follow = Some(Follow { addresses, linger, changed: Box::new(changed) });
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            tokio::select! {
                biased;
                () = changed(self.follow.as_mut(), self.again) => self.look(),
                accepted = poll_fn(|cx| poll_accept(&self.sockets, &mut self.first, cx)) => return accepted,
            }
        }
    }

    /// Opens and closes sockets so that they match the current addresses.
    fn look(&mut self) {
        let Some(follow) = &mut self.follow else { return };
        let wanted = wanted(&follow.addresses.borrow_and_update(), self.bound.port());
        let linger = follow.linger;
        self.close_gone(&wanted[..wanted.len().min(MOST)], linger);
        for (address, error) in self.open(&wanted) {
            if is_not_here(&error) {
                tracing::debug!(address = %Named(address), "cannot listen there yet");
            } else if !self.refused.contains(&address) {
                tracing::warn!(address = %Named(address), %error, "cannot listen there; trying again");
                self.refused.push(address);
            }
        }
        self.refused.retain(|refused| wanted.contains(refused));
        if self.show()
            && let Some(follow) = &self.follow
        {
            (follow.changed)();
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

    /// Opens the missing sockets for the `wanted` addresses, up to the limit, and returns the addresses that failed.
    fn open(&mut self, wanted: &[SocketAddr]) -> Vec<(SocketAddr, io::Error)> {
        if wanted.len() > MOST && !self.is_cut {
            let left_out: Vec<String> =
                wanted[MOST..].iter().map(|address| Named(*address).to_string()).collect();
            let addresses = left_out.join(", ");
            tracing::warn!(
                addresses,
                "an endpoint listens at {MOST} addresses at most; choose fewer interfaces"
            );
        }
        self.is_cut = wanted.len() > MOST;
        let mut failed = Vec::new();
        for address in wanted.iter().take(MOST) {
            if self.sockets.iter().any(|socket| socket.address == *address) {
                continue;
            }
            if self.sockets.len() >= MOST {
                // No more are wanted, so some of these have gone.
                self.sockets.retain(|socket| socket.gone.is_none());
            }
            self.reserved = None;
            match socket::listen(*address) {
                Ok(listener) => self.sockets.push(Socket { address: *address, listener, gone: None }),
                Err(error) => failed.push((*address, error)),
            }
        }
        let is_complete = failed.is_empty() && self.sockets.iter().all(|socket| socket.gone.is_none());
        self.again = if is_complete { None } else { Some(clock::now() + AGAIN) };
        failed
    }

    /// Publishes the addresses that it listens at, and returns whether they have changed.
    fn show(&self) -> bool {
        let here = self.sockets.iter().filter(|socket| socket.gone.is_none());
        self.bound.set(here.map(|socket| socket.address).collect())
    }
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chosen").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// Waits until the sockets have to be matched with the addresses again.
async fn changed(follow: Option<&mut Follow>, again: Option<Instant>) {
    let Some(follow) = follow else { return pending().await };
    tokio::select! {
        biased;
        changed = follow.addresses.changed() => {
            // The node leaves: nothing changes any more.
            if changed.is_err() {
                pending::<()>().await;
            }
        }
        () = clock::sleep_until(again) => {}
    }
}

fn poll_accept(
    sockets: &[Socket],
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

/// The addresses to listen at, those first that others can reach. Of loopback one is enough.
fn wanted(list: &[Interface], port: u16) -> Vec<SocketAddr> {
    let has_ipv4_loopback = list.iter().any(|interface| interface.address.ip == Ipv4Addr::LOCALHOST);
    let rank = |ip: IpAddr| match ip {
        ip if ip.is_loopback() => 3,
        IpAddr::V4(_) => 0,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => 2,
        IpAddr::V6(_) => 1,
    };
    let mut wanted: Vec<SocketAddr> = Vec::with_capacity(list.len());
    for interface in list {
        let address = interface.socket_addr(port);
        let is_other_loopback = address.is_ipv6() && address.ip().is_loopback() && has_ipv4_loopback;
        if !is_other_loopback && !wanted.contains(&address) {
            wanted.push(address);
        }
    }
    wanted.sort_by_key(|address| rank(address.ip()));
    wanted
}

fn is_not_here(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
}

#[cfg(test)]
mod tests {
    use meshzero_proto::addresses::OwnAddress;
    use tokio::time;

    use super::*;

    fn list(ips: &[&str]) -> Vec<Interface> {
        let address = |ip: &&str| OwnAddress { ip: ip.parse().expect("an address"), prefix: 24 };
        let interface = |ip| Interface { name: "eth0".into(), index: Some(7), address: address(ip) };
        ips.iter().map(interface).collect()
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_address_is_listened_at_and_link_local_ones_on_their_link() {
        let list = list(&["::1", "127.0.0.1", "fe80::1", "10.0.0.1", "10.0.0.1", "2001:db8::1"]);
        let expected = ["10.0.0.1:9", "[2001:db8::1]:9", "[fe80::1%7]:9", "127.0.0.1:9"];
        assert_eq!(wanted(&list, 9), expected.map(at));
    }

    #[tokio::test]
    async fn the_same_free_port_is_taken_everywhere_and_kept_where_there_is_no_address_yet() {
        let both = Chosen::listen(&list(&["127.0.0.1", "127.0.0.2"]), 0).expect("free ports");
        let port = both.bound().port();
        for ip in ["127.0.0.1", "127.0.0.2"] {
            assert!(both.bound().takes(at(&format!("{ip}:{port}"))));
        }
        assert!(!both.bound().takes(at(&format!("127.0.0.3:{port}"))));
        let error = Chosen::listen(&list(&["127.0.0.2"]), port).expect_err("it is taken");
        assert_eq!(error.1.kind(), io::ErrorKind::AddrInUse);
        let none = Chosen::listen(&[], 0).expect("free ports");
        assert!(none.bound().port() > 0);
    }

    #[tokio::test]
    async fn there_are_no_more_sockets_than_may_be() {
        let many: Vec<String> = (1..=MOST + 6).map(|host| format!("127.0.1.{host}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let chosen = Chosen::listen(&list(&many), 0).expect("a free port");
        assert_eq!(chosen.sockets.len(), MOST);
        assert!(chosen.is_cut && chosen.refused.is_empty());
    }

    /// Connects as soon as somebody listens.
    async fn connect(to: SocketAddr) -> TcpStream {
        loop {
            match TcpStream::connect(to).await {
                Ok(client) => return client,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn an_address_that_came_before_it_followed_is_listened_at() {
        let (_publish, addresses) = watch::channel(Arc::from(list(&["127.0.0.1", "127.0.0.2"])));
        let mut chosen = Chosen::listen(&list(&["127.0.0.1"]), 0).expect("a free port");
        let second = SocketAddr::from(([127, 0, 0, 2], chosen.bound().port()));
        chosen.follow(addresses, Duration::ZERO, || {});
        let connected = async { tokio::join!(chosen.accept(), connect(second)) };
        time::timeout(Duration::from_secs(20), connected)
            .await
            .expect("it listens there")
            .0
            .expect("it accepts");
    }

    #[tokio::test]
    async fn sockets_come_and_go_with_the_addresses() {
        let (publish, addresses) = watch::channel(Arc::from(list(&["127.0.0.1"])));
        let mut chosen = Chosen::listen(&addresses.borrow(), 0).expect("a free port");
        let (tell, told) = std::sync::mpsc::channel();
        chosen.follow(addresses, Duration::ZERO, move || tell.send(()).expect("it is listened to"));
        let bound = chosen.bound().clone();
        let second = SocketAddr::from(([127, 0, 0, 2], bound.port()));
        publish.send_replace(Arc::from(list(&["127.0.0.2"])));
        let (accepted, client) = tokio::join!(chosen.accept(), connect(second));
        let (_, from) = accepted.expect("a connection");
        assert_eq!(from, client.local_addr().expect("it is connected"));
        assert_eq!(told.try_recv(), Ok(()));
        assert!(bound.takes(second) && !bound.takes(SocketAddr::from(([127, 0, 0, 1], bound.port()))));
        let first = TcpStream::connect((Ipv4Addr::LOCALHOST, bound.port())).await;
        assert_eq!(first.expect_err("nobody listens").kind(), io::ErrorKind::ConnectionRefused);
    }
}
