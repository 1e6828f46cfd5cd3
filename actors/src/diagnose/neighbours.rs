//! The system's table of IPv4 neighbours: who answers to ARP. Other systems, and IPv6, tell only those who ask with more effort.

use std::net::{IpAddr, Ipv4Addr};

use meshzero_proto::diagnosis::Neighbour;

/// How many entries are read; a table has as many at most, unless it was enlarged.
const MAX_ENTRIES: usize = 4_096;

/// The table; `None` where it cannot be read.
pub(super) fn table() -> Option<Vec<(IpAddr, Neighbour)>> {
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
}
