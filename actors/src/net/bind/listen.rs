//! Listening at a bind address: its addresses, the ports that are tried, and the sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener};
use std::ops::RangeInclusive;

use super::{BindAddress, BindError, BindHost};
use crate::net::bound_addresses::BoundAddresses;
use crate::net::host::interfaces;
use crate::net::interfaces::{ChosenAddresses, Interfaces};
use crate::net::listeners::{ChosenListeners, Listeners};
use crate::net::network::{Listener, Network};
use crate::net::resolve::resolve;

impl BindAddress {
    /// Listens at this address. Without a port, one is taken from `ports`, or from the system where that is `None`.
    ///
    /// # Errors
    /// [`BindError`].
    pub(crate) async fn listen(
        &self,
        network: &Network,
        interfaces: &Interfaces,
        ports: Option<&RangeInclusive<u16>>,
    ) -> Result<BoundListener, BindError> {
        let mode = self.resolve_mode(network, interfaces).await?;
        let candidates = match (self.port, ports) {
            (Some(port), _) => vec![port],
            (None, Some(range)) => ports_in_random_rotation(range),
            (None, None) => vec![0],
        };
        let mut in_use = None;
        for port in candidates {
            match mode.listen(network, port) {
                Ok((listeners, bound)) => return BoundListener::new(listeners, bound, interfaces),
                Err(BindError::InUse { address }) => in_use = Some(address),
                Err(error) => return Err(error),
            }
        }
        match (in_use, ports, self.port) {
            (Some(address), None, _) | (Some(address), _, Some(_)) => Err(BindError::InUse { address }),
            (_, Some(range), None) => Err(BindError::RangeInUse { range: range.clone() }),
            (None, _, _) => Err(BindError::Unreadable { text: self.to_string() }),
        }
    }

    /// Returns the address without listening there. Without a port, one is taken from `ports` that is free now. It is not
    /// reserved, so that the program that receives the address can listen there. Ports for which `is_taken` returns true are
    /// skipped.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn name(
        &self,
        interfaces: &Interfaces,
        ports: &RangeInclusive<u16>,
        is_taken: impl Fn(SocketAddr) -> bool,
    ) -> Result<SocketAddr, BindError> {
        let mut address = self.address(interfaces).await?;
        if address.port() > 0 {
            return Ok(address);
        }
        for port in ports_in_random_rotation(ports) {
            address.set_port(port);
            match TcpListener::bind(address) {
                _ if is_taken(address) => {}
                Ok(_) => return Ok(address),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    return Err(BindError::NotHere { ip: address.ip() });
                }
                Err(error) => return Err(BindError::Refused { address, error }),
            }
        }
        Err(BindError::RangeInUse { range: ports.clone() })
    }

    /// Returns the address without listening there; its port is 0 if none was given.
    async fn address(&self, interfaces: &Interfaces) -> Result<SocketAddr, BindError> {
        let address = match &self.host {
            BindHost::Any => Some(interfaces.preferred_address()?),
            _ => self.addresses(interfaces).await?.first().copied(),
        };
        let mut address = address.ok_or_else(|| BindError::Unreadable { text: self.to_string() })?;
        address.set_port(self.port.unwrap_or(0));
        Ok(address)
    }

    /// Resolves this to addresses or to a choice of interfaces.
    async fn resolve_mode(&self, network: &Network, interfaces: &Interfaces) -> Result<BindMode, BindError> {
        // Another network has one address for each host.
        let has_multicast = network.has_multicast();
        match self.host {
            BindHost::Any if has_multicast && interfaces.is_choice_of_networks() => {
                Ok(BindMode::Chosen(interfaces.list_all()?.all))
            }
            _ => Ok(BindMode::First(self.addresses(interfaces).await?)),
        }
    }

    /// Returns the addresses to try, in order; the first that works is used.
    async fn addresses(&self, interfaces: &Interfaces) -> Result<Vec<SocketAddr>, BindError> {
        let without_port = |ip: IpAddr| SocketAddr::new(ip, 0);
        Ok(match &self.host {
            BindHost::Any if interfaces.is_loopback() => vec![without_port(Ipv4Addr::LOCALHOST.into())],
            // Even if this host has only loopback so far.
            BindHost::Any => {
                vec![without_port(Ipv6Addr::UNSPECIFIED.into()), without_port(Ipv4Addr::UNSPECIFIED.into())]
            }
            BindHost::Ip(address) => vec![zoned(*address)],
            BindHost::Pattern(pattern) => vec![without_port(interfaces.matching(pattern)?)],
            BindHost::Name(host) => {
                let unresolvable = |error| BindError::Unresolvable { host: host.clone(), error };
                let addresses = resolve((host.clone(), 0)).await.map_err(unresolvable)?;
                if addresses.is_empty() {
                    return Err(unresolvable(io::ErrorKind::NotFound.into()));
                }
                addresses
            }
        })
    }
}

/// Returns all ports of a range, beginning with a random one: a program that starts does not get the port of one that has
/// just ended and still has callers.
fn ports_in_random_rotation(range: &RangeInclusive<u16>) -> Vec<u16> {
    let mut ports: Vec<u16> = range.clone().collect();
    let start = fastrand::usize(..ports.len().max(1));
    ports.rotate_left(start);
    ports
}

/// Completes a link-local address of this host with its zone.
fn zoned(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, interfaces::zone_of(*v6.ip()).unwrap_or(0)).into()
        }
        other => other,
    }
}

/// The addresses to listen at, without the port.
enum BindMode {
    /// The first of these addresses that works.
    First(Vec<SocketAddr>),
    /// Each of the chosen addresses.
    Chosen(ChosenAddresses),
}

impl BindMode {
    fn listen(&self, network: &Network, port: u16) -> Result<(Listeners, BoundAddresses), BindError> {
        match self {
            Self::First(addresses) => {
                let listener = listen_at(network, addresses, port)?;
                let refused =
                    |error| BindError::Refused { address: (Ipv4Addr::UNSPECIFIED, port).into(), error };
                let bound = BoundAddresses::At(listener.local_addr().map_err(refused)?);
                Ok((Listeners::One(listener), bound))
            }
            Self::Chosen(addresses) => match ChosenListeners::listen(addresses, port, network.unix_sockets())
            {
                Ok(chosen) => {
                    let bound = chosen.bound().clone();
                    Ok((Listeners::Chosen(chosen), bound))
                }
                Err((address, error)) if error.kind() == io::ErrorKind::AddrInUse => {
                    Err(BindError::InUse { address })
                }
                Err((address, error)) => Err(BindError::Refused { address, error }),
            },
        }
    }
}

fn listen_at(network: &Network, addresses: &[SocketAddr], port: u16) -> Result<Listener, BindError> {
    let mut last_error = None;
    for address in addresses {
        let mut address = *address;
        address.set_port(port);
        let ip = address.ip();
        match network.listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(BindError::InUse { address });
            }
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable && !ip.is_unspecified() => {
                last_error = Some(BindError::NotHere { ip });
            }
            // A system without IPv6 refuses the first address and accepts the second.
            Err(error) => last_error = Some(BindError::Refused { address, error }),
        }
    }
    Err(last_error.unwrap_or_else(|| BindError::Unreadable { text: port.to_string() }))
}

/// The sockets of an endpoint, and the address to display.
#[derive(Debug)]
pub struct BoundListener {
    /// The sockets.
    pub(crate) listeners: Listeners,
    /// The addresses of the sockets.
    pub bound: BoundAddresses,
    /// The address at which others can reach the endpoint; the IP address is unspecified while there is none.
    pub address: SocketAddr,
}

impl BoundListener {
    fn new(listeners: Listeners, bound: BoundAddresses, interfaces: &Interfaces) -> Result<Self, BindError> {
        let address = address_of(&bound, interfaces)?;
        Ok(Self { listeners, bound, address })
    }
}

/// Returns the address at which others can reach an endpoint now; the IP address is unspecified while there is none.
///
/// # Errors
/// The system does not list its addresses.
pub fn address_of(bound: &BoundAddresses, interfaces: &Interfaces) -> Result<SocketAddr, BindError> {
    Ok(match bound {
        BoundAddresses::At(address) if !address.ip().is_unspecified() => *address,
        _ => {
            let mut preferred = interfaces.preferred_address()?;
            preferred.set_port(bound.port());
            if bound.accepts(preferred) { preferred } else { bound.summary() }
        }
    })
}
