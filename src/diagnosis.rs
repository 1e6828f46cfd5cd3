//! Diagnoses of failed discovery and failed connections: the causes that fit the observations, the likeliest first.
//!
//! Errors contain them, see [`NotFound::findings`](crate::NotFound::findings), and their text begins with the first. An observation
//! that the operating system does not allow counts as unknown, and supports no cause.

pub use meshzero_actors::diagnosis::diagnosis::{Answering, Diagnosis, Hidden, Unanswering};
pub use meshzero_actors::discovery::report::{Report, Unanswered, Unconnected};
pub use meshzero_proto::diagnosis::{
    Attempt, Code, Finding, MulticastObservations, Neighbour, Outcome, SendError, Tried,
};
