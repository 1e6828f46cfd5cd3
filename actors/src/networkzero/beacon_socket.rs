//! The UDP socket of a beacon.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use meshzero_proto::networkzero::{BEACON_PORT, MAX_ADVERT_BYTES};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::net::interfaces::{Interface, Interfaces};

/// The UDP socket at the port of this machine's beacon.
pub(super) struct BeaconSocket {
    socket: UdpSocket,
    interfaces: Interfaces,
}

impl BeaconSocket {
    /// Binds the port, which no beacon shares.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] where another process is the beacon; any other if the system refuses.
    pub(super) fn open(interfaces: &Interfaces) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, BEACON_PORT)).into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, interfaces: interfaces.clone() })
    }

    /// Waits for the next datagram that came in on one of the chosen interfaces and from another sender: this socket's
    /// own broadcasts come back, and may be outdated by then. A datagram longer than an advert is truncated, and fails
    /// to decode.
    ///
    /// # Errors
    /// An error of the system, such as the report that an earlier datagram was not delivered.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(super) async fn recv(&self) -> io::Result<Vec<u8>> {
        let mut bytes = [0; MAX_ADVERT_BYTES];
        loop {
            let (length, from) = self.socket.recv_from(&mut bytes).await?;
            if self.is_from_chosen_network(from.ip()) && !self.is_own(from) {
                return Ok(bytes[..length].to_vec());
            }
        }
    }

    /// Sends a datagram to every host of the chosen interfaces' networks. A network that cannot be reached does not
    /// affect the others.
    pub(super) async fn broadcast(&self, bytes: &[u8]) {
        for address in self.broadcast_addresses() {
            if let Err(error) = self.socket.send_to(bytes, SocketAddrV4::new(address, BEACON_PORT)).await {
                tracing::debug!(%address, %error, "an advert was not sent");
            }
        }
    }

    fn is_from_chosen_network(&self, from: IpAddr) -> bool {
        self.receives_all() || self.list().iter().any(|interface| interface.address.shares_network_with(from))
    }

    /// Returns whether a datagram comes from this very socket: no other one on this host has its port.
    fn is_own(&self, from: SocketAddr) -> bool {
        from.port() == BEACON_PORT && self.list().iter().any(|interface| interface.address.ip == from.ip())
    }

    fn broadcast_addresses(&self) -> Vec<Ipv4Addr> {
        let mut addresses: Vec<_> = self.list().iter().filter_map(broadcast_address).collect();
        if self.receives_all() {
            addresses.push(Ipv4Addr::BROADCAST);
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    fn receives_all(&self) -> bool {
        self.interfaces == Interfaces::default()
    }

    fn list(&self) -> Vec<Interface> {
        // A system that fails to list them now may succeed the next time.
        self.interfaces.list().unwrap_or_default()
    }
}

/// Returns the broadcast address of an interface's network; `None` if the network has only one host.
fn broadcast_address(interface: &Interface) -> Option<Ipv4Addr> {
    let IpAddr::V4(ip) = interface.address.ip else { return None };
    let hosts = u32::MAX.checked_shr(interface.address.prefix.into()).unwrap_or(0);
    (hosts > 1).then(|| Ipv4Addr::from(u32::from(ip) | hosts))
}

#[cfg(test)]
mod tests {
    use meshzero_proto::discovery::addresses::OwnAddress;

    use super::*;

    #[test]
    fn every_network_has_its_broadcast_address() {
        let broadcast = |ip: &str, prefix| {
            let address = OwnAddress { ip: ip.parse().expect("an address"), prefix };
            broadcast_address(&Interface { name: "eth0".to_owned(), index: None, address })
        };
        assert_eq!(broadcast("192.168.1.7", 24), Some(Ipv4Addr::new(192, 168, 1, 255)));
        assert_eq!(broadcast("127.0.0.1", 8), Some(Ipv4Addr::new(127, 255, 255, 255)));
        assert_eq!(broadcast("10.1.2.3", 0), Some(Ipv4Addr::BROADCAST));
        for (ip, prefix) in [("10.0.0.1", 32), ("10.0.0.1", 31), ("fe80::1", 64)] {
            assert_eq!(broadcast(ip, prefix), None, "{ip}/{prefix}");
        }
    }
}
