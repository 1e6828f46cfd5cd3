//! Why something was not found or not reached: the causes that fit what was observed, the likeliest first.
//!
//! Errors carry them, see [`NotFound::findings`](crate::NotFound::findings), and their text begins with the first. What could not
//! be looked at, on a system that does not tell, is unknown, and nothing is concluded from it.

pub use meshzero_actors::diagnosis::{Answering, Diagnosis, Hidden, Unanswering};
pub use meshzero_actors::report::{Report, Unanswered, Unconnected};
pub use meshzero_proto::diagnosis::{
    Attempt, Code, Finding, MulticastObservations, Neighbour, Outcome, SendError, Tried,
};
