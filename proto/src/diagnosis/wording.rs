//! Formatting of lists, durations and evidence, short enough for one paragraph.

use std::fmt::Display;
use std::net::IpAddr;

use super::attempt::format_duration;
use super::finding::Finding;
use super::observations::{
    InterfaceKind, MulticastObservations, Neighbour, Observations, Sought, TriedAddress,
};
use crate::discovery::addresses::is_link_local;
use crate::shortened::{at_most, few};

/// The most names that are listed.
const MAX_NAMES: usize = 8;

/// Formats the first names, in quotes, and the number of the others.
pub(super) fn shortened(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    at_most(MAX_NAMES, &names)
}

/// Formats the interfaces that were listened on, from entries such as `eth0 (10.77.0.1)`.
fn listened_on(interfaces: &[String]) -> String {
    let mut listed: Vec<String> = Vec::new();
    for interface in interfaces {
        let name = |text: &str| text.split(" (").next().unwrap_or_default().to_owned();
        if !listed.iter().any(|other| name(other) == name(interface)) {
            listed.push(interface.clone());
        }
    }
    few(&listed)
}

/// Formats a name in quotes, with characters escaped that could affect a terminal.
pub(super) fn quoted(name: &str) -> String {
    format!("{name:?}")
}

/// Returns the beginning of a sentence that no service matches the search.
pub(super) fn not_found(observations: &Observations) -> String {
    let mesh = quoted(&observations.mesh);
    match &observations.target {
        Sought::Everything => format!("there is no service on the mesh {mesh}"),
        Sought::Group(prefix) => {
            format!("there is no service whose name begins with {} on the mesh {mesh}", quoted(prefix))
        }
        Sought::Name(name) => format!("nobody advertises {}", quoted(name)),
        Sought::Address(address) => {
            format!("nothing of this mesh answers at {}", observations.address_with_zone(*address))
        }
    }
}

/// Returns the same beginning, with the mesh if that matters.
pub(super) fn not_found_here(observations: &Observations) -> String {
    match observations.target {
        Sought::Name(_) => format!("{} on the mesh {}", not_found(observations), quoted(&observations.mesh)),
        _ => not_found(observations),
    }
}

/// Returns the same beginning, for a service that may exist and cannot be received.
pub(super) fn not_receivable(observations: &Observations) -> String {
    match observations.target {
        Sought::Address(_) => not_found(observations),
        _ => format!("{} that can be heard", not_found(observations)),
    }
}

/// Returns the interfaces in use, each with its address; loopback if there is no other.
pub(super) fn used_interfaces(observations: &Observations) -> Vec<String> {
    let used = || {
        let all = observations.interfaces.iter().flatten();
        all.filter(|interface| interface.chosen && !interface.addresses.is_empty())
    };
    let is_only = used().all(|interface| interface.kind == InterfaceKind::Loopback);
    let listed = used().filter(|interface| is_only || interface.kind != InterfaceKind::Loopback);
    let named = listed.map(|interface| {
        let own = interface.addresses.iter().find(|own| own.ip.is_ipv4()).or(interface.addresses.first());
        own.map_or_else(|| interface.name.clone(), |own| format!("{} ({})", interface.name, own.ip))
    });
    named.collect()
}

/// Formats the networks of this host for which `include` returns true.
pub(super) fn networks(observations: &Observations, include: impl Fn(&IpAddr) -> bool) -> String {
    let own = observations.interfaces.iter().flatten().flat_map(|interface| &interface.addresses);
    let listed: Vec<String> = own
        .filter(|own| !own.ip.is_loopback() && !is_link_local(own.ip) && include(&own.ip))
        .map(|own| format!("{}/{}", own.ip, own.prefix))
        .collect();
    few(&listed)
}

/// Formats findings with their remedies and evidence as one paragraph.
pub fn paragraph(findings: &[Finding], evidence: &[String]) -> Option<String> {
    let finding = findings.first()?;
    Some(match evidence {
        [] => format!("{finding}"),
        evidence => format!("{finding} ({})", evidence.join("; ")),
    })
}

/// Summarises the attempts and questions, in a few words each; if nothing was tried, the known `trouble`.
pub fn evidence_of(
    tried: &[TriedAddress],
    multicast: &MulticastObservations,
    trouble: Option<&str>,
) -> Vec<String> {
    let mut evidence = Vec::new();
    if !tried.is_empty() {
        let attempts: Vec<String> = tried.iter().map(ToString::to_string).collect();
        evidence.push(format!("tried {}", few(&attempts)));
    }
    let MulticastObservations { oneshot_questions, ordinary_questions, .. } = *multicast;
    if oneshot_questions + ordinary_questions > 0 {
        evidence.push(format!(
            "asked {} and {}, {} direct and {} by multicast",
            count_of(oneshot_questions, "one-shot question"),
            count_of(ordinary_questions, "ordinary one"),
            count_of(multicast.replies_by_unicast, "reply").replace("replys", "replies"),
            multicast.received_by_multicast,
        ));
    }
    evidence.extend(trouble.filter(|_| tried.is_empty()).map(str::to_owned));
    evidence
}

/// Summarises the other received services, the interfaces, and the static peers that are not connected, in a few words each.
pub fn received_instead(received: &[String], interfaces: &[String], peers: &[String]) -> Vec<String> {
    let mut evidence = vec![match received {
        [] if interfaces.is_empty() => "heard nothing: there is no interface to listen on".to_owned(),
        [] => format!("heard nothing else on {}", listened_on(interfaces)),
        received if interfaces.is_empty() => format!("heard {}", shortened(received)),
        received => format!("heard {} on {}", shortened(received), listened_on(interfaces)),
    }];
    if !peers.is_empty() {
        evidence.push(format!("static peer {}", few(peers)));
    }
    evidence
}

/// Returns the protocol by which a host is asked for its hardware address.
pub(super) fn neighbour_protocol(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "ARP" } else { "neighbour discovery" }
}

fn count_of(count: u64, what: impl Display) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

impl std::fmt::Display for TriedAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} after {}",
            self.address_text(),
            self.attempt.outcome,
            format_duration(self.attempt.took)
        )?;
        let protocol = neighbour_protocol(self.attempt.address.ip());
        match self.neighbour {
            Neighbour::Complete => write!(f, ", it answers to {protocol}")?,
            Neighbour::Stale => write!(f, ", it has answered to {protocol} before")?,
            Neighbour::Incomplete => write!(f, ", it does not answer to {protocol}")?,
            Neighbour::Unknown => {}
        }
        Ok(())
    }
}
