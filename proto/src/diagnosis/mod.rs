//! Diagnosis of a service that was not found or not reached: from observations to the cause and the remedy.
//!
//! [`diagnose`] is a pure function: an unknown fact has a value of its own in [`Observations`], and nothing is concluded from it.

pub mod absence;

mod attempt;
mod cable;
mod finding;
mod local_host;
mod observations;
mod received_services;
mod remote_host;
pub mod spelling;
mod wording;

#[cfg(test)]
mod tests;

pub use attempt::{Attempt, AttemptOutcome};
pub use finding::{Finding, FindingCode};
pub use observations::{
    HostFirewall, InterfaceKind, InterfaceSeen, MulticastObservations, Neighbour, Observations, SendError,
    SilentEndpoint, Sought, StaticPeer, Surroundings, TriedAddress,
};
pub use received_services::hidden_services;
pub use wording::{evidence_of, paragraph, received_instead};

/// Returns the likeliest cause for the silence of one endpoint; `None` if none of its addresses was tried.
pub fn diagnose_endpoint(observations: &Observations, endpoint: &SilentEndpoint) -> Option<Finding> {
    remote_host::of_endpoint(observations, endpoint).map(|(_, finding)| finding)
}

/// Returns the causes that fit the observations, the likeliest first; at least one.
pub fn diagnose(observations: &Observations) -> Vec<Finding> {
    let mut findings = remote_host::judge(observations);
    if findings.is_empty() {
        findings = match observations.target {
            Sought::Address(address) => vec![remote_host::no_answer(observations, address)],
            _ => local_host::judge(observations),
        };
        if let (Sought::Name(name), Some(likeliest)) = (&observations.target, findings.first_mut())
            && let Some(similar) = spelling::nearest(name, &observations.received)
        {
            likeliest.remedy = format!("Did you mean {}? {}", wording::quoted(similar), likeliest.remedy);
        }
    }
    // One cause may appear at several endpoints.
    let mut codes = Vec::new();
    findings.retain(|finding| {
        let is_new = !codes.contains(&finding.code);
        codes.push(finding.code);
        is_new
    });
    findings
}
