//! The system's table of neighbours: which hosts of its networks answer when they are asked for their hardware addresses. Systems
//! other than Linux tell only those who ask with more effort.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use meshzero_proto::diagnosis::Neighbour;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{routers, zone};

/// The most entries that are read; a table has as many at most, unless it was enlarged.
const MAX_ENTRIES: usize = 4_096;
/// The longest time that the system may take for a part of its table; it takes microseconds.
const PATIENCE: Duration = Duration::from_millis(50);
/// The most bytes that are read at a time; the system writes half as many.
const READ_BYTES: usize = 64 << 10;

/// Numbers of rtnetlink(7).
const AF_NETLINK: i32 = 16;
const NETLINK_ROUTE: i32 = 0;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NDA_DST: u16 = 1;
const NDA_CACHEINFO: u16 = 3;
const NUD_INCOMPLETE: u16 = 0x01;
const NUD_PROBE: u16 = 0x10;
const NUD_FAILED: u16 = 0x20;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
const MESSAGE_HEADER: usize = 16;
const NEIGHBOUR_HEADER: usize = 12;
/// The unit of the times in a table's entries.
const TICK: Duration = Duration::from_millis(10);

/// One entry of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    ip: IpAddr,
    /// The number of the interface, 0 where it is not known.
    zone: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The hardware address is known.
    Known {
        /// How long ago the host has shown that it is there, if the system tells.
        confirmed: Option<Duration>,
    },
    /// It was asked and did not answer.
    Silent,
}

/// The table; `None` where it cannot be read.
pub(crate) fn table() -> Option<Vec<Entry>> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let without_times = || std::fs::read_to_string("/proc/net/arp").map(|text| parse(&text));
    ask().or_else(|_| without_times()).ok()
}

/// The state of each host, whenever it was last confirmed.
pub(crate) fn states(table: &[Entry]) -> Vec<(IpAddr, Neighbour)> {
    table.iter().map(|entry| (entry.ip, entry.since(Duration::ZERO))).collect()
}

/// Whether there is another host than the routers, as far as the system knows.
pub(crate) fn has_others() -> bool {
    let routers = routers::all();
    let is_other = |entry: &Entry| entry.state != State::Silent && !routers.contains(&entry.ip);
    table().is_some_and(|table| table.iter().any(is_other))
}

/// The state of a host that was dialled so long ago.
pub(crate) fn state(table: &[Entry], address: SocketAddr, dialled: Duration) -> Neighbour {
    let zone = zone::of(address);
    let is_it =
        |entry: &&Entry| entry.ip == address.ip() && (zone == 0 || entry.zone == 0 || entry.zone == zone);
    table.iter().find(is_it).map(|entry| entry.since(dialled)).unwrap_or_default()
}

impl Entry {
    fn since(&self, dialled: Duration) -> Neighbour {
        match self.state {
            State::Silent => Neighbour::Incomplete,
            State::Known { confirmed: Some(ago) } if ago < dialled => Neighbour::Complete,
            State::Known { .. } => Neighbour::Stale,
        }
    }
}

/// Asks the system for its table of both families.
fn ask() -> io::Result<Vec<Entry>> {
    let mut socket = Socket::new(Domain::from(AF_NETLINK), Type::RAW, Some(Protocol::from(NETLINK_ROUTE)))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(&question())?;
    let (mut table, mut bytes) = (Vec::new(), vec![0; READ_BYTES]);
    while table.len() < MAX_ENTRIES {
        let read = socket.read(&mut bytes)?;
        match take(&bytes[..read], &mut table) {
            Some(Part::More) => {}
            Some(Part::Last) => break,
            None => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok(table)
}

fn question() -> Vec<u8> {
    let length = u32::try_from(MESSAGE_HEADER + NEIGHBOUR_HEADER).unwrap_or_default();
    let mut question = Vec::new();
    question.extend_from_slice(&length.to_ne_bytes());
    question.extend_from_slice(&RTM_GETNEIGH.to_ne_bytes());
    question.extend_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    // The numbers of the question and of who asks, and a neighbour of any family and interface.
    question.extend_from_slice(&[0; 8 + NEIGHBOUR_HEADER]);
    question
}

/// Whether more of an answer follows.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    More,
    Last,
}

/// Takes the entries of one part of the answer; `None` if it is an error, or no answer.
fn take(mut bytes: &[u8], table: &mut Vec<Entry>) -> Option<Part> {
    while !bytes.is_empty() {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let message = bytes.get(..length).filter(|message| message.len() >= MESSAGE_HEADER)?;
        match u16_at(message, 4)? {
            NLMSG_DONE => return Some(Part::Last),
            NLMSG_ERROR => return None,
            RTM_NEWNEIGH => table.extend(entry(&message[MESSAGE_HEADER..])),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Part::More)
}

/// Reads one entry, unless it is of a kind that needs no hardware address.
fn entry(message: &[u8]) -> Option<Entry> {
    let (zone, state) = (u32_at(message, 4)?, u16_at(message, 8)?);
    if state == 0 || state & NUD_NOARP != 0 {
        return None;
    }
    let (mut ip, mut confirmed) = (None, None);
    let mut rest = message.get(NEIGHBOUR_HEADER..)?;
    while let (Some(length), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let length = usize::from(length);
        let value = rest.get(4..length)?;
        match kind {
            NDA_DST => ip = address(value),
            NDA_CACHEINFO => confirmed = Some(TICK.saturating_mul(u32_at(value, 0)?)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let state = match state {
        // It is asked again at the address that was known; who is there answers at once.
        silent if silent & (NUD_INCOMPLETE | NUD_FAILED | NUD_PROBE) != 0 => State::Silent,
        by_hand if by_hand & NUD_PERMANENT != 0 => State::Known { confirmed: None },
        _ => State::Known { confirmed },
    };
    Some(Entry { ip: ip?, zone, state })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Reads lines such as `10.77.0.1  0x1  0x2  5e:9a:…  *  eth0`, where the third field has bit 1 if the address is known.
fn parse(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let mut fields = line.split_whitespace();
        let ip: Ipv4Addr = fields.next()?.parse().ok()?;
        let flags = fields.nth(1)?.strip_prefix("0x")?;
        let is_complete = u32::from_str_radix(flags, 16).ok()? & 0x2 != 0;
        let state = if is_complete { State::Known { confirmed: None } } else { State::Silent };
        Some(Entry { ip: IpAddr::V4(ip), zone: 0, state })
    };
    text.lines().filter_map(entry).take(MAX_ENTRIES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ip(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 77, 0, last))
    }

    #[test]
    fn complete_and_incomplete_entries_are_told_apart() {
        let text = "\
IP address       HW type     Flags       HW address            Mask     Device
10.77.0.1        0x1         0x2         5e:9a:01:02:03:04     *        eth0
10.77.0.2        0x1         0x0         00:00:00:00:00:00     *        eth0
10.77.0.3        0x1         0x6         5e:9a:01:02:03:05     *        eth0
nonsense
";
        let expected = [(ip(1), Neighbour::Stale), (ip(2), Neighbour::Incomplete), (ip(3), Neighbour::Stale)];
        assert_eq!(states(&parse(text)), expected);
    }

    /// An entry as the system writes it.
    fn message(ip: IpAddr, zone: u32, state: u16, confirmed: u32) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend_from_slice(&zone.to_ne_bytes());
        body.extend_from_slice(&state.to_ne_bytes());
        body.extend_from_slice(&[0; 2]);
        let ip: Vec<u8> = match ip {
            IpAddr::V4(ip) => ip.octets().into(),
            IpAddr::V6(ip) => ip.octets().into(),
        };
        let times = [confirmed.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat();
        for (kind, value) in [(NDA_DST, ip), (2, vec![1, 2, 3, 4, 5, 6]), (NDA_CACHEINFO, times)] {
            let length = u16::try_from(4 + value.len()).expect("short");
            body.extend_from_slice(&length.to_ne_bytes());
            body.extend_from_slice(&kind.to_ne_bytes());
            body.extend_from_slice(&value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = u32::try_from(MESSAGE_HEADER + body.len()).expect("short").to_ne_bytes().to_vec();
        message.extend_from_slice(&RTM_NEWNEIGH.to_ne_bytes());
        message.extend_from_slice(&[0; 10]);
        message.extend(body);
        message
    }

    #[test]
    fn a_host_is_there_if_it_answered_since_it_was_dialled() {
        let v6: IpAddr = "fe80::9".parse().expect("an address");
        let (reachable, stale, delay) = (0x02, 0x04, 0x08);
        let entries = [
            message(ip(1), 2, reachable, 100),
            message(ip(2), 2, stale, 1_000),
            message(ip(3), 2, delay, 499),
            message(ip(4), 2, NUD_PROBE, 100),
            message(ip(5), 2, NUD_FAILED, 100),
            message(ip(6), 2, NUD_INCOMPLETE, 100),
            message(ip(7), 2, NUD_PERMANENT, 100),
            message(ip(8), 2, NUD_NOARP, 100),
            message(v6, 3, reachable, 100),
        ];
        let mut table = Vec::new();
        assert_eq!(take(&entries.concat(), &mut table), Some(Part::More));
        let asked: Vec<Neighbour> =
            (1..=9).map(|last| state(&table, SocketAddr::new(ip(last), 9), 5 * SECOND)).collect();
        use Neighbour::{Complete, Incomplete, Stale, Unknown};
        let expected =
            [Complete, Stale, Complete, Incomplete, Incomplete, Incomplete, Stale, Unknown, Unknown];
        assert_eq!(asked, expected);
        for (zone, known) in [("", Complete), ("%3", Complete), ("%4", Unknown)] {
            let at = format!("[fe80::9{zone}]:9").parse().expect("an address");
            assert_eq!(state(&table, at, 5 * SECOND), known, "{zone:?}");
        }
    }

    #[test]
    fn whatever_the_system_writes_is_read_or_refused() {
        let whole = message(ip(1), 2, 0x02, 100);
        for length in 1..whole.len() {
            assert_eq!(take(&whole[..length], &mut Vec::new()), None, "{length}");
            let mut short = whole.clone();
            short[..4].copy_from_slice(&u32::try_from(length).expect("short").to_ne_bytes());
            // Whatever comes of it, it ends.
            take(&short, &mut Vec::new());
        }
        assert_eq!(take(&[], &mut Vec::new()), Some(Part::More));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_host_tells_its_table() {
        ask().expect("it needs no rights");
    }
}
