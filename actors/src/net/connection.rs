//! One connection, as two halves: those of a TCP socket, at the cost of a branch for each system call, or of a Unix socket or
//! another network, at the cost of an indirect call.

use std::fmt::Debug;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::net::socket;

/// A connection between two nodes: an ordered stream of bytes in each direction.
#[derive(Debug)]
pub struct Connection {
    /// The receiving half.
    pub reader: ReadHalf,
    /// The sending half.
    pub writer: WriteHalf,
}

/// The receiving half of a connection.
#[derive(Debug)]
pub enum ReadHalf {
    /// Of a TCP socket.
    System(OwnedReadHalf),
    /// Of a Unix socket, or of another network.
    Other(Box<dyn CustomReadHalf>),
}

/// The sending half of a connection. Dropping it closes this direction.
#[derive(Debug)]
pub enum WriteHalf {
    /// Of a TCP socket.
    System(OwnedWriteHalf),
    /// Of a Unix socket, or of another network.
    Other(Box<dyn CustomWriteHalf>),
}

/// A [`ReadHalf`] of anything but TCP.
pub trait CustomReadHalf: AsyncRead + Debug + Send + Unpin {
    /// Returns the address of the other end.
    ///
    /// # Errors
    /// The address is no longer known.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the address of this end; `None` when it is no longer known.
    fn local_ip(&self) -> Option<IpAddr>;

    /// Makes closing discard all bytes that have not reached the other end, which sees a lost connection. Nothing is written
    /// after this.
    fn reset_on_close(&self);

    /// Returns the system's socket, if there is one, for reads that bypass tokio.
    fn socket(&self) -> Option<SockRef<'_>> {
        None
    }
}

/// A [`WriteHalf`] of anything but TCP. Several tasks may write, one at a time, and one task waits until it is writable.
pub trait CustomWriteHalf: Debug + Send + Sync {
    /// Accepts as many of the bytes as it has room for, without waiting, and returns their number.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if there is no room; any other if the connection is lost.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Like [`WriteHalf::try_write`], with several consecutive slices.
    ///
    /// # Errors
    /// Those of [`WriteHalf::try_write`].
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices.iter().find(|slice| !slice.is_empty()) {
            Some(slice) => self.try_write(slice),
            None => Ok(0),
        }
    }

    /// Polls until there may be room, or the connection is lost. `task` is woken then.
    fn poll_writable(&self, task: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Signals the other end that no more bytes follow. Bytes that were accepted still arrive.
    ///
    /// # Errors
    /// The connection is lost.
    fn shutdown(&self) -> io::Result<()>;

    /// Closes the connection when the other host has been silent for `timeout`, if everything that was sent has been
    /// acknowledged; with `even_if_unacknowledged`, also if not.
    fn keep_alive(&self, timeout: Duration, even_if_unacknowledged: bool);

    /// Returns whether it belongs to a Unix socket.
    fn is_unix(&self) -> bool {
        false
    }
}

impl Connection {
    /// Returns the address of the other end.
    ///
    /// # Errors
    /// The system's error, for instance if the other end is gone.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.reader {
            ReadHalf::System(reader) => reader.peer_addr(),
            ReadHalf::Other(reader) => reader.peer_addr(),
        }
    }

    /// Returns the IP address of this end; `None` when the system no longer knows it.
    pub(crate) fn local_ip(&self) -> Option<IpAddr> {
        match &self.reader {
            ReadHalf::System(reader) => reader.local_addr().ok().map(|address| address.ip()),
            ReadHalf::Other(reader) => reader.local_ip(),
        }
    }

    /// Sends small frames at once, and lets the system detect a host that vanished: after `idle` of silence it sends a probe
    /// every `idle`, three times. The system answers for a process that is busy or stopped, so such a process does not
    /// count as dead. Options that the system does not know are skipped.
    pub(crate) fn keep_alive(&self, idle: Duration) {
        match (&self.reader, &self.writer) {
            (ReadHalf::System(reader), _) => socket::keep_alive(reader.as_ref(), idle),
            (_, WriteHalf::System(writer)) => socket::keep_alive(writer.as_ref(), idle),
            (ReadHalf::Other(_), WriteHalf::Other(writer)) => {
                writer.keep_alive(idle.saturating_mul(socket::PROBES + 1), false);
            }
        }
    }

    /// Like [`Connection::keep_alive`], for a peer that always reads. There unacknowledged data means that the host is gone;
    /// elsewhere it may mean that the peer is busy, which must not end a connection.
    pub(crate) fn keep_alive_of_reading_peer(&self, idle: Duration) {
        self.keep_alive(idle);
        let timeout = idle.saturating_mul(socket::PROBES + 1);
        if let WriteHalf::Other(writer) = &self.writer {
            writer.keep_alive(timeout, true);
        }
        if let ReadHalf::System(reader) = &self.reader {
            socket::set_user_timeout(reader.as_ref(), timeout);
        }
    }
}

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: ReadHalf::System(reader), writer: WriteHalf::System(writer) }
    }
}

impl ReadHalf {
    /// Makes closing this connection discard all bytes that have not reached the other end. Otherwise the system would try to
    /// deliver them for minutes, and once the network works again, requests that a caller has given up would be handled after
    /// everything that was sent since over another connection.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Self::System(reader) => socket::set_reset_on_close(reader.as_ref()),
            Self::Other(reader) => reader.reset_on_close(),
        }
    }

    /// Returns the system's socket, if there is one, for reads that bypass tokio.
    pub(crate) fn socket(&self) -> Option<SockRef<'_>> {
        match self {
            Self::System(reader) => Some(SockRef::from(AsRef::<TcpStream>::as_ref(reader))),
            Self::Other(reader) => reader.socket(),
        }
    }
}

impl AsyncRead for ReadHalf {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::System(reader) => Pin::new(reader).poll_read(task, buffer),
            Self::Other(reader) => Pin::new(reader).poll_read(task, buffer),
        }
    }
}

impl WriteHalf {
    /// Writes as many of the bytes as are accepted without waiting, and returns their number.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if none are; any other if the connection is lost.
    #[inline]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::System(writer) => writer.try_write(bytes),
            Self::Other(writer) => writer.try_write(bytes),
        }
    }

    /// Like [`WriteHalf::try_write`], with several consecutive slices.
    ///
    /// # Errors
    /// Those of [`WriteHalf::try_write`].
    #[inline]
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::System(writer) => writer.try_write_vectored(slices),
            Self::Other(writer) => writer.try_write_vectored(slices),
        }
    }

    /// Waits until bytes may be accepted.
    ///
    /// # Errors
    /// The connection is lost.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::System(writer) => writer.writable().await,
            Self::Other(writer) => std::future::poll_fn(|task| writer.poll_writable(task)).await,
        }
    }

    /// Waits until all bytes are accepted.
    ///
    /// # Errors
    /// The connection is lost.
    ///
    /// # Cancel safety
    /// This method is not cancel safe: some of the bytes may have been written.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Keeps the system's queue of unsent bytes short, so that the next frame does not wait behind megabytes. Unix sockets and
    /// other networks queue little anyway.
    pub(crate) fn set_notsent_lowat(&self) {
        if let Self::System(writer) = self {
            socket::set_notsent_lowat(writer.as_ref());
        }
    }

    /// Returns whether it belongs to a Unix socket.
    pub(crate) fn is_unix(&self) -> bool {
        match self {
            Self::System(_) => false,
            Self::Other(writer) => writer.is_unix(),
        }
    }

    /// Signals the other end that no more bytes follow.
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::System(writer) => {
                let stream: &TcpStream = writer.as_ref();
                SockRef::from(stream).shutdown(Shutdown::Write)
            }
            Self::Other(writer) => writer.shutdown(),
        }
    }
}
