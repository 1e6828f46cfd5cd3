//! A gateway to programs that use Python's NetworkZero on the same network.
//!
//! Such programs can be called by their address, and can call, without a gateway: every endpoint of a mesh speaks ZeroMQ as well. The
//! gateway lets each side find the other's services by name. It advertises the services of the mesh in NetworkZero's way, and for each
//! service of a NetworkZero program it advertises a proxy in the mesh, which forwards untyped calls and news as JSON.
//! `mz gateway networkzero` runs one.
//!
//! ```no_run
//! use meshzero::Mesh;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let mesh = Mesh::join().await?;
//! let mut gateway = mesh.networkzero().await?;
//! while let Some(event) = gateway.next().await {
//!     println!("{event:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A name that both sides have is not forwarded. One gateway per network is enough; several do not interfere with each other.

pub use meshzero_actors::networkzero::{Gateway, GatewayError, GatewayEvent};

use crate::mesh::Mesh;

impl Mesh {
    /// Opens a gateway to NetworkZero, which runs until it is dropped or the mesh is left. See [`networkzero`](self).
    ///
    /// Waits for the operating system only. If another process is the beacon of this machine, the gateway uses that one.
    ///
    /// # Errors
    /// [`GatewayError`] if UDP port 9999 cannot be bound, except if another process has bound it.
    ///
    /// # Cancel safety
    /// This method is cancel safe: dropping the future opens no gateway, or one that is closed at once.
    pub async fn networkzero(&self) -> Result<Gateway, GatewayError> {
        Gateway::open(&self.node).await
    }
}
