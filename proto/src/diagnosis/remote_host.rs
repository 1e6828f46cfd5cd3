//! Findings from the attempts to reach endpoints: about the other host, the route to it, and this host's end of that route.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::attempt::{AttemptOutcome, format_duration};
use super::cable::no_carrier;
use super::finding::{Finding, FindingCode};
use super::observations::{InterfaceKind, Neighbour, Observations, SilentEndpoint, Sought, TriedAddress};
use super::wording::{neighbour_protocol, networks, quoted};

/// The time within which an error is an answer of a host or router: a system that gets no hardware address gives up after
/// three seconds.
const HOST_ANSWER_TIME: Duration = Duration::from_millis(500);
/// The time of silence below which the network may just be slow or lossy: TCP repeats its first packet after a second (RFC 6298
/// §2), and the repetition needs a round trip as well.
const SHORT_SILENCE: Duration = Duration::from_secs(2);
/// The age of a reply of its process up to which an endpoint has probably not ended.
const RECENT_REPLY: Duration = Duration::from_secs(2);
/// The age of a reply of its process up to which a host has probably not been switched off.
const RECENT_HOST: Duration = Duration::from_secs(20);

/// The error of Linux if its own rules forbid sending; a rejection by ICMPv6 has another number of the same kind.
const EPERM: i32 = 1;

/// The remedy for an access point that isolates its clients.
pub(super) const ISOLATION_REMEDY: &str = "Switch \"AP isolation\" (client isolation) off, use the main network instead of the guest network, or a cable";

/// Returns the causes that fit, the likeliest of each endpoint first; none if no endpoint was tried.
pub(super) fn judge(observations: &Observations) -> Vec<Finding> {
    let mut findings: Vec<(u8, Finding)> =
        observations.endpoints.iter().filter_map(|endpoint| of_endpoint(observations, endpoint)).collect();
    // The most specific one comes first; among equals the given order.
    findings.sort_by_key(|(rank, _)| *rank);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// Returns the likeliest cause for the silence of one endpoint, and its rank: the more specific, the lower.
pub(super) fn of_endpoint(observations: &Observations, endpoint: &SilentEndpoint) -> Option<(u8, Finding)> {
    let symptoms = endpoint.tried.iter().map(|tried| (symptom_of(observations, endpoint, tried), tried));
    let (symptom, tried) = symptoms.min_by_key(|(symptom, _)| *symptom)?;
    Some((symptom as u8, finding(observations, endpoint, tried, symptom)))
}

/// Returns the finding for an address that does not answer, without further evidence.
pub(super) fn no_answer(observations: &Observations, address: SocketAddr) -> Finding {
    let trouble = observations.trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
    Finding {
        code: FindingCode::NoAnswer,
        sentence: format!(
            "nothing of this mesh answers at {}{trouble}",
            observations.address_with_zone(address)
        ),
        remedy: format!("Check that the program runs on {}, and the port", address.ip()),
    }
}

/// The meaning of one attempt, the most specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Symptom {
    Declined,
    OtherProtocol,
    Stalled,
    NotPermitted,
    CableOut,
    NotListening,
    RefusedDespiteReply,
    Rejected,
    Dropped,
    Tunnel,
    Isolated,
    Silent,
    DroppedOrOff,
    OtherNetwork,
    NoRoute,
    NoEvidence,
    OwnAddress,
    Other,
}

fn symptom_of(observations: &Observations, endpoint: &SilentEndpoint, tried: &TriedAddress) -> Symptom {
    let ip = tried.attempt.address.ip();
    let own = observations.is_own(ip) == Some(true);
    let (kind, code) = match tried.attempt.outcome {
        AttemptOutcome::Rejected => return Symptom::Declined,
        AttemptOutcome::OtherProtocol => return Symptom::OtherProtocol,
        // An address of this host may be that of a bridge which another host has as well.
        _ if own && !is_meant(observations, endpoint) => return Symptom::OwnAddress,
        AttemptOutcome::Accepted => return Symptom::Stalled,
        AttemptOutcome::Silent => return silence(observations, endpoint, tried),
        AttemptOutcome::Failed { kind, code } => (kind, code),
    };
    match kind {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
            match endpoint.replied_ago {
                Some(ago) if ago <= RECENT_REPLY && kind == ErrorKind::ConnectionRefused && !own => {
                    Symptom::RefusedDespiteReply
                }
                _ => Symptom::NotListening,
            }
        }
        ErrorKind::PermissionDenied if ip.is_ipv6() && code.is_some_and(|code| code != EPERM) => {
            Symptom::Rejected
        }
        ErrorKind::PermissionDenied => Symptom::NotPermitted,
        ErrorKind::NetworkUnreachable => Symptom::NoRoute,
        ErrorKind::HostUnreachable => match tried.neighbour {
            Neighbour::Complete | Neighbour::Stale => Symptom::Rejected,
            Neighbour::Incomplete => silence(observations, endpoint, tried),
            Neighbour::Unknown
                if tried.attempt.took < HOST_ANSWER_TIME && observations.is_near(ip) != Some(false) =>
            {
                Symptom::Rejected
            }
            Neighbour::Unknown => silence(observations, endpoint, tried),
        },
        ErrorKind::TimedOut => silence(observations, endpoint, tried),
        _ => Symptom::Other,
    }
}

/// Returns true if an address of this host is really meant: it was requested, or there is no other.
fn is_meant(observations: &Observations, endpoint: &SilentEndpoint) -> bool {
    matches!(observations.target, Sought::Address(_))
        || endpoint.tried.iter().all(|tried| observations.is_own(tried.attempt.address.ip()) == Some(true))
}

/// Returns the meaning of an attempt without an answer.
fn silence(observations: &Observations, endpoint: &SilentEndpoint, tried: &TriedAddress) -> Symptom {
    let ip = tried.attempt.address.ip();
    let outgoing = tried.leaves_by.as_deref().and_then(|name| observations.interface(name));
    if outgoing.is_some_and(|interface| interface.kind == InterfaceKind::Tunnel) {
        return Symptom::Tunnel;
    }
    if outgoing.is_some_and(|interface| interface.carrier == Some(false) || interface.up == Some(false)) {
        return Symptom::CableOut;
    }
    // The neighbour table keeps the entry of a host that has been switched off for half a minute.
    let has_replied = endpoint.replied_ago.is_some_and(|ago| ago <= tried.attempt.took + RECENT_REPLY);
    match tried.neighbour {
        Neighbour::Complete => Symptom::Dropped,
        Neighbour::Stale if has_replied => Symptom::Dropped,
        Neighbour::Stale => Symptom::DroppedOrOff,
        Neighbour::Incomplete if is_isolated(observations, endpoint, tried) => Symptom::Isolated,
        Neighbour::Incomplete => Symptom::Silent,
        Neighbour::Unknown => match observations.is_near(ip) {
            Some(false) => Symptom::OtherNetwork,
            Some(true) | None => Symptom::NoEvidence,
        },
    }
}

/// Returns true if a host that does not answer to ARP is probably isolated rather than off: it replied a moment ago, or the
/// router answers and none of several hosts does.
fn is_isolated(observations: &Observations, endpoint: &SilentEndpoint, tried: &TriedAddress) -> bool {
    if endpoint.replied_ago.is_some_and(|ago| ago <= RECENT_HOST) {
        return true;
    }
    let wireless = tried.leaves_by.as_deref().and_then(|name| observations.interface(name));
    let wireless = wireless.is_some_and(|interface| interface.kind == InterfaceKind::Wireless);
    only_router_answers(observations, if wireless { 0 } else { 2 })
}

/// Returns true if the router answers to ARP, and of at least `min_silent` other hosts that were asked none does.
pub(super) fn only_router_answers(observations: &Observations, min_silent: usize) -> bool {
    let router = observations.gateways.iter().any(|gateway| observations.neighbour(*gateway).has_answered());
    let others = || {
        let neighbours = observations.neighbours.iter().flatten();
        neighbours
            .filter(|(ip, _)| ip.is_ipv4() && !observations.gateways.contains(ip))
            .map(|(_, state)| *state)
    };
    let silent = others().filter(|state| *state == Neighbour::Incomplete).count();
    router && silent >= min_silent && !others().any(Neighbour::has_answered)
}

fn finding(
    observations: &Observations,
    endpoint: &SilentEndpoint,
    tried: &TriedAddress,
    symptom: Symptom,
) -> Finding {
    let address = tried.attempt.address;
    let (ip, port) = (address.ip(), address.port());
    let duration = format_duration(tried.attempt.took);
    let caveat =
        if tried.attempt.took < SHORT_SILENCE { ", unless the network is slow or loses packets" } else { "" };
    let subject = subject_of(endpoint, tried);
    let firewall_commands = format!(
        "let the port in: with ufw `sudo ufw allow {port}/tcp`, with firewalld `sudo firewall-cmd --add-port={port}/tcp`; \
         MESHZERO_PORTS=9000-9100 there keeps to ports that can be allowed once and for all"
    );
    let firewall_remedy = || format!("On {ip}, {firewall_commands}");
    let (code, sentence, remedy) = match symptom {
        Symptom::Declined => (
            FindingCode::Declined,
            format!(
                "{subject}, and the program there rejects the connection: {}",
                tried.reason.as_deref().unwrap_or("it gave no reason")
            ),
            match tried.reason.as_deref() {
                Some(reason) if reason.contains("belongs to the mesh") => {
                    "Join that mesh: MESHZERO_MESH, or `--mesh`".to_owned()
                }
                _ => "Try again in a moment".to_owned(),
            },
        ),
        Symptom::OtherProtocol => (
            FindingCode::OtherProtocol,
            format!(
                "{subject}, and the program there does not speak meshzero{}",
                tried.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
            ),
            "Check the port: `mz discover NAME` prints the address of a service".to_owned(),
        ),
        Symptom::Stalled => (
            FindingCode::ProgramStalled,
            format!(
                "{subject}, where connections are accepted and nothing arrives for {duration}: the program is stopped or busy, or large \
                 packets get lost on the way{caveat}"
            ),
            format!(
                "Look at the program on {ip}: is it suspended (Ctrl-Z), in a debugger, or does a handler block its thread?"
            ),
        ),
        Symptom::NotPermitted => (
            FindingCode::OutgoingFilter,
            format!(
                "this machine does not allow sending to {ip}: a firewall rule, or the kill switch of a VPN"
            ),
            "Allow the local network in the firewall or the VPN's settings".to_owned(),
        ),
        Symptom::CableOut => {
            return no_carrier(observations, tried.leaves_by.as_deref().unwrap_or("the interface"));
        }
        Symptom::NotListening if observations.is_own(ip) == Some(true) => (
            FindingCode::ProcessGone,
            format!(
                "{subject}, which is this machine, and nothing listens there: the program has ended, or not started yet"
            ),
            "Start it, or check the port".to_owned(),
        ),
        Symptom::NotListening => (
            FindingCode::ProcessGone,
            match endpoint.service {
                Some(_) => format!(
                    "{subject}; that host is there, and nothing listens at the port: the program has ended without withdrawing the service"
                ),
                None => format!(
                    "{subject}; that host is there, and nothing listens at the port: the program has ended, or listens at another"
                ),
            },
            format!(
                "Start the program on {ip} again; if it is running, a firewall there rejects connections to port {port}"
            ),
        ),
        Symptom::RefusedDespiteReply => (
            FindingCode::FirewallThereRejects,
            format!(
                "{subject}, and {ip} refuses connections to that port although the program replied {} ago: a firewall there rejects \
                 them, or the program has ended this moment",
                format_duration(endpoint.replied_ago.unwrap_or_default())
            ),
            firewall_remedy(),
        ),
        Symptom::Rejected => (
            FindingCode::FirewallThereRejects,
            format!("{subject}, and {ip} rejects connections to that port by a firewall rule"),
            firewall_remedy(),
        ),
        Symptom::Dropped => (
            FindingCode::FirewallThereDrops,
            format!(
                "{subject}, and that host is there and does not answer on that port for {duration}: a firewall on it drops connections{caveat}"
            ),
            firewall_remedy(),
        ),
        Symptom::Tunnel => (
            FindingCode::VpnRoute,
            format!(
                "packets to {ip} leave by {}, a VPN's tunnel, and nothing arrives from it",
                tried.leaves_by.as_deref().unwrap_or("a tunnel")
            ),
            "Switch the VPN off, or let it leave out the local network (split tunnel)".to_owned(),
        ),
        Symptom::Isolated => (
            FindingCode::ClientsIsolated,
            format!(
                "{subject}, and no direct packet reaches it: the access point or switch keeps its clients apart (a guest network?), or \
                 that host has just gone"
            ),
            ISOLATION_REMEDY.to_owned(),
        ),
        Symptom::Silent => (
            FindingCode::HostSilent,
            format!(
                "{subject}, and {ip} does not answer to {}: it is off, asleep, unplugged or on another network{}",
                neighbour_protocol(ip),
                perhaps_isolated(observations, tried)
            ),
            format!(
                "Check that {ip} is switched on and on this network, and that its address is still the same"
            ),
        ),
        Symptom::DroppedOrOff => (
            FindingCode::NoAnswer,
            format!(
                "{subject}, and nothing came back for {duration}: that host is off or asleep, or a firewall on it drops connections{caveat}"
            ),
            format!("Check that {ip} is switched on; if it is, {firewall_commands}"),
        ),
        Symptom::OtherNetwork | Symptom::NoRoute => other_subnet(observations, endpoint, tried, symptom),
        Symptom::NoEvidence | Symptom::OwnAddress | Symptom::Other => (
            FindingCode::NoAnswer,
            match tried.attempt.outcome {
                AttemptOutcome::Failed { kind, .. } => {
                    format!("{subject}, and connecting there fails: {kind}")
                }
                _ => format!(
                    "{subject}, and nothing came back for {duration}: a firewall on that host drops connections, or it is off or asleep{caveat}"
                ),
            },
            format!("Check that the host is on, and that its firewall lets port {port}/tcp in"),
        ),
    };
    Finding { code, sentence, remedy }
}

fn perhaps_isolated(observations: &Observations, tried: &TriedAddress) -> &'static str {
    let outgoing = tried.leaves_by.as_deref().and_then(|name| observations.interface(name));
    match outgoing {
        Some(interface) if interface.kind == InterfaceKind::Wireless => {
            "; or the access point keeps its clients apart"
        }
        _ => "",
    }
}

fn other_subnet(
    observations: &Observations,
    endpoint: &SilentEndpoint,
    tried: &TriedAddress,
    symptom: Symptom,
) -> (FindingCode, String, String) {
    let subject = subject_of(endpoint, tried);
    let ip = tried.attempt.address.ip();
    let same_family = |own: &IpAddr| own.is_ipv4() == ip.is_ipv4();
    let own = networks(observations, same_family);
    if own.is_empty() && symptom == Symptom::NoRoute {
        let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
        return (
            FindingCode::NoAddress,
            format!("{subject}, and this host has no {family} address to send from"),
            "Connect this machine to the network, or wait for its address (DHCP)".to_owned(),
        );
    }
    let own_networks = if own.is_empty() { "another network".to_owned() } else { own };
    let explanation = match symptom {
        Symptom::NoRoute => "there is no route from one to the other",
        _ => {
            "nothing came back through the router: it keeps the networks apart, a firewall drops connections, or the host is off"
        }
    };
    (
        FindingCode::OtherSubnet,
        format!("{subject}, which is in another network than this host ({own_networks}), and {explanation}"),
        "Put both on the same network (not one on the guest network), or have the router pass TCP between them and name a peer: \
         MESHZERO_PEERS=ADDRESS:PORT, `--peers`"
            .to_owned(),
    )
}

/// Returns the beginning of a sentence about an endpoint that does not answer.
fn subject_of(endpoint: &SilentEndpoint, tried: &TriedAddress) -> String {
    let address = tried.address_text();
    match &endpoint.service {
        Some(service) => format!("{} is announced at {address}", quoted(service)),
        None => format!("nothing of this mesh answers at {address}"),
    }
}
