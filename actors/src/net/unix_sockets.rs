//! Unix sockets beside TCP: an endpoint that listens at an address also listens at a Unix socket that is named after it, to which
//! programs of the same user on this host connect instead.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::task::{Context, Poll, ready};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Uid;
use socket2::{Domain, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use self::name::SocketName;
use crate::net::connection::Connection;
use crate::net::socket;
use crate::net::zone::ZonedAddress;

mod name;
mod stream;

/// Set on systems that have Unix sockets.
pub(crate) const ARE_SUPPORTED: bool = true;

/// The Unix socket beside a listener. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: UnixListener,
    name: SocketName,
}

impl Listener {
    /// Opens the Unix socket beside the TCP listener at `address`; `None` if that is impossible, for instance because another
    /// program holds the name. Then all clients use TCP.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn open(address: SocketAddr) -> Option<Self> {
        match Self::open_at(SocketName::of(address)) {
            Ok(listener) => Some(listener),
            Err(error) => {
                let address = ZonedAddress(address);
                tracing::debug!(%address, %error, "no Unix socket beside a listener; programs of this host use TCP");
                None
            }
        }
    }

    fn open_at(name: SocketName) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        name.prepare()?;
        socket.bind(&name.to_address()?)?;
        socket.listen(socket::BACKLOG)?;
        Ok(Self { socket: UnixListener::from_std(StdListener::from(socket))?, name })
    }

    /// Polls for the next connection of a program of the same user, whose end counts as `from`.
    ///
    /// # Errors
    /// The system's error; [`io::ErrorKind::NotConnected`] if the socket was shut down.
    pub(crate) fn poll_accept(
        &self,
        task: &mut Context<'_>,
        from: SocketAddr,
    ) -> Poll<io::Result<Connection>> {
        loop {
            let stream = ready!(self.poll_stream(task))?;
            match check_user(&stream, Uid::effective()) {
                Ok(()) => return Poll::Ready(Ok(stream::connection(stream, from))),
                Err(error) => tracing::debug!(%error, "closed a connection to a Unix socket"),
            }
        }
    }

    /// Polls for the next connection, of whichever user.
    fn poll_stream(&self, task: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        match self.socket.poll_accept(task) {
            Poll::Ready(accepted) => Poll::Ready(accepted.map(|(stream, _)| stream)),
            // Linux reports no error of a listener that was shut down, so tokio would poll it without end.
            Poll::Pending if self.is_shut_down() => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_shut_down(&self) -> bool {
        // The end is reported without being asked for.
        let mut watched = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
        let has_event = poll(&mut watched, PollTimeout::ZERO).is_ok_and(|count| count > 0);
        has_event && watched[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.name.free();
    }
}

/// Connects to the Unix socket of the listener to which a TCP connection to `address`, which is one of this host, would lead.
/// Returns `None` if there is none, if it belongs to another user, or if its queue is full. Does not wait.
///
/// # Panics
/// Outside of a tokio runtime.
pub(crate) fn connect(address: SocketAddr) -> Option<Connection> {
    for listener in name::listeners_for(address) {
        match connect_to(&SocketName::of(listener)) {
            Ok(stream) => return Some(stream::connection(stream, address)),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {}
            Err(error) => {
                let address = ZonedAddress(address);
                tracing::debug!(%address, %error, "a Unix socket cannot be used; using TCP");
                return None;
            }
        }
    }
    None
}

fn connect_to(name: &SocketName) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Before connecting: it would wait while the queue of the listener is full.
    socket.set_nonblocking(true)?;
    socket.connect(&name.to_address()?)?;
    let stream = UnixStream::from_std(StdStream::from(socket))?;
    check_user(&stream, Uid::effective())?;
    Ok(stream)
}

/// Checks that the process at the other end of `stream` runs as `user`. Names of Unix sockets are not reserved for anyone.
fn check_user(stream: &UnixStream, user: Uid) -> io::Result<()> {
    let other = stream.peer_cred()?.uid();
    if other == user.as_raw() {
        return Ok(());
    }
    let refused = format!("the process at the other end belongs to the user {other}, not {user}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, refused))
}

#[cfg(test)]
mod tests;
