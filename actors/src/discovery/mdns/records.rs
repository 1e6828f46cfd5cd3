//! Conversion of adverts to the records of DNS-SD.

use std::net::{IpAddr, SocketAddr};

use mdns_sd::{Error, IfKind, ServiceInfo};
use meshzero_proto::discovery::advert::Advert;
use meshzero_proto::discovery::query::Subtype;

use super::SERVICE_TYPE;

/// Returns the record of a service. Each has a host name of its own, because withdrawing a service withdraws its host's
/// addresses.
pub(super) fn record(advert: &Advert) -> Result<ServiceInfo, Error> {
    let label = advert.instance.to_string();
    let host = format!("{label}.local.");
    let port = advert.addresses.first().map_or(0, SocketAddr::port);
    let requested: Vec<IpAddr> = advert.addresses.iter().map(SocketAddr::ip).collect();
    let everywhere = requested.iter().any(IpAddr::is_unspecified);
    let addresses = if everywhere { Vec::new() } else { requested.clone() };
    // Searches for the name ask for its subtype.
    let kind = format!("{}._sub.{SERVICE_TYPE}", Subtype::new(&advert.mesh, &advert.service));
    let mut info = ServiceInfo::new(&kind, &label, &host, &addresses[..], port, &advert.to_txt()[..])?;
    if everywhere {
        info = info.enable_addr_auto();
        if requested.iter().all(IpAddr::is_ipv4) {
            info.set_interfaces(vec![IfKind::IPv4]);
        }
    }
    // The names are random, so probing for conflicts would be useless, and takes 0.9 s.
    info.set_requires_probe(false);
    Ok(info)
}
