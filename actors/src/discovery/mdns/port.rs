//! The port of multicast DNS, which another program may hold exclusively.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use crate::net::socket::{self, MulticastFamily};

const V4: MulticastFamily = MulticastFamily::V4(Ipv4Addr::UNSPECIFIED);

/// Another program holds the port exclusively.
#[derive(Debug)]
pub(super) struct PortConflict {
    in_ipv6_only: bool,
    error: io::Error,
}

/// Checks whether another program holds the port exclusively in IPv6, so that IPv4 alone can be used.
///
/// # Errors
/// [`PortConflict`]: the port is held in IPv4. The daemon's one socket for IPv6 cannot be opened then either, because it
/// includes IPv4.
pub(super) fn held_in_ipv6() -> Result<Option<PortConflict>, PortConflict> {
    judge(socket::check_mdns_port(V4), socket::check_mdns_port(MulticastFamily::V6))
}

fn judge(v4: io::Result<()>, v6: io::Result<()>) -> Result<Option<PortConflict>, PortConflict> {
    match (v4, v6) {
        (Err(error), _) if socket::is_port_held(&error) => Err(PortConflict { in_ipv6_only: false, error }),
        (_, Err(error)) if socket::is_port_held(&error) => {
            Ok(Some(PortConflict { in_ipv6_only: true, error }))
        }
        // Any other problem concerns one family, such as a missing one, or is reported when the port is used.
        _ => Ok(None),
    }
}

impl PortConflict {
    /// Returns whether the port is free by now.
    pub(super) fn is_over(&self) -> bool {
        socket::check_mdns_port(if self.in_ipv6_only { MulticastFamily::V6 } else { V4 }).is_ok()
    }
}

impl fmt::Display for PortConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.in_ipv6_only { " in IPv6" } else { "" };
        write!(
            f,
            "another program holds UDP port 5353 for itself{family} ({}); find it with `ss -ulpn`, or let it share the port",
            self.error
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_is_used_where_the_port_is_held_in_ipv6() {
        let judged = |v4: Option<io::ErrorKind>, v6: Option<io::ErrorKind>| {
            let result = |kind: Option<io::ErrorKind>| kind.map_or(Ok(()), |kind| Err(kind.into()));
            let in_ipv6_only = |conflict: PortConflict| conflict.in_ipv6_only;
            judge(result(v4), result(v6)).map(|conflict| conflict.map(in_ipv6_only)).map_err(in_ipv6_only)
        };
        let (held, absent) = (Some(io::ErrorKind::AddrInUse), Some(io::ErrorKind::Unsupported));
        assert_eq!(judged(None, None), Ok(None));
        assert_eq!(judged(None, held), Ok(Some(true)));
        assert_eq!(judged(held, None), Err(false));
        assert_eq!(judged(held, held), Err(false));
        assert_eq!(judged(held, absent), Err(false));
        assert_eq!(judged(None, absent), Ok(None), "there is no IPv6");
        let denied = judged(Some(io::ErrorKind::PermissionDenied), None);
        assert_eq!(
            denied,
            if cfg!(windows) { Err(false) } else { Ok(None) },
            "this is how Windows reports a held port"
        );
    }
}
