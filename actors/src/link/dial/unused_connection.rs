//! A connection from its hello until it is used.

use meshzero_proto::wire::frame::{self, FrameKind, Header};

use crate::net::connection::Connection;

/// A connection for a handshake. Until it is used, dropping it also ends the link that the endpoint may have opened for it:
/// without a goodbye, the endpoint would take the connection for lost, and keep the link until its client resumes it.
#[derive(Debug)]
pub(crate) struct UnusedConnection {
    /// `None` once it is used.
    connection: Option<Connection>,
    /// Set once the endpoint may have opened a link.
    has_link: bool,
}

impl UnusedConnection {
    /// Wraps a connection on which no new link has been asked for.
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection: Some(connection), has_link: false }
    }

    /// Returns the connection, for the handshake.
    pub(crate) fn get(&self) -> &Connection {
        self.connection.as_ref().expect("it is not used yet")
    }

    /// Returns the connection, for the handshake.
    pub(crate) fn get_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it is not used yet")
    }

    /// Sets whether the endpoint may have opened a link: since the hello was sent, and until it is rejected.
    pub(crate) fn set_has_link(&mut self, has_link: bool) {
        self.has_link = has_link;
    }

    /// Returns the connection, which is used from now on.
    pub(crate) fn into_used(mut self) -> Connection {
        self.connection.take().expect("it is not used yet")
    }
}

impl Drop for UnusedConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.has_link) {
            let mut goodbye = Vec::new();
            frame::write(&mut goodbye, Header::new(FrameKind::Bye, 0), b"");
            let mut rest = &goodbye[..];
            // If the connection does not accept it, it is lost, which ends the link later.
            while let Ok(written @ 1..) = connection.writer.try_write(rest) {
                rest = &rest[written..];
            }
        }
    }
}
