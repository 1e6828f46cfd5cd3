//! Diagnoses, made together with an error: asks discovery and this host why something was not found or not reached.

mod host;
mod host_environment;
mod last_query;
mod network;

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use meshzero_proto::diagnosis::{
    Attempt, AttemptOutcome, Observations, SilentEndpoint, Sought, StaticPeer, TriedAddress, diagnose,
    diagnose_endpoint, hidden_services,
};
use meshzero_proto::discovery::directory::Filter;
use meshzero_proto::id::InstanceId;
use meshzero_proto::name::ServiceName;

use crate::context::NodeContext;
use crate::diagnosis::result::{Diagnosis, HiddenServices, Reachability, UnreachableEndpoint};
use crate::discovery::report::DiscoveryReport;
use crate::discovery::{CountHidden, GetReplyAges, GetReport, VerifyInstances, VerifyProgress};
use crate::net::host::neighbours;
use crate::net::zone::ZonedAddress;
use crate::runtime::clock;
use host::{HostState, gather};

/// The longest delay of a caller whose deadline has passed, for the diagnosis; a millisecond is usual.
const TIMEOUT: Duration = Duration::from_millis(250);
/// The time that the endpoints of a list have to answer, and that of the first ones of each node of a long list; a
/// millisecond is usual. The former covers a first packet that is lost and repeated after a second.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_300);
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// The interval at which answers and replies are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The most addresses that are examined, so that a host with a thousand addresses does not cause a thousand lookups.
const MAX_ADDRESSES: usize = 32;

/// Finds out why `attempts` to reach a service failed. Takes a few milliseconds, and 250 at most.
///
/// # Cancel safety
/// This function is cancel safe.
pub(crate) async fn of_attempts(context: &NodeContext, service: &str, attempts: &[Attempt]) -> Diagnosis {
    of(context, Sought::Name(service.to_owned()), vec![(None, attempts.to_vec())], None).await
}

/// Returns the services of `filter` that answer, and those that were announced and do not, listed or not, each with the
/// cause. Endpoints that have not answered lately are probed, which takes milliseconds, and a second and a half at most
/// if some do not answer.
///
/// # Cancel safety
/// This function is cancel safe.
pub async fn of_answering(context: &NodeContext, filter: &Filter) -> Reachability {
    let VerifyProgress { answered, asked, open, hidden, .. } = probe_endpoints(context, filter).await;
    let Ok(report) = context.ask_discovery(GetReport).await else { return Reachability::default() };
    let unreachable = match report.unanswered.iter().any(|unanswered| filter.includes(&unanswered.service)) {
        true => of_list(context, filter).await.unreachable,
        false => Vec::new(),
    };
    let silent = asked.into_iter().filter(|asked| !open.contains(asked)).collect();
    Reachability { unreachable, hidden: hidden_finding(context, hidden), answered, silent }
}

/// Returns the number of services of `filter` that are known and not listed; `None` if there are none, or the mesh has
/// been left. Sends nothing to other processes.
///
/// # Cancel safety
/// This function is cancel safe.
pub async fn of_hidden(context: &NodeContext, filter: &Filter) -> Option<HiddenServices> {
    hidden_finding(context, context.ask_discovery(CountHidden(filter.clone())).await.ok()?)
}

fn hidden_finding(context: &NodeContext, services: usize) -> Option<HiddenServices> {
    let finding = hidden_services(services, context.limits().instances_per_node)?;
    Some(HiddenServices { services, finding })
}

/// Probes the endpoints of the services of `filter` that have not answered lately, and waits for their answers.
async fn probe_endpoints(context: &NodeContext, filter: &Filter) -> VerifyProgress {
    let started = clock::now();
    let mut previous = VerifyProgress::default();
    loop {
        let elapsed = clock::now() - started;
        let verify =
            VerifyInstances { filter: filter.clone(), previous, further: elapsed >= FIRST_ANSWER_TIMEOUT };
        let Ok(progress) = context.ask_discovery(verify).await else { return VerifyProgress::default() };
        if progress.open.is_empty() || elapsed >= ANSWER_TIMEOUT {
            return progress;
        }
        previous = progress;
        context.timers.sleep_until(Some(clock::now() + POLL_INTERVAL)).await;
    }
}

/// Finds out why services of `filter` are not listed. Takes a few milliseconds, and 250 at most.
///
/// # Cancel safety
/// This function is cancel safe.
pub async fn of_list(context: &NodeContext, filter: &Filter) -> Diagnosis {
    let target = match filter {
        Filter::Name(name) => Sought::Name(name.to_string()),
        filter if filter.prefix().is_empty() => Sought::Everything,
        filter => Sought::Group(filter.prefix().to_owned()),
    };
    of(context, target, Vec::new(), None).await
}

/// Finds out why the target was not found or not reached: `tried` are the attempts of the caller, by instance
/// if that is known, and `reason` is the last error. Takes a few milliseconds, and 250 at most.
///
/// # Cancel safety
/// This function is cancel safe.
pub(crate) fn of(
    context: &NodeContext,
    target: Sought,
    tried: Vec<(Option<InstanceId>, Vec<Attempt>)>,
    reason: Option<String>,
) -> Pin<Box<dyn Future<Output = Diagnosis> + Send + '_>> {
    // Boxed, because a future is otherwise compiled again in each crate that awaits it.
    Box::pin(async move {
        let examination = async {
            let instances = tried.iter().filter_map(|(instance, _)| *instance).collect();
            let Ok(report) = context.ask_discovery(GetReport).await else { return Diagnosis::default() };
            let report = last_query::with_replies(context, &target, report).await;
            let replied = context.ask_discovery(GetReplyAges(instances)).await.unwrap_or_default();
            let endpoints = endpoints(&target, &tried, &replied, &report);
            let addresses = addresses(&endpoints, &report);
            let host = match context.config.network.has_multicast() {
                true => gather(context, &context.config.interfaces, addresses).await.unwrap_or_default(),
                // Another network, such as a simulated one, has nothing to do with this host.
                false => HostState::default(),
            };
            conclude(context, target, endpoints, report, &host, reason)
        };
        tokio::select! {
            biased;
            diagnosis = examination => diagnosis,
            () = context.timers.sleep_until(clock::now().checked_add(TIMEOUT)) => Diagnosis::default(),
        }
    })
}

/// Returns whether a service is among those sought.
fn names(target: &Sought, service: &ServiceName) -> bool {
    match target {
        Sought::Everything => true,
        Sought::Group(prefix) => service.starts_with(prefix.as_str()),
        Sought::Name(name) => **service == **name,
        Sought::Address(_) => false,
    }
}

/// An endpoint that was tried, before this host was examined.
struct TriedEndpoint {
    instance: Option<InstanceId>,
    service: Option<String>,
    replied_ago: Option<Duration>,
    attempts: Vec<Attempt>,
}

/// Returns each endpoint that was tried by the route or by discovery, with what both know of it.
fn endpoints(
    target: &Sought,
    tried: &[(Option<InstanceId>, Vec<Attempt>)],
    replied: &[(InstanceId, Duration)],
    report: &DiscoveryReport,
) -> Vec<TriedEndpoint> {
    let mut endpoints = Vec::new();
    for (instance, attempts) in tried {
        let unanswered = report.unanswered.iter().find(|unanswered| Some(unanswered.instance) == *instance);
        let service = match (target, unanswered) {
            (Sought::Name(name), _) => Some(name.clone()),
            (_, Some(unanswered)) => Some(unanswered.service.to_string()),
            (_, None) => None,
        };
        let replied = replied.iter().find(|(id, _)| Some(*id) == *instance);
        endpoints.push(TriedEndpoint {
            instance: *instance,
            service,
            replied_ago: replied.map(|(_, ago)| *ago),
            attempts: attempts.clone(),
        });
    }
    for unanswered in &report.unanswered {
        if names(target, &unanswered.service)
            && !tried.iter().any(|(instance, _)| *instance == Some(unanswered.instance))
        {
            endpoints.push(TriedEndpoint {
                instance: Some(unanswered.instance),
                service: Some(unanswered.service.to_string()),
                replied_ago: unanswered.replied_ago,
                attempts: unanswered.attempts.clone(),
            });
        }
    }
    endpoints
}

fn addresses(endpoints: &[TriedEndpoint], report: &DiscoveryReport) -> Vec<SocketAddr> {
    let of_peers = report.static_peers.iter().flat_map(|peer| &peer.attempts);
    let tried = endpoints.iter().flat_map(|endpoint| &endpoint.attempts).chain(of_peers);
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for attempt in tried {
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(&attempt.address) {
            addresses.push(attempt.address);
        }
    }
    addresses
}

fn conclude(
    context: &NodeContext,
    target: Sought,
    endpoints: Vec<TriedEndpoint>,
    report: DiscoveryReport,
    host: &HostState,
    trouble: Option<String>,
) -> Diagnosis {
    let reason = trouble.as_deref();
    let tried = |attempts: &[Attempt]| -> Vec<TriedAddress> {
        attempts.iter().map(|attempt| host.tried(*attempt, reason)).collect()
    };
    let (instances, endpoints): (Vec<Option<InstanceId>>, Vec<SilentEndpoint>) = endpoints
        .into_iter()
        .map(|TriedEndpoint { instance, service, replied_ago, attempts }| {
            (instance, SilentEndpoint { service, replied_ago, tried: tried(&attempts) })
        })
        .unzip();
    let peers = report.static_peers.iter().map(|peer| StaticPeer {
        peer: peer.peer.clone(),
        trouble: peer.trouble.clone(),
        tried: tried(&peer.attempts),
    });
    let interfaces = &context.config.interfaces;
    let observations = Observations {
        target,
        mesh: context.config.mesh.to_string(),
        received: report.service_names.clone(),
        received_here: report.local_service_names.clone(),
        hidden: report.hidden,
        instances_per_node: report.instances_per_node,
        other_meshes: report.other_meshes.clone(),
        peers: peers.collect(),
        connected: report.connected.clone(),
        chosen_interfaces: (!interfaces.are_all()).then(|| interfaces.to_string()),
        interfaces: host.interfaces.clone(),
        has_multicast: context.config.network.has_multicast(),
        multicast: report.multicast.clone(),
        neighbours: host.neighbours.as_deref().map(neighbours::states),
        gateways: host.gateways.clone(),
        surroundings: host.surroundings.clone(),
        endpoints,
        trouble,
    };
    let unreachable =
        instances.into_iter().zip(&observations.endpoints).filter_map(|(instance, endpoint)| {
            let finding = diagnose_endpoint(&observations, endpoint)?;
            Some(UnreachableEndpoint { instance, service: endpoint.service.clone(), finding })
        });
    let (findings, unreachable) = (diagnose(&observations), unreachable.collect());
    let attempts = observations.endpoints.into_iter().flat_map(|endpoint| endpoint.tried).collect();
    Diagnosis { findings, unreachable, attempts, trouble: observations.trouble, report }
}

impl HostState {
    /// Returns an attempt with this host's route to its address.
    fn tried(&self, attempt: Attempt, reason: Option<&str>) -> TriedAddress {
        let ip = attempt.address.ip();
        let prefix = format!("{}: ", ZonedAddress(attempt.address));
        TriedAddress {
            neighbour: neighbours::state(
                self.neighbours.as_deref().unwrap_or_default(),
                attempt.address,
                attempt.took,
            ),
            zone: host::zone_name(attempt.address),
            leaves_by: self.routes.iter().find(|(address, _)| *address == ip).map(|(_, name)| name.clone()),
            reason: reason
                .filter(|_| {
                    matches!(attempt.outcome, AttemptOutcome::Rejected | AttemptOutcome::OtherProtocol)
                })
                .map(|reason| reason.strip_prefix(&prefix).unwrap_or(reason).to_owned()),
            attempt,
        }
    }
}
