//! The parts that all contestants share, so that they differ in nothing but the library under test.
//!
//! The runner starts each contestant twice, as a server and as a client, with a [`Plan`] for its only argument, and talks with
//! both over standard input and output ([`Control`]). The client reports when the measured window begins and ends, or the server
//! does if it is the one that receives; the runner reads the processor time of both at these two moments. Messages are numbered
//! from 0, and their receiver checks the numbers ([`Tally`]).
//!
//! | the load | sender | counted by | with |
//! |---|---|---|---|
//! | [`Load::RoundTrip`] | client | client | [`RoundTrips`] |
//! | [`Load::Calls`] | client | client | [`Callers`] |
//! | [`Load::OneWay`] | either | the other | [`Numbers`], [`Sink`] |
//! | [`Load::FanOut`] | server | client | [`Numbers`], [`Sink`] |

mod calls;
mod control;
mod outcome;
mod pace;
mod payload;
mod plan;
mod port;
mod round_trips;
mod sink;
mod tally;
mod window;

pub use calls::{Caller, Callers};
pub use control::{Control, Order, Told, start};
pub use outcome::Outcome;
pub use pace::{Arrivals, Pace};
pub use payload::{
    Large, Payload, Small, WithPayload, number_of, of_size, of_size_or, shared_body, with_number,
};
pub use plan::{Load, Plan, Role};
pub use pollster::block_on;
pub use port::free_address;
pub use round_trips::RoundTrips;
pub use sink::{Numbers, Sink};
pub use tally::{Counts, Tally};

/// The result of a contestant's `main`: any error ends the process, and the runner shows its text.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
