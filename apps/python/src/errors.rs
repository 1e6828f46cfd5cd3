//! The library's errors as the exceptions of the package, which are written in Python.

use meshzero::zero::ZeroError;
use meshzero::{
    AdvertiseError, BindError, CallError, DiscoverError, JoinError, NewsError, PublishError, Refusal,
    SubscribeError, UnknownReason,
};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The kind of an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExceptionKind {
    General,
    Address,
    NoAddress,
    InvalidAddress,
    InvalidName,
    CannotTravel,
    Closed,
    NotSent,
    NotSentInTime,
    Unknown,
    TimedOut,
    Refused,
    Missed,
    NotConvertible,
}

impl ExceptionKind {
    fn class(self) -> &'static str {
        match self {
            Self::General => "NetworkZeroError",
            Self::Address => "AddressError",
            Self::NoAddress => "NoAddressFoundError",
            Self::InvalidAddress => "InvalidAddressError",
            Self::InvalidName => "InvalidName",
            Self::CannotTravel => "CannotTravel",
            Self::Closed => "Closed",
            Self::NotSent => "NotSent",
            Self::NotSentInTime => "NotSentInTime",
            Self::Unknown => "Unknown",
            Self::TimedOut => "TimedOut",
            Self::Refused => "Refused",
            Self::Missed => "MissedNews",
            Self::NotConvertible => "NotConvertible",
        }
    }
}

/// The exception of a kind, with a message.
#[cold]
pub(crate) fn raise(py: Python<'_>, kind: ExceptionKind, text: String) -> PyErr {
    made(py, kind, (text,))
}

fn made<'py>(py: Python<'py>, kind: ExceptionKind, arguments: impl pyo3::call::PyCallArgs<'py>) -> PyErr {
    // Looked up each time, because exceptions are rare.
    let exception = py
        .import("meshzero._errors")
        .and_then(|module| module.getattr(kind.class()))
        .and_then(|class| class.call1(arguments));
    exception.map_or_else(|error| error, PyErr::from_value)
}

/// The exception of an error.
#[cold]
pub(crate) fn of(py: Python<'_>, error: ZeroError) -> PyErr {
    let text = error.to_string();
    match error {
        ZeroError::Address { text: address, problem } => {
            made(py, ExceptionKind::InvalidAddress, (address, None::<i32>, problem))
        }
        ZeroError::Advertise(AdvertiseError::Bind(place)) => of_place(py, place),
        ZeroError::NoReply { waited, .. } => made(py, ExceptionKind::TimedOut, (waited.as_secs_f64(), text)),
        ZeroError::Discover(DiscoverError::Address(invalid)) => {
            made(py, ExceptionKind::InvalidAddress, (invalid.text(), None::<i32>, text))
        }
        ZeroError::Advertise(AdvertiseError::Name(_) | AdvertiseError::AddressAsName(_))
        | ZeroError::Discover(DiscoverError::Name(_))
        | ZeroError::Join(JoinError::Name(_))
        | ZeroError::Subscribe(SubscribeError::Name(_))
        | ZeroError::Publish(PublishError::Topic(_)) => raise(py, ExceptionKind::InvalidName, text),
        ZeroError::Discover(DiscoverError::Gone(_)) => raise(py, ExceptionKind::Closed, text),
        // Nothing answers at the address, so nothing was sent.
        ZeroError::Discover(_) => raise(py, ExceptionKind::NotSent, text),
        ZeroError::Call(call) => of_call(py, &call, text),
        ZeroError::Unsendable(_) | ZeroError::Publish(PublishError::Item(_)) => {
            raise(py, ExceptionKind::CannotTravel, text)
        }
        ZeroError::Closed | ZeroError::Publish(PublishError::Closed) => {
            raise(py, ExceptionKind::Closed, text)
        }
        ZeroError::News(NewsError::Missed { count, .. }) => made(py, ExceptionKind::Missed, (count, text)),
        _ => raise(py, ExceptionKind::General, text),
    }
}

fn of_place(py: Python<'_>, place: BindError) -> PyErr {
    let text = place.to_string();
    match place {
        BindError::Unreadable { text: address } => {
            made(py, ExceptionKind::InvalidAddress, (address, None::<i32>, text))
        }
        BindError::Zone(zone) => made(py, ExceptionKind::InvalidAddress, (zone.text(), None::<i32>, text)),
        BindError::Unresolvable { host, error } => {
            made(py, ExceptionKind::InvalidAddress, (host, error.raw_os_error(), text))
        }
        BindError::Interfaces(_) => raise(py, ExceptionKind::NoAddress, text),
        _ => raise(py, ExceptionKind::Address, text),
    }
}

fn of_call(py: Python<'_>, error: &CallError, text: String) -> PyErr {
    match error {
        CallError::NotSent { .. } => raise(py, ExceptionKind::NotSent, text),
        CallError::Unknown { reason: UnknownReason::TimedOut { after }, .. } => {
            made(py, ExceptionKind::TimedOut, (after.as_secs_f64(), text))
        }
        CallError::Unknown { .. } | CallError::BadReply { .. } => raise(py, ExceptionKind::Unknown, text),
        CallError::Refused { reason, .. } => made(
            py,
            ExceptionKind::Refused,
            (text, reason_code(reason), error.is_safe_to_repeat(), handles(reason)),
        ),
    }
}

/// The reason of a refusal as a keyword, for programs that tell them apart.
fn reason_code(reason: &Refusal) -> &'static str {
    match reason {
        Refusal::NoHandler { .. } => "no handler",
        Refusal::Undecodable { .. } => "undecodable",
        Refusal::ReplyTooLarge { .. } | Refusal::BadReply { .. } => "bad reply",
        Refusal::Busy => "busy",
        Refusal::Draining => "closing",
        Refusal::Expired => "expired",
        Refusal::Panicked | Refusal::Failed { .. } => "failed",
        Refusal::Unanswered => "unanswered",
        Refusal::NotAllowed => "not allowed",
        _ => "other",
    }
}

fn handles(reason: &Refusal) -> Vec<String> {
    match reason {
        Refusal::NoHandler { handles, .. } => handles.clone(),
        _ => Vec::new(),
    }
}

/// The exception of a call with a timeout of `wait` seconds: one that was not sent before the timeout is a timeout as well.
#[cold]
pub(crate) fn of_late(py: Python<'_>, error: ZeroError, wait: Option<f64>, is_over: bool) -> PyErr {
    let was_not_sent = matches!(error, ZeroError::Discover(_) | ZeroError::Call(CallError::NotSent { .. }));
    match wait {
        Some(wait) if is_over && was_not_sent => {
            made(py, ExceptionKind::NotSentInTime, (wait, error.to_string()))
        }
        _ if was_not_sent => raise(py, ExceptionKind::NotSent, error.to_string()),
        _ => of(py, error),
    }
}

/// A `RuntimeError`, for what should not happen.
#[cold]
pub(crate) fn runtime_error(text: &'static str) -> PyErr {
    PyRuntimeError::new_err(text)
}
