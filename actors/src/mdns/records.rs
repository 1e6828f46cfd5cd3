//! Adverts as the records of DNS-SD, and back.

use std::net::{IpAddr, SocketAddr};

use mdns_sd::{Error, IfKind, ResolvedService, ServiceInfo};
use meshzero_proto::advert::{Advert, InvalidAdvert};

use super::SERVICE_TYPE;

/// The record of a service. Its host name is its own, because withdrawing a service withdraws its host's addresses.
pub(super) fn record(advert: &Advert) -> Result<ServiceInfo, Error> {
    let label = advert.instance.to_string();
    let host = format!("{label}.local.");
    let port = advert.addresses.first().map_or(0, SocketAddr::port);
    let given: Vec<IpAddr> = advert.addresses.iter().map(SocketAddr::ip).collect();
    let everywhere = given.iter().any(IpAddr::is_unspecified);
    let addresses = if everywhere { Vec::new() } else { given.clone() };
    let mut info = ServiceInfo::new(SERVICE_TYPE, &label, &host, &addresses[..], port, &advert.to_txt()[..])?;
    if everywhere {
        info = info.enable_addr_auto();
        if given.iter().all(IpAddr::is_ipv4) {
            info.set_interfaces(vec![IfKind::IPv4]);
        }
    }
    // The names are random, so there is nobody to ask whether they are taken: that would take 0.9 s.
    info.set_requires_probe(false);
    Ok(info)
}

/// What a service announces.
pub(super) fn read(service: &ResolvedService) -> Result<Advert, InvalidAdvert> {
    let property = |key: &str| service.get_property_val(key).map(Option::unwrap_or_default);
    let addresses = service.addresses.iter().map(|address| match address {
        mdns_sd::ScopedIp::V6(v6) if v6.addr().is_unicast_link_local() => {
            std::net::SocketAddrV6::new(*v6.addr(), service.port, 0, v6.scope_id().index).into()
        }
        other => SocketAddr::new(other.to_ip_addr(), service.port),
    });
    Advert::from_txt(label(&service.fullname), property, addresses)
}

/// The first label of a name, which is the instance.
pub(super) fn label(fullname: &str) -> &str {
    fullname.split('.').next().unwrap_or_default()
}
