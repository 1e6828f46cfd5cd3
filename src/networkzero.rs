//! A gateway to the programs of Python's NetworkZero on the same network.
//!
//! Such programs need no gateway to be called by their address, nor to call: every endpoint of a mesh speaks ZeroMQ as well. The
//! gateway is how each side finds the other's services by name. What the mesh offers is advertised as NetworkZero does it, and
//! what its programs advertise becomes a service of this one that stands in for theirs: calls without a type and news go to and
//! fro as JSON. `mz gateway networkzero` is such a program.
//!
//! ```no_run
//! use meshzero::Mesh;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let mesh = Mesh::join().await?;
//! let mut gateway = mesh.networkzero().await?;
//! while let Some(crossing) = gateway.next().await {
//!     println!("{crossing:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A name that both sides have stays where it is. One gateway for a network is enough; several do not disturb each other.

pub use meshzero_actors::networkzero::{Crossing, Gateway, GatewayError};

use crate::mesh::Mesh;

impl Mesh {
    /// Opens a gateway to NetworkZero, which works until it is dropped or the mesh is left. See [`networkzero`](self).
    ///
    /// Waits for the system only. Where another process is the beacon of this machine, that is asked instead.
    ///
    /// # Errors
    /// [`GatewayError`]: UDP port 9999 cannot be had, and not because another process has it.
    ///
    /// # Cancel safety
    /// Dropping the future opens none, or one that is closed at once.
    pub async fn networkzero(&self) -> Result<Gateway, GatewayError> {
        Gateway::open(&self.node).await
    }
}
