//! The hosts around this one that the system knows: who answers to ARP, and the routers. Other systems, and IPv6, tell only those who
//! ask with more effort.

use std::net::{IpAddr, Ipv4Addr};

use meshzero_proto::diagnosis::Neighbour;

/// How many entries are read; a table has as many at most, unless it was enlarged.
const MAX_ENTRIES: usize = 4_096;

/// The table; `None` where it cannot be read.
pub(crate) fn table() -> Option<Vec<(IpAddr, Neighbour)>> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    std::fs::read_to_string("/proc/net/arp").ok().map(|text| parse(&text))
}

/// Reads lines such as `10.77.0.1  0x1  0x2  5e:9a:…  *  eth0`, where the third field has bit 1 if the address is known.
fn parse(text: &str) -> Vec<(IpAddr, Neighbour)> {
    let entry = |line: &str| {
        let mut fields = line.split_whitespace();
        let ip: Ipv4Addr = fields.next()?.parse().ok()?;
        let flags = fields.nth(1)?.strip_prefix("0x")?;
        let is_complete = u32::from_str_radix(flags, 16).ok()? & 0x2 != 0;
        let state = if is_complete { Neighbour::Complete } else { Neighbour::Incomplete };
        Some((IpAddr::V4(ip), state))
    };
    text.lines().filter_map(entry).take(MAX_ENTRIES).collect()
}

/// The routers of this host.
pub(crate) fn gateways() -> Vec<IpAddr> {
    if !cfg!(target_os = "linux") {
        return Vec::new();
    }
    std::fs::read_to_string("/proc/net/route").map(|text| parse_routes(&text)).unwrap_or_default()
}

/// Reads lines such as `eth0  00000000  0100A8C0  0003  …`: interface, destination, router, flags.
fn parse_routes(text: &str) -> Vec<IpAddr> {
    let router = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let destination = fields.next()?;
        let gateway = u32::from_str_radix(fields.next()?, 16).ok()?;
        // As it is in memory, whatever the order of bytes there.
        let gateway = Ipv4Addr::from(gateway.to_ne_bytes());
        (destination == "00000000" && !gateway.is_unspecified()).then_some(IpAddr::V4(gateway))
    };
    let mut routers: Vec<IpAddr> = text.lines().filter_map(router).collect();
    routers.dedup();
    routers
}

/// Returns whether there is another host than the routers, as far as the system knows.
pub(crate) fn has_others() -> bool {
    let routers = gateways();
    let is_other = |(ip, state): &(IpAddr, Neighbour)| *state == Neighbour::Complete && !routers.contains(ip);
    table().is_some_and(|table| table.iter().any(is_other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_and_incomplete_entries_are_told_apart() {
        let text = "\
IP address       HW type     Flags       HW address            Mask     Device
10.77.0.1        0x1         0x2         5e:9a:01:02:03:04     *        eth0
10.77.0.2        0x1         0x0         00:00:00:00:00:00     *        eth0
10.77.0.3        0x1         0x6         5e:9a:01:02:03:05     *        eth0
nonsense
";
        let ip = |last| IpAddr::V4(Ipv4Addr::new(10, 77, 0, last));
        let expected =
            [(ip(1), Neighbour::Complete), (ip(2), Neighbour::Incomplete), (ip(3), Neighbour::Complete)];
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn routers_are_those_of_the_default_route() {
        let gateway = u32::from_ne_bytes([192, 168, 0, 1]);
        let text = format!(
            "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t{gateway:08X}\t0003\neth0\t0000A8C0\t00000000\t0001\n"
        );
        assert_eq!(parse_routes(&text), [IpAddr::from([192, 168, 0, 1])]);
    }
}
