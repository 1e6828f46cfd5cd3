//! An interface of this host that is not connected.

use super::finding::{Finding, FindingCode};
use super::observations::{InterfaceKind, Observations};
use super::text::not_receivable;

/// Returns the finding that the interface `name` is switched off, or has no cable or access point.
pub(super) fn no_carrier(seen: &Observations, name: &str) -> Finding {
    let interface = seen.interface(name);
    let wireless = interface.is_some_and(|interface| interface.kind == InterfaceKind::Wireless);
    let off = interface.is_some_and(|interface| interface.up == Some(false));
    let (what, remedy) = match (off, wireless) {
        (true, _) => ("is switched off", format!("Switch it on: `sudo ip link set {name} up`")),
        (false, true) => ("is not connected to an access point", "Join the Wi-Fi network".to_owned()),
        (false, false) => (
            "has no cable, or the switch at its other end is off",
            "Plug the cable in at both ends, and check the light at the socket".to_owned(),
        ),
    };
    Finding {
        code: FindingCode::NoCarrier,
        sentence: format!("{}, because {name} {what}", not_receivable(seen)),
        remedy,
    }
}
