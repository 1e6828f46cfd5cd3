//! The decision that an instance is gone, from failed attempts to reach it.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use crate::diagnosis::{Attempt, AttemptOutcome};
use crate::discovery::addresses::needs_zone;

/// Returns true if failed `attempts` to reach an instance prove that its process has ended or has withdrawn it: all of its
/// possible addresses were `denied`, or the one at which it last `answered` was. An address that has never led to the instance
/// proves nothing by itself, and one that was not tried counts as [`AttemptOutcome::Silent`].
///
/// An address that `is_own`, which this host has as well, proves nothing unless all are such: the instance may be on another
/// host, whatever has the port on this one. That is so even while this host cannot dial any other, for example with its cable
/// unplugged.
pub fn is_gone(
    attempts: &[Attempt],
    answered: Option<SocketAddr>,
    denied: impl Fn(&AttemptOutcome) -> bool,
    is_own: impl Fn(IpAddr) -> bool,
) -> bool {
    let is_here = attempts.iter().all(|attempt| is_own(attempt.address.ip()) || is_zoneless(attempt));
    let proves = |attempt: &&Attempt| denied(&attempt.outcome) && (is_here || !is_own(attempt.address.ip()));
    let mut possible = attempts.iter().filter(|attempt| !is_impossible(attempt));
    possible.all(|attempt| denied(&attempt.outcome)) && attempts.iter().any(|attempt| proves(&attempt))
        || attempts.iter().filter(proves).any(|attempt| Some(attempt.address) == answered)
}

/// Returns true if this host cannot dial the address at all, for example without IPv6. That proves nothing.
fn is_impossible(attempt: &Attempt) -> bool {
    use ErrorKind::{AddrNotAvailable, InvalidInput, Unsupported};

    matches!(
        attempt.outcome,
        AttemptOutcome::Failed { kind: InvalidInput | AddrNotAvailable | Unsupported, .. }
    )
}

/// Returns true for a link-local address of an unknown link, which does not identify a host.
fn is_zoneless(attempt: &Attempt) -> bool {
    is_impossible(attempt) && needs_zone(attempt.address.ip())
}

/// Returns true if no program, or another one, listens at an address. A listening program keeps the port until its process ends.
pub fn is_refusal(outcome: &AttemptOutcome) -> bool {
    match outcome {
        AttemptOutcome::Failed { kind, .. } => *kind == ErrorKind::ConnectionRefused,
        AttemptOutcome::OtherProtocol | AttemptOutcome::Rejected => true,
        AttemptOutcome::Silent | AttemptOutcome::Accepted => false,
    }
}

/// Returns true for a [refusal](is_refusal), or if a connection was accepted and closed again, for example by a process that was
/// ending.
pub fn is_denial(outcome: &AttemptOutcome) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};

    let is_closed = |kind| matches!(kind, ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof);
    is_refusal(outcome) || matches!(outcome, AttemptOutcome::Failed { kind, .. } if is_closed(*kind))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LAN: &str = "10.77.0.1:9000";
    const BRIDGE: &str = "172.17.0.1:9000";
    const LOOPBACK: &str = "127.0.0.1:9000";

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn failed(kind: ErrorKind) -> AttemptOutcome {
        AttemptOutcome::Failed { kind, code: None }
    }

    /// Returns true if the instance is gone, on a host that has the bridge as well.
    fn is_gone_here(attempts: &[(&str, AttemptOutcome)], answered: Option<&str>) -> bool {
        let attempts: Vec<Attempt> = attempts
            .iter()
            .map(|(address, outcome)| Attempt {
                address: at(address),
                outcome: *outcome,
                took: Duration::ZERO,
            })
            .collect();
        let is_own = |ip: IpAddr| ip.is_loopback() || ip == at(BRIDGE).ip();
        is_gone(&attempts, answered.map(at), is_refusal, is_own)
    }

    #[test]
    fn one_refusal_of_several_addresses_is_not_final() {
        let refused = failed(ErrorKind::ConnectionRefused);
        for outcome in
            [AttemptOutcome::Silent, failed(ErrorKind::HostUnreachable), failed(ErrorKind::ConnectionReset)]
        {
            let attempts = [(LAN, outcome), (BRIDGE, refused)];
            assert!(!is_gone_here(&attempts, Some(LAN)), "{outcome:?}");
            assert!(!is_gone_here(&attempts, None), "{outcome:?}");
            assert!(!is_gone_here(&attempts, Some(BRIDGE)), "an address of this host: {outcome:?}");
            let other = [(LAN, outcome), (BRIDGE, AttemptOutcome::Rejected)];
            assert!(
                !is_gone_here(&other, Some(LAN)),
                "another program of this host listens there: {outcome:?}"
            );
        }
        assert!(!is_gone_here(&[], None));
    }

    #[test]
    fn a_refusal_at_the_last_address_that_answered_or_at_all_is_proof() {
        let refused = failed(ErrorKind::ConnectionRefused);
        assert!(is_gone_here(&[(LAN, refused), ("10.78.0.1:9000", AttemptOutcome::Silent)], Some(LAN)));
        assert!(!is_gone_here(&[(LAN, refused), ("10.78.0.1:9000", AttemptOutcome::Silent)], None));
        assert!(is_gone_here(
            &[(LAN, AttemptOutcome::Rejected), ("10.78.0.1:9000", AttemptOutcome::Silent)],
            Some(LAN)
        ));
        assert!(
            is_gone_here(&[(LOOPBACK, refused), (BRIDGE, refused)], Some(LOOPBACK)),
            "a process of this host"
        );
        assert!(
            is_gone_here(&[(LOOPBACK, refused), (BRIDGE, AttemptOutcome::Silent)], Some(LOOPBACK)),
            "the same"
        );
        let forwarded = [(LOOPBACK, refused), ("10.8.0.1:9000", AttemptOutcome::Silent)];
        assert!(
            !is_gone_here(&forwarded, Some(LOOPBACK)),
            "a forwarded port, whose forwarder is started again"
        );
        assert!(is_gone_here(&[(LAN, refused), (BRIDGE, AttemptOutcome::OtherProtocol)], None));
    }

    #[test]
    fn refusals_at_shared_addresses_prove_nothing_while_no_other_can_be_dialled() {
        let refused = failed(ErrorKind::ConnectionRefused);
        let cable_errors =
            [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable, ErrorKind::AddrNotAvailable];
        for (kind, outcome_here) in
            cable_errors.into_iter().flat_map(|kind| [(kind, refused), (kind, AttemptOutcome::Rejected)])
        {
            let attempts = [(LAN, failed(kind)), ("[fd77::1]:9000", failed(kind)), (BRIDGE, outcome_here)];
            for answered in [LAN, "[fd77::1]:9000", BRIDGE] {
                assert!(!is_gone_here(&attempts, Some(answered)), "{kind:?} {outcome_here:?} {answered}");
            }
            assert!(!is_gone_here(&attempts, None), "{kind:?} {outcome_here:?}");
        }
        assert!(
            !is_gone_here(&[(BRIDGE, AttemptOutcome::Rejected), (LAN, AttemptOutcome::Silent)], Some(LAN)),
            "it was not tried"
        );
        assert!(is_gone_here(
            &[(LAN, refused), ("[fd77::1]:9000", failed(ErrorKind::AddrNotAvailable))],
            None
        ));
    }

    #[test]
    fn an_address_that_cannot_be_dialled_proves_nothing() {
        let (refused, invalid) = (failed(ErrorKind::ConnectionRefused), failed(ErrorKind::InvalidInput));
        assert!(is_gone_here(&[(LOOPBACK, refused), ("[fe80::1]:9000", invalid)], Some(LOOPBACK)));
        assert!(!is_gone_here(&[("[fe80::1]:9000", invalid)], None));
    }

    #[test]
    fn a_closed_connection_is_a_denial_and_no_refusal() {
        for kind in [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof] {
            assert!(is_denial(&failed(kind)) && !is_refusal(&failed(kind)));
        }
        assert!(!is_denial(&failed(ErrorKind::HostUnreachable)) && !is_denial(&AttemptOutcome::Accepted));
    }
}
