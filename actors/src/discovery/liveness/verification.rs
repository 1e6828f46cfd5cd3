//! The verification of instances: the endpoint of one in doubt is probed, and its answer, or its silence, is judged.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use meshzero_proto::discovery::directory::{DownReason, Instance};
use meshzero_proto::id::InstanceId;
use meshzero_proto::wire::hello::Hello;
use tokio::sync::Semaphore;

use crate::discovery::effect::{Effect, Timer};
use crate::discovery::probe::{ProbeTarget, Verdict, probe, with_slot};
use crate::link::attempt_record::AttemptRecord;
use crate::net::network::Network;

/// The time for which a goodbye is ignored while its node is connected: an update over the link may come first.
const LINK_UPDATE_DELAY: Duration = Duration::from_millis(30);
/// The age up to which an instance that is found dead may have just withdrawn, and the time in which its goodbye, which is sent
/// about when its listener is closed, has to arrive.
pub(crate) const NEW_AGE: Duration = Duration::from_secs(1);
pub(crate) const GOODBYE_DELAY: Duration = Duration::from_millis(50);

/// A link to an instance completed the handshake: the instance is the announced one, and alive.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct InstanceVerified {
    /// Its identity.
    pub instance: InstanceId,
    /// The address that answered.
    pub address: SocketAddr,
}

/// A link to an instance could not be made.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct InstanceUnreachable {
    /// Its identity.
    pub instance: InstanceId,
    /// The conclusion from the failure, see [`Verdict::of`].
    pub verdict: Verdict,
}

/// A probe has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct EndpointProbed {
    pub(crate) instance: InstanceId,
    pub(crate) outcome: Result<SocketAddr, Verdict>,
}

/// The instances whose endpoints are being probed.
#[derive(Default)]
pub(crate) struct Probes {
    open: HashSet<InstanceId>,
}

impl Probes {
    /// Begins a probe of an instance. Returns `false` if none is needed: the instance is being probed, or is of this node.
    pub(crate) fn begin(&mut self, instance: &Instance) -> bool {
        !instance.local && self.open.insert(instance.id)
    }

    /// Records that a probe has ended.
    pub(crate) fn end(&mut self, instance: InstanceId) {
        self.open.remove(&instance);
    }

    /// Returns whether an instance is being probed.
    pub(crate) fn is_open(&self, instance: InstanceId) -> bool {
        self.open.contains(&instance)
    }
}

/// An instance to probe.
pub(crate) struct EndpointProbe {
    pub(crate) network: Network,
    pub(crate) target: ProbeTarget,
    pub(crate) record: AttemptRecord,
    pub(crate) hello: Hello,
    pub(crate) slots: Rc<Semaphore>,
}

impl EndpointProbe {
    /// Performs the handshake with the endpoint, and reports the outcome.
    pub(crate) async fn run(self, discovery: Recipient<EndpointProbed>) {
        let Self { network, target, record, hello, slots } = self;
        let dialled = with_slot(&slots, probe(&network, &target, &hello, &record)).await;
        let outcome = dialled.map(|link| link.address);
        // This fails if the actor is gone, and then it does not matter.
        discovery.send(EndpointProbed { instance: target.instance.id, outcome }).await.ok();
    }
}

/// Resolves a doubt about an instance: soon, if its node is connected, else at once.
pub(crate) fn settle(doubted: InstanceId, is_linked: bool) -> Effect {
    match is_linked {
        true => Effect::Schedule(LINK_UPDATE_DELAY, Timer::ProbeIfShown(doubted)),
        false => Effect::Probe(doubted),
    }
}

/// Judges an instance that could not be reached: at once, unless it may be about to withdraw.
pub(crate) fn judge(instance: InstanceId, verdict: Verdict, may_say_goodbye: bool, now: Instant) -> Effect {
    match verdict {
        Verdict::Dead if may_say_goodbye => {
            Effect::Schedule(GOODBYE_DELAY, Timer::ConcludeDead { instance, judged: now })
        }
        verdict => Effect::Conclude(instance, verdict),
    }
}

/// Returns the reason why an instance that could not be reached is gone, or `None` if it is not. `is_vouched_for` is set
/// if its node is connected and lists it.
pub(crate) fn conclude(verdict: Verdict, is_vouched_for: bool) -> Option<DownReason> {
    match verdict {
        Verdict::Alive => None,
        Verdict::Dead => Some(DownReason::Refused),
        // The instance is busy.
        Verdict::Unreachable if is_vouched_for => None,
        Verdict::Unreachable => Some(DownReason::Unreachable),
    }
}

#[cfg(test)]
mod tests {
    use meshzero_proto::id::NodeId;
    use meshzero_proto::name::ServiceName;

    use super::*;

    fn instance(local: bool) -> Instance {
        Instance {
            id: InstanceId::from_random([1; 16]),
            node: NodeId::from_random([2; 16]),
            service: ServiceName::new("arm").expect("a name"),
            addresses: Vec::new(),
            local,
        }
    }

    #[test]
    fn an_instance_is_probed_once_at_a_time_and_never_if_it_is_of_this_node() {
        let mut probes = Probes::default();
        assert!(!probes.begin(&instance(true)));
        assert!(probes.begin(&instance(false)) && !probes.begin(&instance(false)));
        assert!(probes.is_open(instance(false).id));
        probes.end(instance(false).id);
        assert!(probes.begin(&instance(false)));
    }

    #[test]
    fn a_refusal_is_judged_after_a_goodbye_could_arrive() {
        let (id, now) = (instance(false).id, Instant::now());
        let scheduled = Effect::Schedule(GOODBYE_DELAY, Timer::ConcludeDead { instance: id, judged: now });
        assert_eq!(judge(id, Verdict::Dead, true, now), scheduled);
        assert_eq!(judge(id, Verdict::Dead, false, now), Effect::Conclude(id, Verdict::Dead));
        assert_eq!(judge(id, Verdict::Unreachable, true, now), Effect::Conclude(id, Verdict::Unreachable));
    }

    #[test]
    fn silence_proves_nothing_about_an_instance_that_its_node_vouches_for() {
        assert_eq!(conclude(Verdict::Unreachable, true), None);
        assert_eq!(conclude(Verdict::Unreachable, false), Some(DownReason::Unreachable));
        assert_eq!(conclude(Verdict::Dead, true), Some(DownReason::Refused));
        assert_eq!(conclude(Verdict::Alive, false), None);
    }
}
