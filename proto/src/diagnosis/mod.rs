//! From what was observed when something was not found or not reached to why, and what to do about it.

mod attempt;

pub use attempt::{Attempt, Outcome};
