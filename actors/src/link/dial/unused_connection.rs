//! A connection from its hello until it is used.

use meshzero_proto::wire::frame::{self, FrameKind, Header};

use crate::net::connection::Connection;

/// A connection that sends a hello. Until it is used, dropping it also ends the link that the endpoint may have opened for it:
/// without a goodbye, the endpoint would take the connection for lost, and keep the link until its client resumes it.
#[derive(Debug)]
pub(crate) struct UnusedConnection {
    /// `None` once it is used.
    connection: Option<Connection>,
    opens_link: bool,
}

impl UnusedConnection {
    /// Wraps a new connection. `opens_link` is set if its hello asks for a new link.
    pub(crate) fn new(connection: Connection, opens_link: bool) -> Self {
        Self { connection: Some(connection), opens_link }
    }

    /// Returns the connection, for the handshake.
    pub(crate) fn get(&self) -> &Connection {
        self.connection.as_ref().expect("it is not used yet")
    }

    /// Returns the connection, for the handshake.
    pub(crate) fn get_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it is not used yet")
    }

    /// Returns the connection, which is used from now on.
    pub(crate) fn into_used(mut self) -> Connection {
        self.connection.take().expect("it is not used yet")
    }
}

impl Drop for UnusedConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.opens_link) {
            let mut goodbye = Vec::new();
            frame::write(&mut goodbye, Header::new(FrameKind::Bye, 0), b"");
            // If the connection does not accept it, it is lost, which ends the link later.
            let _ = connection.writer.try_write(&goodbye);
        }
    }
}
