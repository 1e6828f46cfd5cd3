//! The decision that an instance is gone, from failed attempts to reach it.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use crate::diagnosis::{Attempt, AttemptOutcome};
use crate::discovery::addresses::needs_zone;

/// Returns true if failed `attempts` to reach an instance prove that its process has ended or has withdrawn it: all of its
/// possible addresses were `denied`, or the one at which it last `answered` was. An address that has never led to the instance
/// proves nothing by itself, and an untried one counts as [`AttemptOutcome::Silent`].
///
/// An address that `is_own`, which this host has as well, proves nothing unless all are such: on this host another program may
/// have the port, or none, while the instance is on another host. That holds also while this host can dial no other, for example
/// with its cable unplugged.
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
/// dying.
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

    /// Returns true if it is gone, on a host that has the bridge as well.
    fn gone(attempts: &[(&str, AttemptOutcome)], answered: Option<&str>) -> bool {
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
        for silence in
            [AttemptOutcome::Silent, failed(ErrorKind::HostUnreachable), failed(ErrorKind::ConnectionReset)]
        {
            let attempts = [(LAN, silence), (BRIDGE, refused)];
            assert!(!gone(&attempts, Some(LAN)), "{silence:?}");
            assert!(!gone(&attempts, None), "{silence:?}");
            assert!(!gone(&attempts, Some(BRIDGE)), "an address of this host: {silence:?}");
            let other = [(LAN, silence), (BRIDGE, AttemptOutcome::Rejected)];
            assert!(!gone(&other, Some(LAN)), "somebody of this host listens there: {silence:?}");
        }
        assert!(!gone(&[], None));
    }

    #[test]
    fn the_address_that_answered_last_is_believed_and_all_together_are() {
        let refused = failed(ErrorKind::ConnectionRefused);
        assert!(gone(&[(LAN, refused), ("10.78.0.1:9000", AttemptOutcome::Silent)], Some(LAN)));
        assert!(!gone(&[(LAN, refused), ("10.78.0.1:9000", AttemptOutcome::Silent)], None));
        assert!(gone(
            &[(LAN, AttemptOutcome::Rejected), ("10.78.0.1:9000", AttemptOutcome::Silent)],
            Some(LAN)
        ));
        assert!(gone(&[(LOOPBACK, refused), (BRIDGE, refused)], Some(LOOPBACK)), "a process of this host");
        assert!(gone(&[(LOOPBACK, refused), (BRIDGE, AttemptOutcome::Silent)], Some(LOOPBACK)), "the same");
        let forwarded = [(LOOPBACK, refused), ("10.8.0.1:9000", AttemptOutcome::Silent)];
        assert!(!gone(&forwarded, Some(LOOPBACK)), "a forwarded port, whose forwarder is started again");
        assert!(gone(&[(LAN, refused), (BRIDGE, AttemptOutcome::OtherProtocol)], None));
    }

    #[test]
    fn refusals_at_shared_addresses_prove_nothing_while_no_other_can_be_dialled() {
        let refused = failed(ErrorKind::ConnectionRefused);
        let cut = [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable, ErrorKind::AddrNotAvailable];
        for (kind, here) in
            cut.into_iter().flat_map(|kind| [(kind, refused), (kind, AttemptOutcome::Rejected)])
        {
            let attempts = [(LAN, failed(kind)), ("[fd77::1]:9000", failed(kind)), (BRIDGE, here)];
            for answered in [LAN, "[fd77::1]:9000", BRIDGE] {
                assert!(!gone(&attempts, Some(answered)), "{kind:?} {here:?} {answered}");
            }
            assert!(!gone(&attempts, None), "{kind:?} {here:?}");
        }
        assert!(
            !gone(&[(BRIDGE, AttemptOutcome::Rejected), (LAN, AttemptOutcome::Silent)], Some(LAN)),
            "it was not tried"
        );
        assert!(gone(&[(LAN, refused), ("[fd77::1]:9000", failed(ErrorKind::AddrNotAvailable))], None));
    }

    #[test]
    fn an_address_that_cannot_be_dialled_is_no_evidence() {
        let (refused, invalid) = (failed(ErrorKind::ConnectionRefused), failed(ErrorKind::InvalidInput));
        assert!(gone(&[(LOOPBACK, refused), ("[fe80::1]:9000", invalid)], Some(LOOPBACK)));
        assert!(!gone(&[("[fe80::1]:9000", invalid)], None));
    }

    #[test]
    fn a_connection_that_is_closed_again_is_a_denial_and_no_refusal() {
        for kind in [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof] {
            assert!(is_denial(&failed(kind)) && !is_refusal(&failed(kind)));
        }
        assert!(!is_denial(&failed(ErrorKind::HostUnreachable)) && !is_denial(&AttemptOutcome::Accepted));
    }
}
