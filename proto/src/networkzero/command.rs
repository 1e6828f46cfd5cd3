//! Commands that NetworkZero programs send to the beacon of their machine: `["advertise", "name", "192.168.1.7:50000", false,
//! 20]`.

use std::time::Duration;

use serde_json::Value;

use super::advert::lifetime;

/// A command.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Advertises a name. The answer is the complete address, or null if the name exists and must be new.
    Advertise {
        /// The name.
        name: String,
        /// The address, or a part of one: a port, an address of this machine, a pattern.
        address: Option<String>,
        /// Set if it fails when the name is already advertised.
        fail_if_exists: bool,
        /// The lifetime of each advert.
        lifetime: Duration,
    },
    /// Withdraws a name. The answer is null.
    Unadvertise(String),
    /// Requests the address of a name. The answer is the address, or null after this timeout.
    Discover(String, Duration),
    /// Requests all names with their addresses. The answer is a list of pairs.
    DiscoverAll,
    /// Pauses broadcasts until further notice.
    Pause,
    /// Resumes broadcasts.
    Resume,
    /// Forgets all adverts.
    Reset,
    /// Stops the beacon. A beacon that others depend on ignores it.
    Stop,
}

/// The reason why a message is not a valid command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The message is not a list that begins with a text.
    #[error("a command is a list that begins with its name, such as [\"discover\", \"hello\", 0.5]")]
    Form,
    /// There is no such command.
    #[error("there is no command {0:?}")]
    Unknown(String),
    /// The parameters of the command do not match.
    #[error("the command {command:?} needs {needs}")]
    Parameters {
        /// The command.
        command: &'static str,
        /// The parameters that it needs.
        needs: &'static str,
    },
}

impl Command {
    /// Reads a command.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn from_json(message: &Value) -> Result<Self, CommandError> {
        let parts = message.as_array().ok_or(CommandError::Form)?;
        let (action, parameters) = parts.split_first().ok_or(CommandError::Form)?;
        let action = action.as_str().ok_or(CommandError::Form)?;
        let invalid = |command, needs| CommandError::Parameters { command, needs };
        let text = |index: usize| parameters.get(index).and_then(Value::as_str).map(str::to_owned);
        let seconds = |index: usize| parameters.get(index).and_then(Value::as_f64);
        match action {
            "advertise" => {
                let invalid = || invalid("advertise", "a name, and an address or null");
                let address = match parameters.get(1) {
                    None | Some(Value::Null) => None,
                    Some(Value::Number(port)) => Some(port.to_string()),
                    Some(address) => Some(address.as_str().ok_or_else(invalid)?.to_owned()),
                };
                Ok(Self::Advertise {
                    name: text(0).ok_or_else(invalid)?,
                    address,
                    fail_if_exists: parameters.get(2).and_then(Value::as_bool).unwrap_or(false),
                    lifetime: lifetime(seconds(3)),
                })
            }
            "unadvertise" => text(0).map(Self::Unadvertise).ok_or_else(|| invalid("unadvertise", "a name")),
            "discover" => {
                let name = text(0).ok_or_else(|| invalid("discover", "a name"))?;
                Ok(Self::Discover(name, lifetime(Some(seconds(1).unwrap_or(0.0)))))
            }
            "discover_all" => Ok(Self::DiscoverAll),
            "pause" => Ok(Self::Pause),
            "resume" => Ok(Self::Resume),
            "reset" => Ok(Self::Reset),
            "stop" => Ok(Self::Stop),
            other => Err(CommandError::Unknown(other.to_owned())),
        }
    }
}
