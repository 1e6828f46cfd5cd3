//! One connection, as its two halves: the system's, at the cost of a branch for each system call, or another network's.

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

/// A connection between two nodes: bytes in order, both ways.
#[derive(Debug)]
pub struct Connection {
    /// The half for bytes that arrive.
    pub reader: ReadHalf,
    /// The half for bytes that leave.
    pub writer: WriteHalf,
}

/// The half of a connection that bytes arrive on.
#[derive(Debug)]
pub enum ReadHalf {
    /// The system's.
    System(OwnedReadHalf),
    /// Another network's.
    Other(Box<dyn CustomReadHalf>),
}

/// The half of a connection that bytes leave by. Dropping it tells the other end that no more come.
#[derive(Debug)]
pub enum WriteHalf {
    /// The system's.
    System(OwnedWriteHalf),
    /// Another network's.
    Other(Box<dyn CustomWriteHalf>),
}

/// A [`ReadHalf`] of another network.
pub trait CustomReadHalf: AsyncRead + Debug + Send + Unpin {
    /// The address of the other end.
    ///
    /// # Errors
    /// It is not known any more.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// The address of this end; `None` when it is not known any more.
    fn local_ip(&self) -> Option<IpAddr>;

    /// Takes back what has not reached the other end, which is told that the connection is lost. Nothing is written after this.
    fn reset_on_close(&self);
}

/// A [`WriteHalf`] of another network. Several may write, one after the other, and one waits until that is possible.
pub trait CustomWriteHalf: Debug + Send + Sync {
    /// Takes as many of the bytes as there is room for at once, and says how many.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] where there is room for none; any other when the connection is lost.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// As [`WriteHalf::try_write`], of several slices one after the other.
    ///
    /// # Errors
    /// As [`WriteHalf::try_write`].
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices.iter().find(|slice| !slice.is_empty()) {
            Some(slice) => self.try_write(slice),
            None => Ok(0),
        }
    }

    /// Ready when there may be room, or the connection is lost; until then `task` is woken once there is.
    fn poll_writable(&self, task: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tells the other end that no more bytes come. What was taken still arrives.
    ///
    /// # Errors
    /// The connection is lost.
    fn shutdown(&self) -> io::Result<()>;

    /// Gives the connection up when the other host has not answered for so long, although all that was sent has arrived; where
    /// `also_unacknowledged`, whether or not it has.
    fn keep_alive(&self, patience: Duration, also_unacknowledged: bool);
}

impl Connection {
    /// The address of the other end.
    ///
    /// # Errors
    /// The system's, for instance when the other end has gone.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.reader {
            ReadHalf::System(reader) => reader.peer_addr(),
            ReadHalf::Other(reader) => reader.peer_addr(),
        }
    }

    /// The IP address of this end; `None` when the system does not know it any more.
    pub(crate) fn local_ip(&self) -> Option<IpAddr> {
        match &self.reader {
            ReadHalf::System(reader) => reader.local_addr().ok().map(|address| address.ip()),
            ReadHalf::Other(reader) => reader.local_ip(),
        }
    }

    /// Sends small frames at once, and lets the system notice a host that vanished: after `idle` of silence it is asked
    /// every `idle`, three times. The system answers for a process that is busy or stopped, so that one is not taken for
    /// dead. A system that does not know such an option goes without.
    pub(crate) fn keep_alive(&self, idle: Duration) {
        match (&self.reader, &self.writer) {
            (ReadHalf::System(reader), _) => socket::keep_alive(reader.as_ref(), idle),
            (_, WriteHalf::System(writer)) => socket::keep_alive(writer.as_ref(), idle),
            (ReadHalf::Other(_), WriteHalf::Other(writer)) => {
                writer.keep_alive(idle.saturating_mul(socket::PROBES + 1), false);
            }
        }
    }

    /// As [`Connection::keep_alive`], where the other end always reads. There data that is not acknowledged means that the
    /// host is gone; elsewhere it may mean that the peer is busy, which must not end a connection.
    pub(crate) fn keep_alive_of_reading_peer(&self, idle: Duration) {
        self.keep_alive(idle);
        let patience = idle.saturating_mul(socket::PROBES + 1);
        if let WriteHalf::Other(writer) = &self.writer {
            writer.keep_alive(patience, true);
        }
        if let ReadHalf::System(reader) = &self.reader {
            socket::set_user_timeout(reader.as_ref(), patience);
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
    /// Sees to it that closing a connection takes back what has not reached the other end. Otherwise the system goes on trying
    /// to deliver it for minutes, and what a caller had given up is handled after all once the network is there again, behind
    /// all that was sent since over another connection.
    pub(crate) fn abandon(&self) {
        match self {
            Self::System(reader) => socket::set_reset_on_close(reader.as_ref()),
            Self::Other(reader) => reader.reset_on_close(),
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
    /// Hands over as many of the bytes as are taken at once, and says how many.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] where none are; any other when the connection is lost.
    #[inline]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::System(writer) => writer.try_write(bytes),
            Self::Other(writer) => writer.try_write(bytes),
        }
    }

    /// As [`WriteHalf::try_write`], of several slices one after the other.
    ///
    /// # Errors
    /// As [`WriteHalf::try_write`].
    #[inline]
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::System(writer) => writer.try_write_vectored(slices),
            Self::Other(writer) => writer.try_write_vectored(slices),
        }
    }

    /// Waits until bytes may be taken.
    ///
    /// # Errors
    /// The connection is lost.
    ///
    /// # Cancel safety
    /// Loses nothing.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::System(writer) => writer.writable().await,
            Self::Other(writer) => std::future::poll_fn(|task| writer.poll_writable(task)).await,
        }
    }

    /// Waits until all bytes are taken.
    ///
    /// # Errors
    /// The connection is lost.
    ///
    /// # Cancel safety
    /// Not cancel-safe: some of the bytes may have been taken.
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

    /// Lets the system take more only when it has sent most of what it has, so that what is written next does not wait behind
    /// megabytes. Other networks keep little anyway.
    pub(crate) fn set_notsent_lowat(&self) {
        if let Self::System(writer) = self {
            socket::set_notsent_lowat(writer.as_ref());
        }
    }

    /// Tells the other end that no more bytes come.
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
