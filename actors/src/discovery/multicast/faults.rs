//! Faults of multicast sockets: the time at which each is opened again, and the log messages about it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::discovery::mdns::channel::SocketPurpose;
use crate::runtime::backoff::Backoff;

/// The first and the longest delay before reopening a socket that failed.
const REOPEN_DELAY: Duration = Duration::from_secs(2);
const MAX_REOPEN_DELAY: Duration = Duration::from_secs(60);
/// The time after which an open socket counts as working.
const WORKS_AFTER: Duration = Duration::from_secs(5);
/// The time after which an open socket resets the delays.
const LASTS_AFTER: Duration = Duration::from_secs(60);
/// The time after which the same reason is logged again.
const LOG_INTERVAL: Duration = Duration::from_secs(600);

/// The key of a socket: its interface, whether it is of IPv4, and its purpose.
pub(super) type SocketKey = (String, bool, SocketPurpose);

/// The sockets that failed.
#[derive(Debug, Default)]
pub(super) struct SocketFaults(BTreeMap<SocketKey, SocketFault>);

#[derive(Debug)]
struct SocketFault {
    problem: String,
    /// The time of the last log message about it.
    logged_at: Option<Instant>,
    /// Set if it was logged since the socket last worked.
    is_logged: bool,
    is_down: bool,
    /// Set if it was open when it failed.
    fails_when_open: bool,
    backoff: Backoff,
    not_before: Instant,
}

/// The message to log about a fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FaultNotice {
    /// No message, because it was logged before.
    Nothing,
    /// The reason.
    Reason,
}

impl SocketFaults {
    /// Returns whether a socket can be opened now, because it did not fail lately.
    pub(super) fn may_open(&self, key: &SocketKey, now: Instant) -> bool {
        self.0.get(key).is_none_or(|fault| fault.not_before <= now)
    }

    /// Records that the system refused to open a socket. It may permit it soon.
    pub(super) fn record_open_failure(
        &mut self,
        key: SocketKey,
        problem: String,
        now: Instant,
    ) -> FaultNotice {
        self.record(key, problem, now).notice(now)
    }

    /// Records that a socket failed that was opened at `opened`.
    pub(super) fn record_failure(
        &mut self,
        key: SocketKey,
        opened: Instant,
        problem: String,
        now: Instant,
    ) -> FaultNotice {
        let fault = self.record(key, problem, now);
        if now.saturating_duration_since(opened) >= LASTS_AFTER {
            fault.backoff.reset();
        }
        fault.not_before = now + fault.backoff.next_delay();
        fault.fails_when_open = true;
        fault.notice(now)
    }

    /// Records that a socket that was opened at `opened` is in use. Returns `None` unless it had failed and works again.
    pub(super) fn record_use(
        &mut self,
        key: &SocketKey,
        opened: Instant,
        now: Instant,
    ) -> Option<FaultNotice> {
        let is_working = now.saturating_duration_since(opened) >= WORKS_AFTER;
        let fault = self.0.get_mut(key).filter(|fault| fault.is_down && is_working)?;
        (fault.is_down, fault.fails_when_open) = (false, false);
        Some(if std::mem::take(&mut fault.is_logged) { FaultNotice::Reason } else { FaultNotice::Nothing })
    }

    /// Returns whether a socket failed while it was open, and is not known to work since.
    pub(super) fn may_fail_again(&self, key: &SocketKey) -> bool {
        self.0.get(key).is_some_and(|fault| fault.fails_when_open)
    }

    /// Forgets the sockets of interfaces that are no longer used.
    pub(super) fn retain(&mut self, is_used: impl Fn(&str) -> bool) {
        self.0.retain(|(nic, ..), _| is_used(nic));
    }

    fn record(&mut self, key: SocketKey, problem: String, now: Instant) -> &mut SocketFault {
        let fault = self.0.entry(key).or_insert_with(|| SocketFault {
            problem: String::new(),
            logged_at: None,
            is_logged: false,
            is_down: true,
            fails_when_open: false,
            backoff: Backoff::new(REOPEN_DELAY, MAX_REOPEN_DELAY),
            not_before: now,
        });
        fault.is_down = true;
        if fault.problem != problem {
            fault.problem = problem;
            fault.logged_at = None;
        }
        fault
    }
}

impl SocketFault {
    fn notice(&mut self, now: Instant) -> FaultNotice {
        if self.logged_at.is_some_and(|logged_at| now.saturating_duration_since(logged_at) < LOG_INTERVAL) {
            return FaultNotice::Nothing;
        }
        self.logged_at = Some(now);
        self.is_logged = true;
        FaultNotice::Reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SocketKey {
        ("eth0".to_owned(), true, SocketPurpose::Multicast)
    }

    #[test]
    fn repeated_failures_are_logged_once_and_the_socket_is_reopened_ever_more_rarely() {
        let (mut faults, started) = (SocketFaults::default(), Instant::now());
        let (mut now, mut opened) = (started, 0);
        let mut notices = Vec::new();
        while now < started + Duration::from_secs(590) {
            if faults.may_open(&key(), now) {
                opened += 1;
                notices.push(faults.record_failure(key(), now, "it is broken".to_owned(), now));
                assert!(faults.may_fail_again(&key()));
            }
            now += REOPEN_DELAY;
        }
        assert!((10..=25).contains(&opened), "{opened} times");
        assert_eq!(notices.iter().filter(|notice| **notice == FaultNotice::Reason).count(), 1);
        assert_eq!(faults.record_failure(key(), now, "something else".to_owned(), now), FaultNotice::Reason);
    }

    #[test]
    fn recovery_is_logged_if_the_failure_was() {
        let (mut faults, started) = (SocketFaults::default(), Instant::now());
        let fail = |faults: &mut SocketFaults, opened, now| {
            faults.record_failure(key(), opened, "it is broken".to_owned(), now)
        };
        assert_eq!(faults.record_use(&key(), started, started + LASTS_AFTER), None, "it never failed");
        assert_eq!(fail(&mut faults, started, started), FaultNotice::Reason);
        let opened = started + Duration::from_secs(2);
        assert_eq!(faults.record_use(&key(), opened, opened + WORKS_AFTER / 2), None, "it may still fail");
        assert_eq!(faults.record_use(&key(), opened, opened + WORKS_AFTER), Some(FaultNotice::Reason));
        assert_eq!(faults.record_use(&key(), opened, opened + WORKS_AFTER), None);
        assert!(!faults.may_fail_again(&key()));
        // The same again, soon.
        let again = opened + WORKS_AFTER * 2;
        assert_eq!(fail(&mut faults, opened, again), FaultNotice::Nothing);
        assert_eq!(faults.record_use(&key(), again, again + WORKS_AFTER), Some(FaultNotice::Nothing));
        faults.retain(|nic| nic != "eth0");
        assert_eq!(fail(&mut faults, again, again + LASTS_AFTER), FaultNotice::Reason);
    }

    #[test]
    fn a_socket_that_the_system_refuses_is_tried_again_at_once() {
        let (mut faults, now) = (SocketFaults::default(), Instant::now());
        assert_eq!(faults.record_open_failure(key(), "no such device".to_owned(), now), FaultNotice::Reason);
        assert!(faults.may_open(&key(), now) && !faults.may_fail_again(&key()));
        assert_eq!(faults.record_open_failure(key(), "no such device".to_owned(), now), FaultNotice::Nothing);
    }
}
