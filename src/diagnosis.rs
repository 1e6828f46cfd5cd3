//! Diagnoses of failed discovery and failed connections: the causes that fit the observations, the likeliest first.
//!
//! Errors contain them, see [`NotFound::findings`](crate::NotFound::findings), and their text begins with the first. An observation
//! that the operating system does not allow counts as unknown, and supports no cause.

pub use meshzero_actors::diagnosis::result::{Diagnosis, HiddenServices, Reachability, UnreachableEndpoint};
pub use meshzero_actors::discovery::report::{DiscoveryReport, UnansweredInstance, UnconnectedPeer};
pub use meshzero_proto::diagnosis::{
    Attempt, AttemptOutcome, Finding, FindingCode, MulticastObservations, Neighbour, SendError, TriedAddress,
};
