//! The routers of this host, from its routing table. Systems other than Linux expose it only with more effort.

use std::net::{IpAddr, Ipv4Addr};

/// Returns the routers of this host.
pub(crate) fn all() -> Vec<IpAddr> {
    if !cfg!(target_os = "linux") {
        return Vec::new();
    }
    std::fs::read_to_string("/proc/net/route").map(|text| parse_routes(&text)).unwrap_or_default()
}

/// Parses lines such as `eth0  00000000  0100A8C0  0003  …`: interface, destination, router, flags.
fn parse_routes(text: &str) -> Vec<IpAddr> {
    let router = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let destination = fields.next()?;
        let gateway = u32::from_str_radix(fields.next()?, 16).ok()?;
        // The number shows the bytes in memory, in the byte order of this host.
        let gateway = Ipv4Addr::from(gateway.to_ne_bytes());
        (destination == "00000000" && !gateway.is_unspecified()).then_some(IpAddr::V4(gateway))
    };
    let mut routers: Vec<IpAddr> = text.lines().filter_map(router).collect();
    routers.dedup();
    routers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_are_those_of_the_default_route() {
        let gateway = u32::from_ne_bytes([192, 168, 0, 1]);
        let text = format!(
            "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t{gateway:08X}\t0003\neth0\t0000A8C0\t00000000\t0001\n"
        );
        assert_eq!(parse_routes(&text), [IpAddr::from([192, 168, 0, 1])]);
    }
}
