//! The failures of commands, and their exit codes.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use meshzero::{
    AdvertiseError, BindError, CallError, DiscoverError, InterfacesError, JoinError, PublishError,
    SubscribeError,
};

use crate::not_found::NotFound;
use crate::render;
use crate::signals::Signal;

/// The exit codes as help and man pages list them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    not found: no such service, or nothing to list; or a message that was
       certainly not handled, or a line of standard input that was left out
  2    the command line, a setting or a message is not valid
  3    no reply in time, or the connection was lost: the message
       may have been handled; or accepted messages were not finished at the end
  4    the service refused, and the error says why
  5    this machine: an address in use, an address of --at that it does not
       have, a file that cannot be written
  6    another program offers a service of the name (--fail-if-exists)
  130  interrupted by Ctrl-C before it was done (129: by the end of the
       terminal, 131: by Ctrl-\\, 143: terminated)

On each of these signals it withdraws its services, finishes accepted messages, for 5 s at most, and \
reports unfinished ones on standard error. Then the exit code is 3 where it is 0 otherwise. A second \
signal, 0.3 s later or more, ends it at once, with 130 or its like. A signal that was ignored at its start, \
as under nohup, stays ignored.";

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The service is gone, or nothing was found.
    #[error("{0}")]
    Unavailable(String),
    /// The service was not found, with a diagnosis.
    #[error("{}", .0.text)]
    NotFound(Box<NotFound>),
    /// The command line or a setting is not valid.
    #[error("{0}")]
    Usage(String),
    /// The outcome is unknown: the message may have been handled.
    #[error("{0}")]
    OutcomeUnknown(String),
    /// The service refused.
    #[error("{0}")]
    Refused(String),
    /// A problem of this machine.
    #[error("{0}")]
    Local(String),
    /// Another program offers a service of the name, which was to be unique.
    #[error("{0}")]
    NameTaken(String),
    /// A signal stopped the command before it was done.
    #[error("{0}")]
    Signalled(Signal),
    /// Lines of standard input were left out, and reported.
    #[error("lines of standard input were left out")]
    LinesLeftOut,
    /// A service of this program has not finished the messages it accepted, which is reported.
    #[error("not everything was finished in time")]
    Unfinished,
    /// The reader of the output has closed it, as `head` does; that is not a failure.
    #[error("the output has been closed")]
    OutputClosed,
}

impl Failure {
    /// The program cannot listen for signals.
    pub(crate) fn no_signals(error: std::io::Error) -> Self {
        Self::Local(format!("cannot listen for signals: {error}"))
    }

    /// The service did not answer within the given time.
    pub(crate) fn no_answer(whom: &impl Display, wait: Duration) -> Self {
        Self::OutcomeUnknown(format!(
            "{whom}: no answer within {}; try a longer --wait",
            render::duration(wait)
        ))
    }

    fn absent(absence: Option<NotFound>, text: String) -> Self {
        match absence {
            Some(absence) => Self::NotFound(Box::new(absence)),
            None => Self::Unavailable(text),
        }
    }

    /// Adds to the text why the other interpretation of the target failed.
    pub(crate) fn and(self, other: &Self) -> Self {
        match self {
            Self::NotFound(mut absence) => {
                absence.text = format!("{}; {other}", absence.text);
                Self::NotFound(absence)
            }
            Self::Unavailable(text) => Self::Unavailable(format!("{text}; {other}")),
            certain => certain,
        }
    }

    /// Returns the exit code as a number.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Unavailable(_) | Self::NotFound(_) | Self::LinesLeftOut => 1,
            Self::Usage(_) => 2,
            Self::OutcomeUnknown(_) | Self::Unfinished => 3,
            Self::Refused(_) => 4,
            Self::Local(_) => 5,
            Self::NameTaken(_) => 6,
            Self::Signalled(signal) => 128 + signal.number(),
        }
    }

    /// Returns whether the failure has been reported already, or need not be.
    pub(crate) fn is_reported(&self) -> bool {
        matches!(self, Self::OutputClosed | Self::Unfinished | Self::LinesLeftOut)
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match &error {
            JoinError::Name(_)
            | JoinError::Setting { .. }
            | JoinError::Interfaces(InterfacesError::Unreadable { .. } | InterfacesError::Empty { .. }) => {
                Self::Usage(error.to_string())
            }
            _ => Self::Local(error.to_string()),
        }
    }
}

impl From<AdvertiseError> for Failure {
    fn from(error: AdvertiseError) -> Self {
        match &error {
            AdvertiseError::Name(_)
            | AdvertiseError::AddressAsName(_)
            | AdvertiseError::Bind(BindError::Unreadable { .. } | BindError::Zone(_)) => {
                Self::Usage(error.to_string())
            }
            _ => Self::Local(error.to_string()),
        }
    }
}

impl From<DiscoverError> for Failure {
    fn from(error: DiscoverError) -> Self {
        match &error {
            DiscoverError::Name(_) | DiscoverError::Address(_) => Self::Usage(error.to_string()),
            _ => Self::absent(NotFound::of_discover(&error), error.to_string()),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match &error {
            CallError::NotSent { .. } => Self::absent(NotFound::of_call(&error), error.to_string()),
            CallError::Unknown { .. } => Self::OutcomeUnknown(error.to_string()),
            CallError::Refused { .. } | CallError::BadReply { .. } => Self::Refused(error.to_string()),
        }
    }
}

impl From<SubscribeError> for Failure {
    fn from(error: SubscribeError) -> Self {
        match &error {
            SubscribeError::Name(_) => Self::Usage(error.to_string()),
            _ => Self::absent(NotFound::of_subscribe(&error), error.to_string()),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match &error {
            PublishError::Topic(_) | PublishError::Item(_) => Self::Usage(error.to_string()),
            _ => Self::Local(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use meshzero::diagnosis::Diagnosis;

    use super::*;

    #[test]
    fn codes_fit_into_a_terminal_and_the_paragraph_below_is_left_to_be_wrapped() {
        let (codes, paragraph) = EXIT_CODES.split_once("\n\n").expect("two parts");
        assert!(codes.lines().all(|line| line.chars().count() <= 79), "{codes}");
        assert_eq!(paragraph.lines().count(), 1, "{paragraph}");
    }

    #[test]
    fn every_code_is_documented() {
        let failures = [
            Failure::OutputClosed,
            Failure::Unavailable(String::new()),
            Failure::NotFound(Box::new(NotFound::of_list(Diagnosis::default(), Duration::ZERO))),
            Failure::LinesLeftOut,
            Failure::Usage(String::new()),
            Failure::OutcomeUnknown(String::new()),
            Failure::Refused(String::new()),
            Failure::Local(String::new()),
            Failure::NameTaken(String::new()),
            Failure::Unfinished,
            Failure::Signalled(Signal::Interrupt),
        ];
        for failure in failures {
            let line = format!("\n  {:<5}", failure.code());
            assert!(EXIT_CODES.contains(&line), "{failure:?}");
        }
    }
}
