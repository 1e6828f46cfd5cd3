//! Why a program did not join a mesh, and why a service is not advertised.

use meshzero_actors::interfaces::InterfacesError;
use meshzero_actors::networkzero::GatewayError;
use meshzero_actors::node::StartError;
use meshzero_actors::offer::OfferError;
use meshzero_proto::name::InvalidName;

/// Why a program did not join a mesh. Nothing is left running.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The mesh has an impossible name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The interfaces cannot be used.
    #[error(transparent)]
    Interfaces(#[from] InterfacesError),
    /// A setting, from the builder or the environment, cannot be read.
    #[error("{setting}: {problem}")]
    Setting {
        /// Which one, such as `MESHZERO_PORTS`.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The system gave no thread, no socket or no randomness.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The gateway to NetworkZero could not be opened.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
}

/// Why a service is not advertised. Nothing is left behind.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AdvertiseError {
    /// The service, a topic or a message type has an impossible name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The service cannot be offered: its address is taken or impossible, its name exists and must not, its factory
    /// panicked, or the mesh has been left.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

debug_is_display! { JoinError, AdvertiseError }
