//! Causes on this host that keep it from receiving or asking others, when no endpoint is known.

use std::io::ErrorKind;
use std::net::IpAddr;

use super::cable::no_carrier;
use super::finding::{Finding, FindingCode};
use super::observations::{HostFirewall, InterfaceKind, InterfaceSeen, Observations, Sought};
use super::received_services;
use super::remote_host;
use super::wording::{not_found, not_receivable};
use crate::shortened::few;

/// Returns the causes that fit, the likeliest first; at least one.
pub(super) fn judge(observations: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(received_services::hidden(observations));
    let only_here = only_loopback(observations);
    let receives_others = observations.receives_others();
    if !receives_others {
        findings.extend(received_services::other(observations));
    }
    findings.extend(only_here);
    if findings.is_empty() && observations.has_multicast {
        findings.extend(interfaces(observations));
        findings.extend(outgoing(observations));
        findings.extend(port(observations));
        findings.extend(incoming(observations));
    }
    findings.extend(received_services::blocked(observations));
    findings.extend(static_peers(observations));
    if !receives_others && findings.is_empty() {
        findings.extend(unused_interfaces(observations));
        findings.extend(surroundings(observations));
    }
    if receives_others {
        findings.extend(received_services::not_advertised(observations));
        findings.extend(received_services::other(observations));
    } else {
        findings.extend(received_services::isolated(observations));
        findings.extend(received_services::silence(observations));
    }
    findings.extend(unicast_replies(observations));
    findings
}

/// Checks for a choice of loopback only.
fn only_loopback(observations: &Observations) -> Option<Finding> {
    let choice = observations.chosen_interfaces.as_ref()?;
    let chosen: Vec<_> =
        observations.interfaces.as_ref()?.iter().filter(|interface| interface.chosen).collect();
    let is_loopback =
        !chosen.is_empty() && chosen.iter().all(|interface| interface.kind == InterfaceKind::Loopback);
    is_loopback.then(|| Finding {
        code: FindingCode::InterfacesRestricted,
        sentence: format!(
            "{} on this machine, and the choice of interfaces ({choice}) keeps this program from looking further",
            not_found(observations)
        ),
        remedy: "To reach other machines, unset MESHZERO_INTERFACES and leave out `--interfaces`".to_owned(),
    })
}

/// Checks for used interfaces that can reach other hosts.
fn interfaces(observations: &Observations) -> Option<Finding> {
    let all = observations.interfaces.as_ref()?;
    let usable = |interface: &InterfaceSeen| {
        interface.chosen
            && interface.kind != InterfaceKind::Loopback
            && interface.kind != InterfaceKind::Inner
            && interface.carrier != Some(false)
            && interface.up != Some(false)
            && interface.multicast != Some(false)
    };
    if all.iter().any(|interface| usable(interface) && interface.has_address()) {
        return None;
    }
    let candidates =
        || all.iter().filter(|interface| interface.leads_out() && is_wanted(observations, interface));
    if let Some(down) =
        candidates().find(|interface| interface.carrier == Some(false) || interface.up == Some(false))
    {
        return Some(no_carrier(observations, &down.name));
    }
    if let Some(without_address) = candidates().find(|interface| !interface.has_address()) {
        return Some(no_address(observations, without_address));
    }
    let silent = all.iter().find(|interface| {
        interface.chosen && interface.multicast == Some(false) && interface.kind != InterfaceKind::Loopback
    })?;
    Some(Finding {
        code: FindingCode::NoMulticast,
        sentence: format!("{}, because {} carries no multicast", not_receivable(observations), silent.name),
        remedy: format!(
            "Name a program that runs there by its address: MESHZERO_PEERS=ADDRESS:PORT, `--peers`; or switch multicast on: \
             `sudo ip link set {} multicast on`",
            silent.name
        ),
    })
}

/// Returns true if an interface is chosen. Interfaces are chosen by name or by their addresses, and one without an address cannot
/// be chosen by that.
fn is_wanted(observations: &Observations, interface: &InterfaceSeen) -> bool {
    interface.chosen || (observations.chosen_interfaces.is_none() && interface.addresses.is_empty())
}

fn no_address(observations: &Observations, without_address: &InterfaceSeen) -> Finding {
    let own = without_address.addresses.iter().find(|own| own.ip.is_ipv4());
    let problem = match own {
        Some(own) => format!("has only the address that it assigned itself ({}), and none from DHCP", own.ip),
        None => "has no address from DHCP".to_owned(),
    };
    Finding {
        code: FindingCode::NoAddress,
        sentence: format!("{}, because {} {problem}", not_receivable(observations), without_address.name),
        remedy: "Wait for the address, check the router, or give it one by hand, in the same network as the others".to_owned(),
    }
}

/// Checks for a host that does not let questions out.
fn outgoing(observations: &Observations) -> Option<Finding> {
    let refused =
        observations.multicast.send_errors.iter().find(|error| error.kind == ErrorKind::PermissionDenied)?;
    Some(Finding {
        code: FindingCode::OutgoingFilter,
        sentence: format!(
            "{} that can be asked: this machine does not allow sending multicast on {}, by a firewall rule or the kill switch of \
             a VPN",
            not_found(observations),
            refused.interface
        ),
        remedy: "Allow the local network in the VPN's settings, or UDP port 5353 out in the firewall"
            .to_owned(),
    })
}

/// Checks for another program that holds the port of announcements.
fn port(observations: &Observations) -> Option<Finding> {
    (observations.multicast.port_taken == Some(true)).then(|| Finding {
        code: FindingCode::PortTaken,
        sentence: format!("{}: another program holds UDP port 5353 for itself", not_receivable(observations)),
        remedy: "End that program (`sudo ss -ulpn sport = :5353` names it); for Avahi set disallow-other-stacks=no".to_owned(),
    })
}

/// Checks for multicast of this host that does not return to it, which needs no cable.
fn incoming(observations: &Observations) -> Option<Finding> {
    let multicast = &observations.multicast;
    let is_blocked = match (multicast.own_received_v4, multicast.own_received_v6) {
        // Nearly all hosts have IPv4 as well, so a block of IPv6 alone does not explain much.
        (Some(true), Some(false)) => false,
        (Some(false), Some(true)) => multicast.received_by_multicast == 0 && !observations.receives_others(),
        (Some(false), _) | (None, Some(false)) => true,
        _ => false,
    };
    (is_blocked && multicast.replies_by_unicast == 0).then(|| Finding {
        code: FindingCode::IncomingFilter,
        sentence: format!("{}: a firewall on this machine drops incoming mDNS", not_receivable(observations)),
        remedy: match observations.surroundings.firewall {
            Some(HostFirewall::Ufw) => "Let it in: `sudo ufw allow in proto udp to 224.0.0.251 port 5353`".to_owned(),
            Some(HostFirewall::Firewalld) => "Let it in: `sudo firewall-cmd --permanent --add-service=mdns && sudo firewall-cmd --reload`".to_owned(),
            None => "Let UDP port 5353 in: with ufw `sudo ufw allow 5353/udp`, with firewalld `sudo firewall-cmd --add-service=mdns`".to_owned(),
        },
    })
}

/// Checks for lost direct replies, while those by multicast arrive: slower, and otherwise harmless.
fn unicast_replies(observations: &Observations) -> Option<Finding> {
    let multicast = &observations.multicast;
    let lost = multicast.oneshot_questions > 0
        && multicast.ordinary_questions > 0
        && multicast.replies_by_unicast == 0
        && multicast.received_by_multicast > 0;
    lost.then(|| Finding {
        code: FindingCode::UnicastRepliesDropped,
        sentence: "a firewall on this machine drops direct replies to questions, so that finding takes the slower way".to_owned(),
        remedy: "Let UDP from port 5353 in to be quicker; nothing is lost otherwise".to_owned(),
    })
}

/// Returns a finding for each static peer that does not answer, while nothing else is received.
fn static_peers(observations: &Observations) -> Vec<Finding> {
    if !observations.connected.is_empty() {
        return Vec::new();
    }
    let failing = observations.peers.iter().filter(|peer| !peer.tried.is_empty());
    let findings = failing.filter_map(|peer| {
        let endpoint =
            super::SilentEndpoint { tried: peer.tried.clone(), ..super::SilentEndpoint::default() };
        let (_, finding) = remote_host::of_endpoint(observations, &endpoint)?;
        let sentence =
            format!("{}; of the static peer {}: {}", not_found(observations), peer.peer, finding.sentence);
        Some(Finding { sentence, ..finding })
    });
    findings.take(1).collect()
}

/// Checks for an interface that leads to other hosts and was not chosen.
fn unused_interfaces(observations: &Observations) -> Option<Finding> {
    let choice = observations.chosen_interfaces.as_ref()?;
    let unused: Vec<String> = observations
        .interfaces
        .iter()
        .flatten()
        .filter(|interface| {
            !interface.chosen
                && interface.leads_out()
                && interface.carrier != Some(false)
                && interface.has_address()
        })
        .map(|interface| interface.name.clone())
        .collect();
    (!unused.is_empty()).then(|| Finding {
        code: FindingCode::InterfacesRestricted,
        sentence: format!(
            "{} on {choice}, and the choice of interfaces leaves out {}",
            not_receivable(observations),
            few(&unused)
        ),
        remedy: "If the others are there, unset MESHZERO_INTERFACES and leave out `--interfaces`, or name the right one".to_owned(),
    })
}

/// Checks for a container or virtual machine that keeps multicast inside.
fn surroundings(observations: &Observations) -> Option<Finding> {
    let name = |kind: &Option<String>| kind.clone().filter(|kind| !kind.is_empty());
    if let Some(container) =
        name(&observations.surroundings.container).filter(|_| is_inner(observations) == Some(true))
    {
        return Some(Finding {
            code: FindingCode::Container,
            sentence: format!(
                "{}: this program runs in a container ({container}) with a network of its own, and multicast \
                 stays inside",
                not_receivable(observations)
            ),
            remedy: "Start the container with `--network host`, or publish a port (MESHZERO_PORTS=9000, `-p 9000:9000`) and name \
                     peers: MESHZERO_PEERS=ADDRESS:PORT"
                .to_owned(),
        });
    }
    let machine = name(&observations.surroundings.virtual_machine)?;
    let is_translated = observations.interfaces.iter().flatten().flat_map(|interface| &interface.addresses);
    let is_translated = is_translated.into_iter().any(|own| own.ip.to_string() == "10.0.2.15");
    is_translated.then(|| Finding {
        code: FindingCode::VirtualMachine,
        sentence: format!(
            "{}: this is a virtual machine ({machine}) behind address translation (NAT), which multicast does \
             not cross",
            not_receivable(observations)
        ),
        remedy: "Give the virtual machine a bridged network adapter".to_owned(),
    })
}

/// Returns true if all addresses of this host are of the kind that Docker and Podman assign; `None` if they are unknown.
fn is_inner(observations: &Observations) -> Option<bool> {
    let interfaces = observations.interfaces.as_ref()?;
    let addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
    let mut addresses = addresses
        .filter_map(|own| match own.ip {
            IpAddr::V4(v4) if !v4.is_loopback() && !v4.is_link_local() => Some(v4.octets()),
            _ => None,
        })
        .peekable();
    addresses.peek()?;
    Some(addresses.all(|ip| matches!(ip, [172, 16..=31, ..] | [10, 88 | 89, ..] | [10, 0, 2, ..])))
}

impl Sought {
    /// Returns true if an address was given instead of a name to be found.
    pub(super) fn is_address(&self) -> bool {
        matches!(self, Self::Address(_))
    }
}
