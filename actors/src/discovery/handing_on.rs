//! The addresses at which services of other programs of this host are handed on to other hosts.
//!
//! Such a service is known here by what is good here, loopback at worst, while the other host has reached this one at some address
//! of its own. Whether the service listens there as well, only connecting shows: one that listens on loopback only does not.

use std::collections::BTreeMap;
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::addresses::{Ends, OwnAddress, is_here, is_own};
use meshzero_proto::directory::Instance;
use meshzero_proto::hello::Purpose;
use meshzero_proto::id::InstanceId;
use meshzero_proto::peer::Told;
use meshzero_proto::query::Question;

use super::Discovery;
use super::link::LinkId;
use super::reaching::with_slot;
use crate::backoff::Backoff;
use crate::clock;
use crate::dial;

/// How long an endpoint of this host may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The pauses before an address is tried again at which nobody listened.
const AGAIN: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(300));
/// How long the answers count to the question which services there are. What comes meanwhile announces itself.
const ANSWERS_COUNT: Duration = Duration::from_secs(10);
/// The most addresses that are remembered.
const MOST: usize = 1_024;

/// The addresses that were tried.
#[derive(Default)]
pub(super) struct HandingOn {
    tried: BTreeMap<(InstanceId, SocketAddr), Trial>,
    /// Whether it has been said that there are too many.
    is_full: bool,
    /// When it was last asked which services there are.
    asked: Option<Instant>,
}

#[derive(Debug)]
struct Trial {
    stage: Stage,
    pauses: Backoff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Answered,
    Failed { again: Instant },
}

/// An address was tried.
#[derive(Message)]
#[rtype(result = "()")]
struct Tried {
    instance: InstanceId,
    address: SocketAddr,
    answered: bool,
}

impl HandingOn {
    /// Whether an instance has answered at an address.
    fn leads(&self, instance: InstanceId, address: SocketAddr) -> bool {
        self.tried.get(&(instance, address)).is_some_and(|trial| trial.stage == Stage::Answered)
    }

    /// Returns whether an address is to be tried now, which it is from then on.
    fn begin(&mut self, instance: InstanceId, address: SocketAddr, now: Instant) -> bool {
        if let Some(trial) = self.tried.get_mut(&(instance, address)) {
            let is_due = trial.is_due(now);
            if is_due {
                trial.stage = Stage::Open;
            }
            return is_due;
        }
        if self.tried.len() >= MOST {
            if !mem::replace(&mut self.is_full, true) {
                tracing::warn!(
                    most = MOST,
                    "services of this host have more addresses than are handed on to peers"
                );
            }
            return false;
        }
        self.tried.insert((instance, address), Trial { stage: Stage::Open, pauses: AGAIN });
        true
    }

    /// An address was tried. Returns whether the instance has answered there.
    fn end(&mut self, Tried { instance, address, answered }: Tried, now: Instant) -> bool {
        let Some(trial) = self.tried.get_mut(&(instance, address)) else { return false };
        trial.stage = match answered {
            true => Stage::Answered,
            false => Stage::Failed { again: now + trial.pauses.pause() },
        };
        answered
    }

    /// The instances that are to be tried again somewhere.
    fn due(&self, now: Instant) -> Vec<InstanceId> {
        let due = self.tried.iter().filter(|(_, trial)| trial.is_due(now));
        let mut due: Vec<InstanceId> = due.map(|((instance, _), _)| *instance).collect();
        due.dedup();
        due
    }

    /// Forgets where an instance was to be tried again and was not, because no peer is to be told of it there any longer.
    fn forget_due(&mut self, instance: InstanceId, now: Instant) {
        self.forget_where(|(tried, _), trial| *tried == instance && trial.is_due(now));
    }

    /// An instance has gone.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        self.forget_where(|(tried, _), _| *tried == instance);
    }

    /// This host has these addresses now, and no others.
    pub(super) fn keep_to(&mut self, own: &[OwnAddress]) {
        self.forget_where(|(_, address), _| !is_own(address.ip(), own));
    }

    fn forget_where(&mut self, which: impl Fn(&(InstanceId, SocketAddr), &Trial) -> bool) {
        self.tried.retain(|key, trial| !which(key, trial));
        self.is_full &= self.tried.len() >= MOST;
    }
}

impl Trial {
    fn is_due(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Failed { again } if again <= now)
    }
}

impl Discovery {
    /// Asks for the services that were announced before this node was there, to hand them on.
    pub(super) fn ask_for_peers(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        let counts = |asked: Instant| now.saturating_duration_since(asked) < ANSWERS_COUNT;
        if !self.handing_on.asked.is_some_and(counts) {
            self.handing_on.asked = Some(now);
            self.ask_network(Question::All, ctx);
        }
    }

    /// The addresses of an instance that the other end of a link may be told, with those at which it answers there.
    pub(super) fn addresses_for(&self, instance: &Instance, ends: Ends) -> Vec<SocketAddr> {
        let mut addresses = instance.addresses.clone();
        let towards = self.towards(instance, ends).into_iter();
        addresses.extend(towards.filter(|address| self.handing_on.leads(instance.id, *address)));
        addresses
    }

    /// The addresses at which an instance of this host may be reached by the other end of a link, beside those that are known.
    fn towards(&self, instance: &Instance, ends: Ends) -> Vec<SocketAddr> {
        let known = &instance.addresses;
        if instance.local || !is_here(known, &self.host_addresses) {
            return Vec::new();
        }
        let mut towards: Vec<SocketAddr> =
            known.iter().filter_map(|address| ends.towards(*address)).collect();
        towards.retain(|address| !known.contains(address));
        towards.sort();
        towards.dedup();
        towards
    }

    /// Finds out where the other ends of these links can reach an instance, if they are to be told of it.
    pub(super) fn try_for_peers(
        &mut self,
        instance: &Instance,
        links: &[(LinkId, Ends)],
        ctx: &mut Context<Self>,
    ) {
        let own = &self.host_addresses;
        if instance.local || !is_here(&instance.addresses, own) {
            return;
        }
        let distant = links.iter().filter(|(_, ends)| !ends.are_on_one_host(own));
        let concerned = distant.filter(|(link, _)| self.concerns(*link, instance));
        let towards: Vec<SocketAddr> =
            concerned.flat_map(|(_, ends)| self.towards(instance, *ends)).collect();
        let now = clock::now();
        for address in towards {
            if self.handing_on.begin(instance.id, address, now) {
                self.try_address(instance.id, address, ctx);
            }
        }
    }

    /// The same for all instances that are known.
    pub(super) fn try_all_for_peers(&mut self, links: &[(LinkId, Ends)], ctx: &mut Context<Self>) {
        if links.iter().all(|(_, ends)| ends.are_on_one_host(&self.host_addresses)) {
            return;
        }
        for instance in self.directory.all() {
            self.try_for_peers(&instance, links, ctx);
        }
    }

    /// The same for all that failed a while ago: a service may have come to listen where it did not.
    pub(super) fn try_again_for_peers(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        let due = self.handing_on.due(now);
        if due.is_empty() {
            return;
        }
        let links = self.links.ends();
        for id in due {
            if let Some(instance) = self.directory.candidate(id).filter(|_| self.directory.is_shown(id)) {
                self.try_for_peers(&instance, &links, ctx);
            }
            self.handing_on.forget_due(id, now);
        }
    }

    fn try_address(&mut self, instance: InstanceId, address: SocketAddr, ctx: &mut Context<Self>) {
        let hello = self.hello(Some(instance), Purpose::Probe);
        let (slots, discovery, network) = (self.presence.slots(), ctx.address(), self.config.network.clone());
        actix_rt::spawn(async move {
            let dialled = with_slot(&slots, dial::dial(&network, &[address], &hello, ANSWER)).await;
            let answered = dialled.is_ok_and(|dialled| dialled.welcome.instance == instance);
            // When the actor is gone nobody wants to know.
            discovery.send(Tried { instance, address, answered }).await.ok();
        });
    }
}

impl Handler<Tried> for Discovery {
    type Result = ();

    fn handle(&mut self, tried: Tried, _: &mut Self::Context) {
        let Tried { instance, address, .. } = tried;
        if !self.handing_on.end(tried, clock::now()) {
            return;
        }
        let Some(known) = self.directory.candidate(instance).filter(|_| self.directory.is_shown(instance))
        else {
            return;
        };
        for (link, ends) in self.links.ends() {
            if self.towards(&known, ends).contains(&address) && self.concerns(link, &known) {
                let known = self.advert(link, &known).into_iter().collect();
                self.links.tell(link, &Told { known, gone: Vec::new() });
            }
        }
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

    fn tried(instance: InstanceId, address: SocketAddr, answered: bool) -> Tried {
        Tried { instance, address, answered }
    }

    #[test]
    fn the_pauses_before_an_address_is_tried_again_grow_to_minutes() {
        let (mut handing_on, mut now) = (HandingOn::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert!(handing_on.begin(instance(1), address(1), now));
            assert!(!handing_on.begin(instance(1), address(1), now), "it is being tried");
            handing_on.end(tried(instance(1), address(1), false), now);
            let begun = now;
            while handing_on.due(now).is_empty() {
                now += Duration::from_millis(250);
            }
            pauses.push(now - begun);
        }
        let secs = Duration::from_secs;
        assert!(pauses[0] <= secs(6) && pauses[11] >= secs(150) && pauses[11] <= secs(301), "{pauses:?}");
        handing_on.begin(instance(1), address(1), now);
        assert!(handing_on.end(tried(instance(1), address(1), true), now));
        assert!(handing_on.leads(instance(1), address(1)));
        assert_eq!(handing_on.due(now + secs(3_600)), []);
    }

    #[test]
    fn an_instance_that_failed_at_several_addresses_is_due_once() {
        let (mut handing_on, now) = (HandingOn::default(), Instant::now());
        for (n, at) in [(1, 1), (1, 2), (2, 1), (2, 3)] {
            handing_on.begin(instance(n), address(at), now);
            handing_on.end(tried(instance(n), address(at), false), now);
        }
        let later = now + Duration::from_secs(5);
        let mut due = [instance(1), instance(2)];
        due.sort();
        assert_eq!(handing_on.due(later), due);
        // No peer needs the other one.
        assert!(handing_on.begin(instance(1), address(1), later));
        handing_on.forget_due(instance(1), later);
        assert_eq!(handing_on.tried.keys().filter(|(id, _)| *id == instance(1)).count(), 1);
    }

    #[test]
    fn addresses_that_this_host_has_no_more_make_room() {
        let (mut handing_on, now) = (HandingOn::default(), Instant::now());
        let most = u16::try_from(MOST).expect("it is few");
        for n in 0..most {
            assert!(handing_on.begin(instance(1), address(n), now));
        }
        assert!(!handing_on.begin(instance(1), address(most), now));
        assert!(handing_on.is_full);
        let has = |n| OwnAddress { ip: address(n).ip(), prefix: 24 };
        handing_on.keep_to(&[has(0), has(most)]);
        assert!(handing_on.begin(instance(1), address(most), now));
        assert!(handing_on.tried.len() == 2 && !handing_on.is_full);
        assert!(!handing_on.end(tried(instance(1), address(5), true), now), "it is not this host's");
    }
}
