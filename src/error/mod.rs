//! Errors by operation: each variant states which side caused it and what to do about it.
//!
//! `Debug` prints the same sentence as `Display`, because Rust prints that when `main` returns an error. An error that the crate below
//! raises is defined there and re-exported; those here add what only this crate knows, such as the service that was called.

pub use self::call::{CallError, TrySendError, UnknownReason};
pub use self::discover::{DiscoverError, NotFound};
pub use self::join::JoinError;
pub use self::news::{NewsError, PublishError, SubscribeError};

macro_rules! debug_is_display {
    ($($error:ident$(<$of:ident>)?),+) => {$(
        impl$(<$of>)? std::fmt::Debug for $error$(<$of>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    )+};
}
pub(crate) use debug_is_display;

pub use meshzero_actors::node::advertise::AdvertiseError;

mod call;
mod discover;
mod join;
mod news;

#[cfg(test)]
mod tests {
    use meshzero_proto::name::InvalidName;
    use meshzero_proto::wire::refusal::Refusal;

    use super::*;

    #[test]
    fn a_main_that_returns_an_error_prints_its_sentence() {
        let service = "robot/arm".to_owned();
        let error = CallError::Unknown { service, reason: UnknownReason::Lost, attempts: 1 };
        let sentence = "robot/arm: the connection was lost before the reply; it may have been handled";
        assert_eq!(format!("{error:?}"), sentence);
        assert_eq!(format!("{:?}", TrySendError::<[u8; 3]>::Impossible(error)), sentence);
        let service = "robot/arm".to_owned();
        let error = CallError::Refused { service, reason: Refusal::Draining, attempts: 3 };
        assert_eq!(error.to_string(), "robot/arm: it is closing (after 3 attempts)");
        let returned: Box<dyn std::error::Error> =
            JoinError::from(InvalidName::Empty { kind: "mesh" }).into();
        assert_eq!(format!("{returned:?}"), "a mesh name must have at least one character");
    }
}
