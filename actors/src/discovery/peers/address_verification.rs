//! The verification of the addresses with which services of other programs of this host are forwarded to other hosts.
//!
//! Such a service is known here by addresses that are valid here, loopback at worst, while the other host has reached this one
//! at an address that is valid there. Only connecting shows that the service listens at that address as well: one that
//! listens on loopback only does not.

use std::collections::BTreeMap;
use std::mem;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::discovery::addresses::{LinkEnds, OwnAddress, is_here, is_own};
use meshzero_proto::discovery::directory::Instance;
use meshzero_proto::discovery::query::Question;
use meshzero_proto::id::InstanceId;
use meshzero_proto::wire::hello::Hello;
use tokio::sync::Semaphore;

use crate::discovery::effect::Effect;
use crate::discovery::probe::with_slot;
use crate::link::dial;
use crate::net::network::Network;
use crate::runtime::backoff::Backoff;

/// The time within which an endpoint of this host answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The delays before retrying an address at which the service did not listen.
const RETRY_BACKOFF: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));
/// The least time between two questions for all services. Later services announce themselves.
const QUESTION_INTERVAL: Duration = Duration::from_secs(10);
/// The most addresses that are remembered.
const MAX_ADDRESSES: usize = 1_024;

/// The addresses that were tried, with the results.
#[derive(Default)]
pub(crate) struct AddressVerification {
    tried: BTreeMap<(InstanceId, SocketAddr), AddressTrial>,
    /// Set if it has been logged that there are too many.
    is_full: bool,
    /// The time of the last question for all services.
    asked_at: Option<Instant>,
}

#[derive(Debug)]
struct AddressTrial {
    stage: TrialStage,
    backoff: Backoff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrialStage {
    Pending,
    Answered,
    Failed { retry_at: Instant },
}

/// The result of trying an address.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct AddressTried {
    pub(crate) instance: InstanceId,
    pub(crate) address: SocketAddr,
    pub(crate) answered: bool,
}

impl AddressVerification {
    /// Returns the question for the services that were announced before this node joined, to forward them.
    pub(crate) fn ask_for_all(&mut self, now: Instant) -> Option<Effect> {
        let is_recent = |asked_at: Instant| now.saturating_duration_since(asked_at) < QUESTION_INTERVAL;
        if self.asked_at.is_some_and(is_recent) {
            return None;
        }
        self.asked_at = Some(now);
        Some(Effect::Ask(Question::All))
    }

    /// Returns the addresses of an instance for the other end of a link, including those that were verified for that end.
    pub(crate) fn addresses_for(
        &self,
        instance: &Instance,
        ends: LinkEnds,
        own: &[OwnAddress],
    ) -> Vec<SocketAddr> {
        let mut addresses = instance.addresses.clone();
        let candidates = candidates_for(instance, ends, own).into_iter();
        addresses.extend(candidates.filter(|address| self.has_answered(instance.id, *address)));
        addresses
    }

    /// Tries the addresses at which the other ends of these links may reach an instance.
    pub(crate) fn try_for(
        &mut self,
        instance: &Instance,
        links: impl Iterator<Item = LinkEnds>,
        own: &[OwnAddress],
        now: Instant,
    ) -> Vec<Effect> {
        if instance.local || !is_here(&instance.addresses, own) {
            return Vec::new();
        }
        let remote = links.filter(|ends| !ends.is_same_host(own));
        let mut candidates: Vec<SocketAddr> =
            remote.flat_map(|ends| candidates_for(instance, ends, own)).collect();
        candidates.retain(|address| self.begin(instance.id, *address, now));
        candidates.into_iter().map(|address| Effect::TryAddress(instance.id, address)).collect()
    }

    /// Returns whether an instance has answered at an address.
    fn has_answered(&self, instance: InstanceId, address: SocketAddr) -> bool {
        self.tried.get(&(instance, address)).is_some_and(|trial| trial.stage == TrialStage::Answered)
    }

    /// Returns whether an address is to be tried now, and marks it as being tried.
    fn begin(&mut self, instance: InstanceId, address: SocketAddr, now: Instant) -> bool {
        if let Some(trial) = self.tried.get_mut(&(instance, address)) {
            let is_due = trial.is_due(now);
            if is_due {
                trial.stage = TrialStage::Pending;
            }
            return is_due;
        }
        if self.tried.len() >= MAX_ADDRESSES {
            if !mem::replace(&mut self.is_full, true) {
                tracing::warn!(
                    limit = MAX_ADDRESSES,
                    "services of this host have more addresses than are forwarded to peers"
                );
            }
            return false;
        }
        self.tried
            .insert((instance, address), AddressTrial { stage: TrialStage::Pending, backoff: RETRY_BACKOFF });
        true
    }

    /// Records that an address was tried. Returns whether the instance has answered there.
    pub(crate) fn end(
        &mut self,
        AddressTried { instance, address, answered }: AddressTried,
        now: Instant,
    ) -> bool {
        let Some(trial) = self.tried.get_mut(&(instance, address)) else { return false };
        trial.stage = match answered {
            true => TrialStage::Answered,
            false => TrialStage::Failed { retry_at: now + trial.backoff.next_delay() },
        };
        answered
    }

    /// Returns the instances that are to be retried at some address.
    pub(crate) fn due(&self, now: Instant) -> Vec<InstanceId> {
        let due = self.tried.iter().filter(|(_, trial)| trial.is_due(now));
        let mut due: Vec<InstanceId> = due.map(|((instance, _), _)| *instance).collect();
        due.dedup();
        due
    }

    /// Forgets the addresses of an instance that are due and were not tried, because no peer needs them any longer.
    pub(crate) fn forget_due(&mut self, instance: InstanceId, now: Instant) {
        self.forget_where(|(tried, _), trial| *tried == instance && trial.is_due(now));
    }

    /// Forgets an instance that is gone.
    pub(crate) fn forget(&mut self, instance: InstanceId) {
        self.forget_where(|(tried, _), _| *tried == instance);
    }

    /// Forgets all addresses but those that this host has now.
    pub(crate) fn retain_own(&mut self, own: &[OwnAddress]) {
        self.forget_where(|(_, address), _| !is_own(address.ip(), own));
    }

    fn forget_where(&mut self, which: impl Fn(&(InstanceId, SocketAddr), &AddressTrial) -> bool) {
        self.tried.retain(|key, trial| !which(key, trial));
        self.is_full &= self.tried.len() >= MAX_ADDRESSES;
    }
}

impl AddressTrial {
    fn is_due(&self, now: Instant) -> bool {
        matches!(self.stage, TrialStage::Failed { retry_at } if retry_at <= now)
    }
}

/// Returns the addresses, apart from the known ones, at which the other end of a link may reach an instance of this host.
pub(crate) fn candidates_for(instance: &Instance, ends: LinkEnds, own: &[OwnAddress]) -> Vec<SocketAddr> {
    let known = &instance.addresses;
    if instance.local || !is_here(known, own) {
        return Vec::new();
    }
    let mut candidates: Vec<SocketAddr> = known.iter().filter_map(|address| ends.towards(*address)).collect();
    candidates.retain(|address| !known.contains(address));
    candidates.sort();
    candidates.dedup();
    candidates
}

/// An address to try.
pub(crate) struct Attempt {
    pub(crate) network: Network,
    pub(crate) instance: InstanceId,
    pub(crate) address: SocketAddr,
    pub(crate) hello: Hello,
    pub(crate) slots: Rc<Semaphore>,
}

impl Attempt {
    /// Asks the endpoint at the address whether it is that of the instance.
    pub(crate) async fn run(self, discovery: Recipient<AddressTried>) {
        let Self { network, instance, address, hello, slots } = self;
        let handshaken = with_slot(&slots, dial::dial(&network, &[address], &hello, ANSWER_TIMEOUT)).await;
        let answered = handshaken.is_ok_and(|handshaken| handshaken.welcome.instance == instance);
        // This fails if the actor is gone, and then it does not matter.
        discovery.send(AddressTried { instance, address, answered }).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(n: u8) -> InstanceId {
        InstanceId::from_random([n; 16])
    }

    fn address(n: u16) -> SocketAddr {
        let [high, low] = n.to_be_bytes();
        SocketAddr::from(([10, 1, high, low], 9000))
    }

    fn tried(instance: InstanceId, address: SocketAddr, answered: bool) -> AddressTried {
        AddressTried { instance, address, answered }
    }

    #[test]
    fn the_delays_between_retries_of_an_address_grow_to_minutes() {
        let (mut verification, mut now) = (AddressVerification::default(), Instant::now());
        let mut backoff = Vec::new();
        for _ in 0..12 {
            assert!(verification.begin(instance(1), address(1), now));
            assert!(!verification.begin(instance(1), address(1), now), "it is being tried");
            verification.end(tried(instance(1), address(1), false), now);
            let started = now;
            while verification.due(now).is_empty() {
                now += Duration::from_millis(250);
            }
            backoff.push(now - started);
        }
        let secs = Duration::from_secs;
        assert!(backoff[0] <= secs(6) && backoff[11] >= secs(150) && backoff[11] <= secs(301), "{backoff:?}");
        verification.begin(instance(1), address(1), now);
        assert!(verification.end(tried(instance(1), address(1), true), now));
        assert!(verification.has_answered(instance(1), address(1)));
        assert_eq!(verification.due(now + secs(3_600)), []);
    }

    #[test]
    fn an_instance_that_failed_at_several_addresses_is_due_once() {
        let (mut verification, now) = (AddressVerification::default(), Instant::now());
        for (n, at) in [(1, 1), (1, 2), (2, 1), (2, 3)] {
            verification.begin(instance(n), address(at), now);
            verification.end(tried(instance(n), address(at), false), now);
        }
        let later = now + Duration::from_secs(5);
        let mut due = [instance(1), instance(2)];
        due.sort();
        assert_eq!(verification.due(later), due);
        // No peer needs the other one.
        assert!(verification.begin(instance(1), address(1), later));
        verification.forget_due(instance(1), later);
        assert_eq!(verification.tried.keys().filter(|(id, _)| *id == instance(1)).count(), 1);
    }

    #[test]
    fn addresses_that_this_host_no_longer_has_are_forgotten() {
        let (mut verification, now) = (AddressVerification::default(), Instant::now());
        let max = u16::try_from(MAX_ADDRESSES).expect("it is few");
        for n in 0..max {
            assert!(verification.begin(instance(1), address(n), now));
        }
        assert!(!verification.begin(instance(1), address(max), now));
        assert!(verification.is_full);
        let has = |n| OwnAddress { ip: address(n).ip(), prefix: 24 };
        verification.retain_own(&[has(0), has(max)]);
        assert!(verification.begin(instance(1), address(max), now));
        assert!(verification.tried.len() == 2 && !verification.is_full);
        assert!(!verification.end(tried(instance(1), address(5), true), now), "it is not this host's");
    }
}
