//! Findings about received services, on this mesh and on others, and about silence.

use std::net::IpAddr;

use super::finding::{Finding, FindingCode};
use super::observations::{InterfaceKind, InterfaceSeen, Observations, Sought};
use super::remote_host;
use super::wording::{not_found, not_found_here, not_receivable, quoted, shortened, used_interfaces};
use crate::shortened::few;

/// Checks for other meshes.
pub(super) fn other(observations: &Observations) -> Option<Finding> {
    let first = observations.other_meshes.first().filter(|_| !observations.target.is_address())?;
    Some(Finding {
        code: FindingCode::OtherMesh,
        sentence: format!(
            "{}; there are other meshes on this network: {}",
            not_found_here(observations),
            shortened(&observations.other_meshes)
        ),
        remedy: format!("To look there: MESHZERO_MESH={first}, `--mesh {first}`"),
    })
}

/// Checks for a mesh that is received without the name.
pub(super) fn not_advertised(observations: &Observations) -> Option<Finding> {
    let services = match observations.received.len() {
        1 => "one service is heard".to_owned(),
        count => format!("{count} services are heard"),
    };
    Some(Finding {
        code: FindingCode::NotAdvertised,
        sentence: format!("{}, where {services}", not_found_here(observations)),
        remedy: match &observations.target {
            Sought::Everything | Sought::Address(_) => "Start it".to_owned(),
            Sought::Group(_) | Sought::Name(_) => {
                "Check the spelling, which `mz list` shows, and whether the program runs".to_owned()
            }
        },
    })
}

/// Checks for more services than the limit on stored ones.
pub(super) fn hidden(observations: &Observations) -> Option<Finding> {
    let finding = hidden_services(observations.hidden, observations.instances_per_node)?;
    Some(Finding { sentence: format!("{}; {}", not_found_here(observations), finding.sentence), ..finding })
}

/// Returns the finding that `hidden` services are known and not listed, because their programs offer more than the `limit` for
/// one program; `None` if there are none.
pub fn hidden_services(hidden: usize, limit: usize) -> Option<Finding> {
    let services = match hidden {
        0 => return None,
        1 => "1 more service is".to_owned(),
        count => format!("{count} more services are"),
    };
    Some(Finding {
        code: FindingCode::LimitReached,
        sentence: format!(
            "{services} known, of programs that offer more than the limit of {limit} for one program"
        ),
        remedy: format!(
            "Ask for a service by its exact name, which finds it all the same, or keep more: \
             MESHZERO_LIMITS=instances_per_node={}",
            limit.saturating_add(hidden).checked_next_power_of_two().unwrap_or(usize::MAX)
        ),
    })
}

/// Checks for connected hosts of this network of which none was received by multicast.
pub(super) fn blocked(observations: &Observations) -> Option<Finding> {
    let multicast = &observations.multicast;
    let has_asked = multicast.oneshot_questions > 0 && multicast.ordinary_questions > 0;
    let is_silent = multicast.replies_by_unicast == 0 && multicast.received_by_multicast == 0;
    let receives_itself = multicast.own_received_v4 == Some(true) || multicast.own_received_v6 == Some(true);
    // Peers of other networks, and of this host, are no evidence about this one.
    let is_neighbour =
        |ip: &&IpAddr| observations.is_near(**ip) == Some(true) && observations.is_own(**ip) == Some(false);
    let has_neighbour = observations.connected.iter().any(|ip| is_neighbour(&ip));
    (has_neighbour && has_asked && is_silent && receives_itself).then(|| Finding {
        code: FindingCode::MulticastBlocked,
        sentence: format!(
            "{}, also not among the static peers; nobody else can be heard, because the switch or access point drops multicast",
            not_found(observations)
        ),
        remedy: "Switch \"multicast enhancement\" or IGMP snooping off there, or name the program's host among the static peers: \
                 MESHZERO_PEERS=ADDRESS:PORT"
            .to_owned(),
    })
}

/// Returns the finding that nothing at all was received.
pub(super) fn silence(observations: &Observations) -> Option<Finding> {
    if !observations.has_multicast {
        return Some(Finding {
            code: FindingCode::NothingHeard,
            sentence: format!("{} that the peers know of", not_found(observations)),
            remedy: "Check whether the program runs, and the static peers".to_owned(),
        });
    }
    let interfaces = used_interfaces(observations);
    let on = if interfaces.is_empty() { String::new() } else { format!(" on {}", few(&interfaces)) };
    let only_here = match &observations.received_here[..] {
        [] => String::new(),
        names => format!(", where only services of this machine are heard ({})", shortened(names)),
    };
    let check = match only_here.is_empty() {
        true => "Check",
        false => "Check the spelling, which `mz list` shows, if it is on this machine; otherwise",
    };
    Some(Finding {
        code: FindingCode::NothingHeard,
        sentence: format!(
            "{} that can be heard{on}{only_here}: no such program runs on this network, a firewall there drops mDNS (UDP port \
             5353), the network does not pass multicast, or the access point keeps its clients apart",
            not_found(observations)
        ),
        remedy: match observations.target {
            Sought::Everything => "Start one, such as `mz advertise greeter --reply 'Hello, {}!'`, or look where one runs: \
                                   `mz list` there; name its address where multicast does not pass: MESHZERO_PEERS=ADDRESS:PORT, \
                                   `--peers`; switch \"AP isolation\" off"
                .to_owned(),
            _ => format!(
                "{check} that it runs, on this network and on the mesh {} (`mz list` on its machine); name its address where \
                 multicast does not pass: MESHZERO_PEERS=ADDRESS:PORT, `--peers`; switch \"AP isolation\" off",
                quoted(&observations.mesh)
            ),
        },
    })
}

/// Checks for a router that answers while no other host that was asked does.
pub(super) fn isolated(observations: &Observations) -> Option<Finding> {
    let is_wireless =
        |interface: &InterfaceSeen| interface.chosen && interface.kind == InterfaceKind::Wireless;
    let is_wireless = observations.interfaces.iter().flatten().any(is_wireless);
    let is_isolated = observations.has_multicast
        && observations.multicast.received_by_multicast == 0
        && observations.connected.iter().all(|ip| observations.is_own(*ip) == Some(true))
        && remote_host::only_router_answers(observations, if is_wireless { 1 } else { 2 });
    is_isolated.then(|| Finding {
        code: FindingCode::ClientsIsolated,
        sentence: format!(
            "{}; of this network only the router answers: the access point or switch keeps its clients apart (a guest network?), \
             or they are off",
            not_receivable(observations)
        ),
        remedy: remote_host::ISOLATION_REMEDY.to_owned(),
    })
}
