//! Errors of joining a mesh and of advertising a service.

use meshzero_actors::net::interfaces::InterfacesError;
use meshzero_actors::networkzero::GatewayError;
use meshzero_actors::node::StartError;
use meshzero_actors::node::advertise::OfferError;
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

/// The error of a service that was not advertised. Nothing is left behind.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AdvertiseError {
    /// The name of the service, of a topic or of a message type is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The service cannot be offered: its address is in use or not valid, its name exists and must not, its factory panicked, or
    /// the mesh has been left.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

debug_is_display! { JoinError, AdvertiseError }
