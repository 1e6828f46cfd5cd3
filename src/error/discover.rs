//! Errors of discovery, with the observations that explain them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use meshzero_actors::diagnosis::result::Diagnosis;
use meshzero_actors::discovery::report::DiscoveryReport;
use meshzero_actors::net::naming::InvalidAddress;
use meshzero_actors::net::zone::ZonedAddress;
use meshzero_actors::runtime::executor::MeshClosed;
use meshzero_proto::diagnosis::{
    Finding, MulticastObservations, TriedAddress, evidence_of, paragraph, received_instead,
};
use meshzero_proto::name::InvalidName;
use meshzero_proto::rounded::RoundedDuration;

/// The error of a search that found no service.
///
/// ```no_run
/// use meshzero::DiscoverError;
///
/// # async fn run(mesh: meshzero::Mesh) -> Result<(), DiscoverError> {
/// match mesh.discover("robot/arm").await {
///     Ok(arm) => println!("{} is at {:?}", arm.name(), arm.address()),
///     Err(DiscoverError::NotFound(missed)) => println!("there is no arm, but {}", missed.service_names.join(", ")),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// The name is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The text is an address that leads nowhere, or a URL where an address is meant. No service can have it as its name.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// No service of this name was found in time.
    #[error(transparent)]
    NotFound(Box<NotFound>),
    /// No service of this mesh answers at the address.
    #[error("{}", unreachable(*address, *waited, problem, diagnosis))]
    Unreachable {
        /// The address.
        address: SocketAddr,
        /// The time that was waited.
        waited: Duration,
        /// The error of the last attempt.
        problem: String,
        /// The causes that fit, and the evidence for them.
        diagnosis: Box<Diagnosis>,
    },
    /// The mesh has been left.
    #[error(transparent)]
    Gone(#[from] MeshClosed),
}

/// The report of a search by name that found no service in time, with the names that were received instead.
///
/// ```
/// use meshzero::NotFound;
///
/// fn is_alone(missed: &NotFound) -> bool {
///     missed.service_names.is_empty() && missed.other_meshes.is_empty()
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct NotFound {
    /// The name.
    pub name: String,
    /// The time that was waited.
    pub waited: Duration,
    /// The names that were received instead, in alphabetical order.
    pub service_names: Vec<String>,
    /// The names of other meshes that were received.
    pub other_meshes: Vec<String>,
    /// The interfaces that were listened on.
    pub interfaces: Vec<String>,
    /// The static peers that are not connected, each with the reason.
    pub peers: Vec<String>,
    /// The reason why a known instance could not be reached.
    pub trouble: Option<String>,
    /// The causes that fit the observations, the likeliest first.
    pub findings: Vec<Finding>,
    /// The addresses that were tried, with the outcome of each attempt.
    pub attempts: Vec<TriedAddress>,
    /// The outcome of this program's multicast queries.
    pub multicast: MulticastObservations,
}

impl std::error::Error for NotFound {}

impl NotFound {
    pub(crate) fn new(name: String, waited: Duration, diagnosis: Diagnosis) -> Self {
        let Diagnosis { findings, attempts, trouble, report, .. } = diagnosis;
        let DiscoveryReport { service_names, other_meshes, interfaces, peers, multicast, .. } = report;
        Self {
            name,
            waited,
            service_names,
            other_meshes,
            interfaces,
            peers,
            trouble,
            findings,
            attempts,
            multicast,
        }
    }

    fn evidence(&self) -> Vec<String> {
        let mut evidence = vec![format!("waited {}", RoundedDuration(self.waited))];
        evidence.extend(evidence_of(&self.attempts, &self.multicast, self.trouble.as_deref()));
        evidence.extend(received_instead(&self.service_names, &self.interfaces, &self.peers));
        evidence
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let evidence = self.evidence();
        match paragraph(&self.findings, &evidence) {
            Some(paragraph) => f.write_str(&paragraph),
            None => write!(f, "nobody advertises {:?} ({})", self.name, evidence.join("; ")),
        }
    }
}

fn unreachable(address: SocketAddr, waited: Duration, problem: &str, diagnosis: &Diagnosis) -> String {
    let mut evidence = vec![format!("waited {}", RoundedDuration(waited))];
    evidence.extend(evidence_of(&diagnosis.attempts, &MulticastObservations::default(), None));
    paragraph(&diagnosis.findings, &evidence).unwrap_or_else(|| {
        format!(
            "nothing of this mesh answers at {} after {}: {problem}",
            ZonedAddress(address),
            RoundedDuration(waited)
        )
    })
}

debug_is_display! { DiscoverError, NotFound }
