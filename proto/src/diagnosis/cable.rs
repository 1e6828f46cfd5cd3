//! An interface of this host that is not connected.

use super::finding::{Finding, FindingCode};
use super::observations::{InterfaceKind, Observations};
use super::wording::not_receivable;

/// Returns the finding that the interface `name` is switched off, or has no cable or access point.
pub(super) fn no_carrier(observations: &Observations, name: &str) -> Finding {
    let interface = observations.interface(name);
    let is_wireless = interface.is_some_and(|interface| interface.kind == InterfaceKind::Wireless);
    let is_off = interface.is_some_and(|interface| interface.up == Some(false));
    let (problem, remedy) = match (is_off, is_wireless) {
        (true, _) => ("is switched off", format!("Switch it on: `sudo ip link set {name} up`")),
        (false, true) => ("is not connected to an access point", "Join the Wi-Fi network".to_owned()),
        (false, false) => (
            "has no cable, or the switch at its other end is off",
            "Plug the cable in at both ends, and check the light at the socket".to_owned(),
        ),
    };
    Finding {
        code: FindingCode::NoCarrier,
        sentence: format!("{}, because {name} {problem}", not_receivable(observations)),
        remedy,
    }
}
