//! Linux's table of neighbours, read by rtnetlink(7).

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{
    DecodeError, Emitable, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader,
    Parseable,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use socket2::Socket;

use super::{EntryState, NeighbourEntry};

/// Message types of linux/rtnetlink.h. The library's enum of messages would link the parsers of all other types as well, which
/// are 860 kB.
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;

/// The most entries that are read; a table has no more, unless it was enlarged.
const MAX_ENTRIES: usize = 4_096;
/// The longest time that the system may take for a part of its table; it takes microseconds.
const TIMEOUT: Duration = Duration::from_millis(50);
/// The most bytes that are read at a time; the system writes half of that.
const READ_BYTES: usize = 64 << 10;
/// The unit of the times in a table's entries.
const TICK: Duration = Duration::from_millis(10);

/// Requests the system's table of both families.
pub(super) fn table() -> io::Result<Vec<NeighbourEntry>> {
    let (family, flags) = (AddressFamily::Netlink, SockFlag::SOCK_CLOEXEC);
    let mut socket = Socket::from(socket(family, SockType::Raw, flags, SockProtocol::NetlinkRoute)?);
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.write_all(&bytes(RTM_GETNEIGH, &NeighbourMessage::default()))?;
    let (mut table, mut bytes) = (Vec::new(), vec![0; READ_BYTES]);
    while table.len() < MAX_ENTRIES {
        let read = socket.read(&mut bytes)?;
        if parse_part(&bytes[..read], &mut table).map_err(io::Error::other)? == MessagePart::Last {
            break;
        }
    }
    Ok(table)
}

/// Returns the bytes of a message; as a request it asks for the whole table.
fn bytes(kind: u16, message: &NeighbourMessage) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    let start = header.buffer_len();
    let mut bytes = vec![0; start + message.buffer_len()];
    header.length = bytes.len().try_into().unwrap_or_default();
    header.message_type = kind;
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    header.emit(&mut bytes);
    message.emit(&mut bytes[start..]);
    bytes
}

/// The position of a part in the answer.
#[derive(Debug, PartialEq, Eq)]
enum MessagePart {
    More,
    Last,
}

/// Reads the entries of one part of the answer; those that cannot be read are skipped.
fn parse_part(mut bytes: &[u8], table: &mut Vec<NeighbourEntry>) -> Result<MessagePart, DecodeError> {
    while !bytes.is_empty() {
        let message = NetlinkBuffer::new_checked(bytes)?;
        match message.message_type() {
            NLMSG_DONE => return Ok(MessagePart::Last),
            NLMSG_ERROR => return Err("the system refused the request".into()),
            RTM_NEWNEIGH => table.extend(NeighbourMessage::parse(message.payload()).ok().and_then(entry)),
            _ => {}
        }
        let length = NetlinkHeader::default().buffer_len() + message.payload_length();
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(MessagePart::More)
}

/// Reads one entry, unless it is of a kind that needs no hardware address.
fn entry(message: NeighbourMessage) -> Option<NeighbourEntry> {
    let (mut ip, mut confirmed) = (None, None);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => ip = Some(IpAddr::V4(v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => ip = Some(IpAddr::V6(v6)),
            NeighbourAttribute::CacheInfo(times) => confirmed = Some(TICK.saturating_mul(times.confirmed)),
            _ => {}
        }
    }
    let state = match message.header.state {
        NeighbourState::None | NeighbourState::Noarp => return None,
        // The host is being probed at its known address, and would have answered at once.
        NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::Probe => EntryState::Silent,
        NeighbourState::Permanent => EntryState::Known { confirmed: None },
        _ => EntryState::Known { confirmed },
    };
    let is_router = message.header.flags.contains(NeighbourFlags::Router);
    Some(NeighbourEntry { ip: ip?, zone: message.header.ifindex, state, is_router })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use meshzero_proto::diagnosis::Neighbour;
    use netlink_packet_route::AddressFamily;
    use netlink_packet_route::neighbour::{NeighbourCacheInfo, NeighbourHeader};

    use super::super::{state, states};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 77, 0, last))
    }

    /// An entry as the system writes it.
    fn message(ip: IpAddr, zone: u32, state: NeighbourState, confirmed: u32) -> Vec<u8> {
        flagged(NeighbourFlags::empty(), ip, zone, state, confirmed)
    }

    fn flagged(
        flags: NeighbourFlags,
        ip: IpAddr,
        zone: u32,
        state: NeighbourState,
        confirmed: u32,
    ) -> Vec<u8> {
        let (family, address) = match ip {
            IpAddr::V4(ip) => (AddressFamily::Inet, NeighbourAddress::Inet(ip)),
            IpAddr::V6(ip) => (AddressFamily::Inet6, NeighbourAddress::Inet6(ip)),
        };
        let times = [confirmed.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat();
        let mut message = NeighbourMessage::default();
        message.header =
            NeighbourHeader { family, ifindex: zone, state, flags, ..NeighbourHeader::default() };
        message.attributes = vec![
            NeighbourAttribute::Destination(address),
            NeighbourAttribute::LinkLayerAddress(vec![1, 2, 3, 4, 5, 6]),
            NeighbourAttribute::CacheInfo(NeighbourCacheInfo::parse(&times).expect("16 bytes")),
        ];
        bytes(RTM_NEWNEIGH, &message)
    }

    #[test]
    fn a_host_is_complete_if_it_answered_since_it_was_dialled() {
        use NeighbourState::{Delay, Failed, Incomplete, Noarp, Permanent, Probe, Reachable, Stale};
        let v6: IpAddr = "fe80::9".parse().expect("an address");
        let entries = [
            message(ip(1), 2, Reachable, 100),
            message(ip(2), 2, Stale, 1_000),
            message(ip(3), 2, Delay, 499),
            message(ip(4), 2, Probe, 100),
            message(ip(5), 2, Failed, 100),
            message(ip(6), 2, Incomplete, 100),
            message(ip(7), 2, Permanent, 100),
            message(ip(8), 2, Noarp, 100),
            message(v6, 3, Reachable, 100),
        ];
        let mut table = Vec::new();
        assert_eq!(parse_part(&entries.concat(), &mut table).expect("complete"), MessagePart::More);
        let dialled: Vec<Neighbour> =
            (1..=9).map(|last| state(&table, SocketAddr::new(ip(last), 9), 5 * SECOND)).collect();
        let (complete, stale) = (Neighbour::Complete, Neighbour::Stale);
        let (incomplete, unknown) = (Neighbour::Incomplete, Neighbour::Unknown);
        let expected =
            [complete, stale, complete, incomplete, incomplete, incomplete, stale, unknown, unknown];
        assert_eq!(dialled, expected);
        let whenever = [(ip(1), stale), (ip(2), stale), (ip(3), stale), (ip(4), incomplete)];
        assert_eq!(states(&table)[..4], whenever);
        for (zone, known) in [("", complete), ("%3", complete), ("%4", unknown)] {
            let at = format!("[fe80::9{zone}]:9").parse().expect("an address");
            assert_eq!(state(&table, at, 5 * SECOND), known, "{zone:?}");
        }
    }

    #[test]
    fn others_are_neither_routers_nor_silent_and_on_an_interface_in_use() {
        use NeighbourState::{Failed, Permanent, Reachable, Stale};
        let router: IpAddr = "fe80::1".parse().expect("an address");
        let has_others = |message: Vec<u8>| {
            let mut table = Vec::new();
            parse_part(&message, &mut table).expect("complete");
            table.iter().any(|entry| entry.is_other(&[2, 3], &[ip(1)]))
        };
        assert!(has_others(message(ip(9), 2, Reachable, 100)));
        assert!(
            has_others(message(router, 3, Stale, 100)),
            "it is a host unless it announces that it is a router"
        );
        assert!(!has_others(flagged(NeighbourFlags::Router, router, 3, Stale, 100)));
        let both_flags = NeighbourFlags::Router | NeighbourFlags::Own;
        assert!(!has_others(flagged(both_flags, router, 3, Reachable, 100)));
        assert!(!has_others(message(ip(1), 2, Reachable, 100)), "the default gateway");
        assert!(!has_others(message(ip(9), 2, Failed, 100)));
        assert!(!has_others(message(ip(9), 4, Permanent, 100)), "on an interface that is not used");
    }

    #[test]
    fn malformed_messages_do_not_panic() {
        let complete = message(ip(1), 2, NeighbourState::Reachable, 100);
        for length in 1..complete.len() {
            assert!(parse_part(&complete[..length], &mut Vec::new()).is_err(), "{length}");
            let mut short = complete.clone();
            short[..4].copy_from_slice(&u32::try_from(length).expect("short").to_ne_bytes());
            // The result does not matter, only that it ends.
            let _ = parse_part(&short, &mut Vec::new());
            for byte in 0..=u8::MAX {
                let mut other = complete.clone();
                other[length] = byte;
                let _ = parse_part(&other, &mut Vec::new());
            }
        }
        assert_eq!(parse_part(&[], &mut Vec::new()).expect("nothing"), MessagePart::More);
    }

    #[test]
    fn the_table_of_this_host_can_be_read() {
        table().expect("it needs no rights");
    }
}
