//! The error of joining a mesh.

use meshzero_actors::net::interfaces::InterfacesError;
use meshzero_actors::networkzero::GatewayError;
use meshzero_actors::node::StartError;
use meshzero_proto::name::InvalidName;

/// The error of a program that did not join a mesh. Nothing is left running.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The name of the mesh is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The interfaces cannot be used.
    #[error(transparent)]
    Interfaces(#[from] InterfacesError),
    /// A setting, from the builder or the environment, cannot be read.
    #[error("{setting}: {problem}")]
    Setting {
        /// The name of the setting, such as `MESHZERO_PORTS`.
        setting: &'static str,
        /// The problem with it.
        problem: String,
    },
    /// The system provided no thread, no socket or no randomness.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The gateway to NetworkZero could not be opened.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

debug_is_display! { JoinError }
