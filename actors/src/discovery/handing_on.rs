//! The addresses at which services of other programs of this host are handed on to other hosts.
//!
//! Such a service is known here by what is good here, loopback at worst, while the other host has reached this one at some address
//! of its own. Whether the service listens there as well, only connecting shows: one that listens on loopback only does not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::addresses::{Ends, is_here};
use meshzero_proto::directory::Instance;
use meshzero_proto::hello::Purpose;
use meshzero_proto::id::InstanceId;
use meshzero_proto::peer::Told;

use super::Discovery;
use super::reaching::with_slot;
use crate::clock;
use crate::dial;

/// How long an endpoint of this host may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The pause before an address is tried again at which nobody listened.
const AGAIN: Duration = Duration::from_secs(5);
/// The most addresses that are remembered.
const MOST: usize = 1_024;

/// The addresses that were tried.
#[derive(Default)]
pub(super) struct HandingOn {
    tried: BTreeMap<(InstanceId, SocketAddr), Trial>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    Open,
    Answered,
    Failed { at: Instant },
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
        self.tried.get(&(instance, address)) == Some(&Trial::Answered)
    }

    /// An instance has gone.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        self.tried.retain(|(tried, _), _| *tried != instance);
    }
}

impl Discovery {
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

    /// Finds out where other hosts can reach an instance, if they are to be told of it.
    pub(super) fn try_for_peers(&mut self, instance: &Instance, ctx: &mut Context<Self>) {
        let own = &self.host_addresses;
        if instance.local || !is_here(&instance.addresses, own) {
            return;
        }
        let distant = self.links.ends().into_iter().filter(|(_, ends)| !ends.are_on_one_host(own));
        let concerned = distant.filter(|(link, _)| self.concerns(*link, instance));
        let towards: Vec<SocketAddr> = concerned.flat_map(|(_, ends)| self.towards(instance, ends)).collect();
        for address in towards {
            let is_due = match self.handing_on.tried.get(&(instance.id, address)) {
                None => self.handing_on.tried.len() < MOST,
                Some(Trial::Failed { at }) => clock::now() - *at >= AGAIN,
                Some(Trial::Open | Trial::Answered) => false,
            };
            if is_due {
                self.try_address(instance.id, address, ctx);
            }
        }
    }

    /// The same for all that failed a while ago: a service may have come to listen where it did not.
    pub(super) fn try_again_for_peers(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        let is_due = |trial: &Trial| matches!(trial, Trial::Failed { at } if now - *at >= AGAIN);
        let tried = &self.handing_on.tried;
        let due: Vec<InstanceId> =
            tried.iter().filter(|(_, trial)| is_due(trial)).map(|((instance, _), _)| *instance).collect();
        for instance in due {
            match self.directory.candidate(instance).filter(|_| self.directory.is_shown(instance)) {
                Some(instance) => self.try_for_peers(&instance, ctx),
                None => self.handing_on.forget(instance),
            }
        }
    }

    fn try_address(&mut self, instance: InstanceId, address: SocketAddr, ctx: &mut Context<Self>) {
        self.handing_on.tried.insert((instance, address), Trial::Open);
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

    fn handle(&mut self, Tried { instance, address, answered }: Tried, _: &mut Self::Context) {
        let Some(trial) = self.handing_on.tried.get_mut(&(instance, address)) else { return };
        if !answered {
            *trial = Trial::Failed { at: clock::now() };
            return;
        }
        *trial = Trial::Answered;
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
