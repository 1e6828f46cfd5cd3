//! Findings from the attempts to reach endpoints: about the other host, the route to it, and this host's end of that route.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::attempt::{AttemptOutcome, seconds};
use super::cable::no_carrier;
use super::finding::{Finding, FindingCode};
use super::observations::{InterfaceKind, Neighbour, Observations, SilentEndpoint, Sought, TriedAddress};
use super::text::{asked_by, networks, quoted};

/// The time within which an error is an answer of a host or router: a system that asks for a hardware address in vain gives up
/// after three seconds.
const HOST_ANSWER_TIME: Duration = Duration::from_millis(500);
/// The silence below which the network may only be slow or lossy: TCP repeats its first packet after a second (RFC 6298 §2), and
/// the repetition needs a round trip as well.
const SHORT_SILENCE: Duration = Duration::from_secs(2);
/// The time since a reply of its own process within which an endpoint has probably not ended.
const RECENT_REPLY: Duration = Duration::from_secs(2);
/// The time since a reply of its process within which a host has probably not been switched off.
const RECENT_HOST: Duration = Duration::from_secs(20);

/// The error of Linux if its own rules forbid sending; a host that rejects by ICMPv6 appears as another number of the same kind.
const EPERM: i32 = 1;

/// The remedy for an access point that isolates its clients.
pub(super) const ISOLATION_REMEDY: &str = "Switch \"AP isolation\" (client isolation) off, use the main network instead of the guest network, or a cable";

/// Returns the causes that fit, the likeliest of each endpoint first; none if no endpoint was tried.
pub(super) fn judge(seen: &Observations) -> Vec<Finding> {
    let mut findings: Vec<(u8, Finding)> =
        seen.endpoints.iter().filter_map(|endpoint| of_endpoint(seen, endpoint)).collect();
    // The most specific one comes first; among equals the order in which they were given.
    findings.sort_by_key(|(rank, _)| *rank);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// Returns the likeliest cause for the silence of one endpoint, and its rank: the more specific, the lower.
pub(super) fn of_endpoint(seen: &Observations, endpoint: &SilentEndpoint) -> Option<(u8, Finding)> {
    let judged = endpoint.tried.iter().map(|tried| (sign(seen, endpoint, tried), tried));
    let (sign, tried) = judged.min_by_key(|(sign, _)| *sign)?;
    Some((sign as u8, finding(seen, endpoint, tried, sign)))
}

/// Returns the finding for an address of which only its silence is known.
pub(super) fn nothing(seen: &Observations, address: SocketAddr) -> Finding {
    let trouble = seen.trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
    Finding {
        code: FindingCode::NoAnswer,
        sentence: format!("nothing of this mesh answers at {}{trouble}", seen.named(address)),
        remedy: format!("Check that the program runs on {}, and the port", address.ip()),
    }
}

/// The meaning of one attempt, the most specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    Declined,
    OtherProtocol,
    Stalled,
    NotPermitted,
    CableOut,
    Gone,
    RefusedThoughThere,
    Rejected,
    Dropped,
    Tunnel,
    Isolated,
    Silent,
    DroppedOrOff,
    NotNear,
    NoRoute,
    Nothing,
    OwnAddress,
    Other,
}

fn sign(seen: &Observations, endpoint: &SilentEndpoint, tried: &TriedAddress) -> Sign {
    let ip = tried.attempt.address.ip();
    let own = seen.is_own(ip) == Some(true);
    let (kind, code) = match tried.attempt.outcome {
        AttemptOutcome::Rejected => return Sign::Declined,
        AttemptOutcome::OtherProtocol => return Sign::OtherProtocol,
        // An address of this host may be that of a bridge which another host has as well.
        _ if own && !is_meant(seen, endpoint) => return Sign::OwnAddress,
        AttemptOutcome::Accepted => return Sign::Stalled,
        AttemptOutcome::Silent => return silence(seen, endpoint, tried),
        AttemptOutcome::Failed { kind, code } => (kind, code),
    };
    match kind {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
            match endpoint.replied_ago {
                Some(ago) if ago <= RECENT_REPLY && kind == ErrorKind::ConnectionRefused && !own => {
                    Sign::RefusedThoughThere
                }
                _ => Sign::Gone,
            }
        }
        ErrorKind::PermissionDenied if ip.is_ipv6() && code.is_some_and(|code| code != EPERM) => {
            Sign::Rejected
        }
        ErrorKind::PermissionDenied => Sign::NotPermitted,
        ErrorKind::NetworkUnreachable => Sign::NoRoute,
        ErrorKind::HostUnreachable => match tried.neighbour {
            Neighbour::Complete | Neighbour::Stale => Sign::Rejected,
            Neighbour::Incomplete => silence(seen, endpoint, tried),
            Neighbour::Unknown
                if tried.attempt.took < HOST_ANSWER_TIME && seen.is_near(ip) != Some(false) =>
            {
                Sign::Rejected
            }
            Neighbour::Unknown => silence(seen, endpoint, tried),
        },
        ErrorKind::TimedOut => silence(seen, endpoint, tried),
        _ => Sign::Other,
    }
}

/// Returns true if an address of this host is really meant: it was requested, or there is no other.
fn is_meant(seen: &Observations, endpoint: &SilentEndpoint) -> bool {
    matches!(seen.target, Sought::Address(_))
        || endpoint.tried.iter().all(|tried| seen.is_own(tried.attempt.address.ip()) == Some(true))
}

/// Returns the meaning of an attempt without an answer.
fn silence(seen: &Observations, endpoint: &SilentEndpoint, tried: &TriedAddress) -> Sign {
    let ip = tried.attempt.address.ip();
    let leaves_by = tried.leaves_by.as_deref().and_then(|name| seen.interface(name));
    if leaves_by.is_some_and(|interface| interface.kind == InterfaceKind::Tunnel) {
        return Sign::Tunnel;
    }
    if leaves_by.is_some_and(|interface| interface.carrier == Some(false) || interface.up == Some(false)) {
        return Sign::CableOut;
    }
    // The neighbour table keeps the entry of a host that has been switched off for half a minute.
    let has_replied = endpoint.replied_ago.is_some_and(|ago| ago <= tried.attempt.took + RECENT_REPLY);
    match tried.neighbour {
        Neighbour::Complete => Sign::Dropped,
        Neighbour::Stale if has_replied => Sign::Dropped,
        Neighbour::Stale => Sign::DroppedOrOff,
        Neighbour::Incomplete if is_isolated(seen, endpoint, tried) => Sign::Isolated,
        Neighbour::Incomplete => Sign::Silent,
        Neighbour::Unknown => match seen.is_near(ip) {
            Some(false) => Sign::NotNear,
            Some(true) | None => Sign::Nothing,
        },
    }
}

/// Returns true if a host that does not answer to ARP is probably isolated rather than off: it replied a moment ago, or the
/// router answers and none of several hosts does.
fn is_isolated(seen: &Observations, endpoint: &SilentEndpoint, tried: &TriedAddress) -> bool {
    if endpoint.replied_ago.is_some_and(|ago| ago <= RECENT_HOST) {
        return true;
    }
    let wireless = tried.leaves_by.as_deref().and_then(|name| seen.interface(name));
    let wireless = wireless.is_some_and(|interface| interface.kind == InterfaceKind::Wireless);
    only_router_answers(seen, if wireless { 0 } else { 2 })
}

/// Returns true if the router answers to ARP, and of at least `at_least` other hosts that were asked none does.
pub(super) fn only_router_answers(seen: &Observations, at_least: usize) -> bool {
    let router = seen.gateways.iter().any(|gateway| seen.neighbour(*gateway).has_answered());
    let others = || {
        let neighbours = seen.neighbours.iter().flatten();
        neighbours.filter(|(ip, _)| ip.is_ipv4() && !seen.gateways.contains(ip)).map(|(_, known)| *known)
    };
    let silent = others().filter(|known| *known == Neighbour::Incomplete).count();
    router && silent >= at_least && !others().any(Neighbour::has_answered)
}

fn finding(seen: &Observations, endpoint: &SilentEndpoint, tried: &TriedAddress, sign: Sign) -> Finding {
    let address = tried.attempt.address;
    let (ip, port) = (address.ip(), address.port());
    let took = seconds(tried.attempt.took);
    let unless =
        if tried.attempt.took < SHORT_SILENCE { ", unless the network is slow or loses packets" } else { "" };
    let who = subject(endpoint, tried);
    let let_in = format!(
        "let the port in: with ufw `sudo ufw allow {port}/tcp`, with firewalld `sudo firewall-cmd --add-port={port}/tcp`; \
         MESHZERO_PORTS=9000-9100 there keeps to ports that can be allowed once and for all"
    );
    let firewall_remedy = || format!("On {ip}, {let_in}");
    let (code, sentence, remedy) = match sign {
        Sign::Declined => (
            FindingCode::Declined,
            format!(
                "{who}, and the program there rejects the connection: {}",
                tried.reason.as_deref().unwrap_or("it gave no reason")
            ),
            match tried.reason.as_deref() {
                Some(said) if said.contains("belongs to the mesh") => {
                    "Join that mesh: MESHZERO_MESH, or `--mesh`".to_owned()
                }
                _ => "Try again in a moment".to_owned(),
            },
        ),
        Sign::OtherProtocol => (
            FindingCode::OtherProtocol,
            format!(
                "{who}, and the program there does not speak meshzero{}",
                tried.reason.as_ref().map(|said| format!(": {said}")).unwrap_or_default()
            ),
            "Check the port: `mz discover NAME` prints the address of a service".to_owned(),
        ),
        Sign::Stalled => (
            FindingCode::ProgramStalled,
            format!(
                "{who}, where connections are accepted and nothing arrives for {took}: the program is stopped or busy, or large \
                 packets get lost on the way{unless}"
            ),
            format!(
                "Look at the program on {ip}: is it suspended (Ctrl-Z), in a debugger, or does a handler block its thread?"
            ),
        ),
        Sign::NotPermitted => (
            FindingCode::OutgoingFilter,
            format!(
                "this machine does not allow sending to {ip}: a firewall rule, or the kill switch of a VPN"
            ),
            "Allow the local network in the firewall or the VPN's settings".to_owned(),
        ),
        Sign::CableOut => return no_carrier(seen, tried.leaves_by.as_deref().unwrap_or("the interface")),
        Sign::Gone if seen.is_own(ip) == Some(true) => (
            FindingCode::ProcessGone,
            format!(
                "{who}, which is this machine, and nothing listens there: the program has ended, or not started yet"
            ),
            "Start it, or check the port".to_owned(),
        ),
        Sign::Gone => (
            FindingCode::ProcessGone,
            match endpoint.service {
                Some(_) => format!(
                    "{who}; that host is there, and nothing listens at the port: the program has ended without withdrawing the service"
                ),
                None => format!(
                    "{who}; that host is there, and nothing listens at the port: the program has ended, or listens at another"
                ),
            },
            format!(
                "Start the program on {ip} again; if it is running, a firewall there rejects connections to port {port}"
            ),
        ),
        Sign::RefusedThoughThere => (
            FindingCode::FirewallThereRejects,
            format!(
                "{who}, and {ip} refuses connections to that port although the program replied {} ago: a firewall there rejects \
                 them, or the program has ended this moment",
                seconds(endpoint.replied_ago.unwrap_or_default())
            ),
            firewall_remedy(),
        ),
        Sign::Rejected => (
            FindingCode::FirewallThereRejects,
            format!("{who}, and {ip} rejects connections to that port by a firewall rule"),
            firewall_remedy(),
        ),
        Sign::Dropped => (
            FindingCode::FirewallThereDrops,
            format!(
                "{who}, and that host is there and does not answer on that port for {took}: a firewall on it drops connections{unless}"
            ),
            firewall_remedy(),
        ),
        Sign::Tunnel => (
            FindingCode::VpnRoute,
            format!(
                "packets to {ip} leave by {}, a VPN's tunnel, and nothing arrives from it",
                tried.leaves_by.as_deref().unwrap_or("a tunnel")
            ),
            "Switch the VPN off, or let it leave out the local network (split tunnel)".to_owned(),
        ),
        Sign::Isolated => (
            FindingCode::ClientsIsolated,
            format!(
                "{who}, and no direct packet reaches it: the access point or switch keeps its clients apart (a guest network?), or \
                 that host has just gone"
            ),
            ISOLATION_REMEDY.to_owned(),
        ),
        Sign::Silent => (
            FindingCode::HostSilent,
            format!(
                "{who}, and {ip} does not answer to {}: it is off, asleep, unplugged or on another network{}",
                asked_by(ip),
                perhaps_isolated(seen, tried)
            ),
            format!(
                "Check that {ip} is switched on and on this network, and that its address is still the same"
            ),
        ),
        Sign::DroppedOrOff => (
            FindingCode::NoAnswer,
            format!(
                "{who}, and nothing came back for {took}: that host is off or asleep, or a firewall on it drops connections{unless}"
            ),
            format!("Check that {ip} is switched on; if it is, {let_in}"),
        ),
        Sign::NotNear | Sign::NoRoute => other_subnet(seen, endpoint, tried, sign),
        Sign::Nothing | Sign::OwnAddress | Sign::Other => (
            FindingCode::NoAnswer,
            match tried.attempt.outcome {
                AttemptOutcome::Failed { kind, .. } => format!("{who}, and connecting there fails: {kind}"),
                _ => format!(
                    "{who}, and nothing came back for {took}: a firewall on that host drops connections, or it is off or asleep{unless}"
                ),
            },
            format!("Check that the host is on, and that its firewall lets port {port}/tcp in"),
        ),
    };
    Finding { code, sentence, remedy }
}

fn perhaps_isolated(seen: &Observations, tried: &TriedAddress) -> &'static str {
    let leaves_by = tried.leaves_by.as_deref().and_then(|name| seen.interface(name));
    match leaves_by {
        Some(interface) if interface.kind == InterfaceKind::Wireless => {
            "; or the access point keeps its clients apart"
        }
        _ => "",
    }
}

fn other_subnet(
    seen: &Observations,
    endpoint: &SilentEndpoint,
    tried: &TriedAddress,
    sign: Sign,
) -> (FindingCode, String, String) {
    let who = subject(endpoint, tried);
    let ip = tried.attempt.address.ip();
    let same_family = |own: &IpAddr| own.is_ipv4() == ip.is_ipv4();
    let own = networks(seen, same_family);
    if own.is_empty() && sign == Sign::NoRoute {
        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        return (
            FindingCode::NoAddress,
            format!("{who}, and this host has no {family} address to send from"),
            "Connect this machine to the network, or wait for its address (DHCP)".to_owned(),
        );
    }
    let here = if own.is_empty() { "another network".to_owned() } else { own };
    let what = match sign {
        Sign::NoRoute => "there is no route from one to the other",
        _ => {
            "nothing came back through the router: it keeps the networks apart, a firewall drops connections, or the host is off"
        }
    };
    (
        FindingCode::OtherSubnet,
        format!("{who}, which is in another network than this host ({here}), and {what}"),
        "Put both on the same network (not one on the guest network), or have the router pass TCP between them and name a peer: \
         MESHZERO_PEERS=ADDRESS:PORT, `--peers`"
            .to_owned(),
    )
}

/// Returns the endpoint that does not answer, as the beginning of a sentence.
fn subject(endpoint: &SilentEndpoint, tried: &TriedAddress) -> String {
    let address = tried.address_text();
    match &endpoint.service {
        Some(service) => format!("{} is announced at {address}", quoted(service)),
        None => format!("nothing of this mesh answers at {address}"),
    }
}
