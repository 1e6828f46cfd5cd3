//! The halves of a connection over a Unix socket.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::net::connection::{Connection, CustomReadHalf, CustomWriteHalf, ReadHalf, WriteHalf};
use crate::net::socket;

/// The size of the system's send buffer, which Linux doubles for its own data. Measured against its default of 208 KiB: messages of
/// 64 KiB, and those to 10 links at once, 1.2 and 1.3 times as many a second. More gains nothing.
const SEND_BUFFER_BYTES: usize = 512 << 10;

/// Returns the connection over `stream`, whose other end counts as `peer`.
pub(super) fn connection(stream: UnixStream, peer: SocketAddr) -> Connection {
    let resized = SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
    socket::log_refused_option(resized, "large messages may take longer");
    let (reader, writer) = stream.into_split();
    Connection {
        reader: ReadHalf::Other(Box::new(UnixReadHalf { half: reader, peer })),
        writer: WriteHalf::Other(Box::new(UnixWriteHalf(writer))),
    }
}

#[derive(Debug)]
struct UnixReadHalf {
    half: OwnedReadHalf,
    /// The TCP address in whose place the other end is.
    peer: SocketAddr,
}

#[derive(Debug)]
struct UnixWriteHalf(OwnedWriteHalf);

impl AsyncRead for UnixReadHalf {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().half).poll_read(task, buffer)
    }
}

impl CustomReadHalf for UnixReadHalf {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }

    fn local_ip(&self) -> Option<IpAddr> {
        None
    }

    /// Has nothing to do: bytes that were sent are in the other end's queue already, and none arrive later.
    fn reset_on_close(&self) {}

    fn socket(&self) -> Option<SockRef<'_>> {
        Some(SockRef::from(AsRef::<UnixStream>::as_ref(&self.half)))
    }
}

impl CustomWriteHalf for UnixWriteHalf {
    #[inline]
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    #[inline]
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn poll_writable(&self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsRef::<UnixStream>::as_ref(&self.0).poll_write_ready(task)
    }

    fn shutdown(&self) -> io::Result<()> {
        SockRef::from(AsRef::<UnixStream>::as_ref(&self.0)).shutdown(Shutdown::Write)
    }

    /// Has nothing to do: this host does not vanish, and a process that ends closes its sockets.
    fn keep_alive(&self, _: Duration, _: bool) {}

    fn is_unix(&self) -> bool {
        true
    }
}
