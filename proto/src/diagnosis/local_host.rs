//! Causes on this host that keep it from receiving or asking others, when no endpoint is known.

use std::io::ErrorKind;
use std::net::IpAddr;

use super::cable::no_carrier;
use super::finding::{Finding, FindingCode};
use super::mesh;
use super::observations::{HostFirewall, InterfaceKind, InterfaceSeen, Observations, Sought};
use super::remote_host;
use super::text::{not_found, not_receivable};
use crate::shortened::few;

/// Returns the causes that fit, the likeliest first; at least one.
pub(super) fn judge(seen: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(mesh::hidden(seen));
    let only_here = only_loopback(seen);
    let hears_others = seen.receives_others();
    if !hears_others {
        findings.extend(mesh::other(seen));
    }
    findings.extend(only_here);
    if findings.is_empty() && seen.has_multicast {
        findings.extend(interfaces(seen));
        findings.extend(outgoing(seen));
        findings.extend(port(seen));
        findings.extend(incoming(seen));
    }
    findings.extend(mesh::blocked(seen));
    findings.extend(static_peers(seen));
    if !hears_others && findings.is_empty() {
        findings.extend(left_out(seen));
        findings.extend(surroundings(seen));
    }
    if hears_others {
        findings.extend(mesh::not_advertised(seen));
        findings.extend(mesh::other(seen));
    } else {
        findings.extend(mesh::isolated(seen));
        findings.extend(mesh::silence(seen));
    }
    findings.extend(unicast_replies(seen));
    findings
}

/// Checks for a choice of loopback only.
fn only_loopback(seen: &Observations) -> Option<Finding> {
    let choice = seen.chosen_interfaces.as_ref()?;
    let chosen: Vec<_> = seen.interfaces.as_ref()?.iter().filter(|interface| interface.chosen).collect();
    let loopback =
        !chosen.is_empty() && chosen.iter().all(|interface| interface.kind == InterfaceKind::Loopback);
    loopback.then(|| Finding {
        code: FindingCode::InterfacesRestricted,
        sentence: format!(
            "{} on this machine, and the choice of interfaces ({choice}) keeps this program from looking further",
            not_found(seen)
        ),
        remedy: "To reach other machines, unset MESHZERO_INTERFACES and leave out `--interfaces`".to_owned(),
    })
}

/// Checks for used interfaces that can reach other hosts.
fn interfaces(seen: &Observations) -> Option<Finding> {
    let all = seen.interfaces.as_ref()?;
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
    let used = || all.iter().filter(|interface| interface.leads_out() && is_wanted(seen, interface));
    if let Some(down) =
        used().find(|interface| interface.carrier == Some(false) || interface.up == Some(false))
    {
        return Some(no_carrier(seen, &down.name));
    }
    if let Some(bare) = used().find(|interface| !interface.has_address()) {
        return Some(no_address(seen, bare));
    }
    let silent = all.iter().find(|interface| {
        interface.chosen && interface.multicast == Some(false) && interface.kind != InterfaceKind::Loopback
    })?;
    Some(Finding {
        code: FindingCode::NoMulticast,
        sentence: format!("{}, because {} carries no multicast", not_receivable(seen), silent.name),
        remedy: format!(
            "Name a program that runs there by its address: MESHZERO_PEERS=ADDRESS:PORT, `--peers`; or switch multicast on: \
             `sudo ip link set {} multicast on`",
            silent.name
        ),
    })
}

/// Returns true if an interface is chosen. Interfaces are chosen by name or by their addresses, and one without an address cannot
/// be chosen by that.
fn is_wanted(seen: &Observations, interface: &InterfaceSeen) -> bool {
    interface.chosen || (seen.chosen_interfaces.is_none() && interface.addresses.is_empty())
}

fn no_address(seen: &Observations, bare: &InterfaceSeen) -> Finding {
    let own = bare.addresses.iter().find(|own| own.ip.is_ipv4());
    let what = match own {
        Some(own) => format!("has only the address that it assigned itself ({}), and none from DHCP", own.ip),
        None => "has no address from DHCP".to_owned(),
    };
    Finding {
        code: FindingCode::NoAddress,
        sentence: format!("{}, because {} {what}", not_receivable(seen), bare.name),
        remedy: "Wait for the address, check the router, or give it one by hand, in the same network as the others".to_owned(),
    }
}

/// Checks for a host that does not let questions out.
fn outgoing(seen: &Observations) -> Option<Finding> {
    let refused =
        seen.multicast.send_errors.iter().find(|error| error.kind == ErrorKind::PermissionDenied)?;
    Some(Finding {
        code: FindingCode::OutgoingFilter,
        sentence: format!(
            "{} that can be asked: this machine does not allow sending multicast on {}, by a firewall rule or the kill switch of \
             a VPN",
            not_found(seen),
            refused.interface
        ),
        remedy: "Allow the local network in the VPN's settings, or UDP port 5353 out in the firewall"
            .to_owned(),
    })
}

/// Checks for another program that holds the port of announcements.
fn port(seen: &Observations) -> Option<Finding> {
    (seen.multicast.port_taken == Some(true)).then(|| Finding {
        code: FindingCode::PortTaken,
        sentence: format!("{}: another program holds UDP port 5353 for itself", not_receivable(seen)),
        remedy: "End that program (`sudo ss -ulpn sport = :5353` names it); for Avahi set disallow-other-stacks=no".to_owned(),
    })
}

/// Checks for multicast of this host that does not return to it, which needs no cable.
fn incoming(seen: &Observations) -> Option<Finding> {
    let counted = &seen.multicast;
    let deaf = match (counted.own_received_v4, counted.own_received_v6) {
        // Nearly all hosts have IPv4 as well, so a block of IPv6 alone does not explain much.
        (Some(true), Some(false)) => false,
        (Some(false), Some(true)) => counted.received_by_multicast == 0 && !seen.receives_others(),
        (Some(false), _) | (None, Some(false)) => true,
        _ => false,
    };
    (deaf && counted.replies_by_unicast == 0).then(|| Finding {
        code: FindingCode::IncomingFilter,
        sentence: format!("{}: a firewall on this machine drops incoming mDNS", not_receivable(seen)),
        remedy: match seen.surroundings.firewall {
            Some(HostFirewall::Ufw) => "Let it in: `sudo ufw allow in proto udp to 224.0.0.251 port 5353`".to_owned(),
            Some(HostFirewall::Firewalld) => "Let it in: `sudo firewall-cmd --permanent --add-service=mdns && sudo firewall-cmd --reload`".to_owned(),
            None => "Let UDP port 5353 in: with ufw `sudo ufw allow 5353/udp`, with firewalld `sudo firewall-cmd --add-service=mdns`".to_owned(),
        },
    })
}

/// Checks for lost direct replies, while those by multicast arrive: slower, and otherwise harmless.
fn unicast_replies(seen: &Observations) -> Option<Finding> {
    let counted = &seen.multicast;
    let lost = counted.oneshot_questions > 0
        && counted.ordinary_questions > 0
        && counted.replies_by_unicast == 0
        && counted.received_by_multicast > 0;
    lost.then(|| Finding {
        code: FindingCode::UnicastRepliesDropped,
        sentence: "a firewall on this machine drops direct replies to questions, so that finding takes the slower way".to_owned(),
        remedy: "Let UDP from port 5353 in to be quicker; nothing is lost otherwise".to_owned(),
    })
}

/// Returns a finding for each static peer that does not answer, while nothing else is received.
fn static_peers(seen: &Observations) -> Vec<Finding> {
    if !seen.connected.is_empty() {
        return Vec::new();
    }
    let troubled = seen.peers.iter().filter(|peer| !peer.tried.is_empty());
    let judged = troubled.filter_map(|peer| {
        let endpoint =
            super::SilentEndpoint { tried: peer.tried.clone(), ..super::SilentEndpoint::default() };
        let (_, finding) = remote_host::of_endpoint(seen, &endpoint)?;
        let sentence = format!("{}; of the static peer {}: {}", not_found(seen), peer.peer, finding.sentence);
        Some(Finding { sentence, ..finding })
    });
    judged.take(1).collect()
}

/// Checks for an interface that leads to other hosts and was not chosen.
fn left_out(seen: &Observations) -> Option<Finding> {
    let choice = seen.chosen_interfaces.as_ref()?;
    let left: Vec<String> = seen
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
    (!left.is_empty()).then(|| Finding {
        code: FindingCode::InterfacesRestricted,
        sentence: format!(
            "{} on {choice}, and the choice of interfaces leaves out {}",
            not_receivable(seen),
            few(&left)
        ),
        remedy: "If the others are there, unset MESHZERO_INTERFACES and leave out `--interfaces`, or name the right one".to_owned(),
    })
}

/// Checks for a container or virtual machine that keeps multicast inside.
fn surroundings(seen: &Observations) -> Option<Finding> {
    let name = |kind: &Option<String>| kind.clone().filter(|kind| !kind.is_empty());
    if let Some(container) = name(&seen.surroundings.container).filter(|_| is_inner(seen) == Some(true)) {
        return Some(Finding {
            code: FindingCode::Container,
            sentence: format!(
                "{}: this program runs in a container ({container}) with a network of its own, and multicast \
                 stays inside",
                not_receivable(seen)
            ),
            remedy: "Start the container with `--network host`, or publish a port (MESHZERO_PORTS=9000, `-p 9000:9000`) and name \
                     peers: MESHZERO_PEERS=ADDRESS:PORT"
                .to_owned(),
        });
    }
    let machine = name(&seen.surroundings.virtual_machine)?;
    let translated = seen.interfaces.iter().flatten().flat_map(|interface| &interface.addresses);
    let translated = translated.into_iter().any(|own| own.ip.to_string() == "10.0.2.15");
    translated.then(|| Finding {
        code: FindingCode::VirtualMachine,
        sentence: format!(
            "{}: this is a virtual machine ({machine}) behind address translation (NAT), which multicast does \
             not cross",
            not_receivable(seen)
        ),
        remedy: "Give the virtual machine a bridged network adapter".to_owned(),
    })
}

/// Returns true if all addresses of this host are of the kind that Docker and Podman assign; `None` if they are unknown.
fn is_inner(seen: &Observations) -> Option<bool> {
    let interfaces = seen.interfaces.as_ref()?;
    let given = interfaces.iter().flat_map(|interface| &interface.addresses);
    let mut given = given
        .filter_map(|own| match own.ip {
            IpAddr::V4(v4) if !v4.is_loopback() && !v4.is_link_local() => Some(v4.octets()),
            _ => None,
        })
        .peekable();
    given.peek()?;
    Some(given.all(|ip| matches!(ip, [172, 16..=31, ..] | [10, 88 | 89, ..] | [10, 0, 2, ..])))
}

impl Sought {
    /// Returns true if an address was given instead of a name to be found.
    pub(super) fn is_address(&self) -> bool {
        matches!(self, Self::Address(_))
    }
}
