//! The errors of a deserializer: one that costs nothing, and one that says what is wrong.

use std::fmt;

use serde::de::Error;

/// The fact that a value was not decoded, without the reason.
///
/// It takes no memory: a `Result` is then a flag beside the value, and the value is moved as what it is. With the reason in it,
/// the two share their memory, and the compiler moves that in pieces which fit neither of them, so that the processor
/// waits for each field that was just written: a quarter of the processor time of a receiver of small messages.
#[derive(Debug)]
pub(super) struct Undecodable;

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it cannot be decoded")
    }
}

impl std::error::Error for Undecodable {}

impl Error for Undecodable {
    #[inline(always)]
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// The reason why a value was not decoded.
#[derive(Debug)]
pub(super) struct Reason(pub(super) String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Reason {}

impl Error for Reason {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self(problem.to_string())
    }
}
