//! A multicast DNS socket for one interface and family, to send questions and to receive.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use meshzero_proto::discovery::query::{LOOPBACK_DATAGRAM_BYTES, NETWORK_DATAGRAM_BYTES};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::interface_table::NetworkInterface;
use crate::net::socket::{self, MulticastFamily};

/// The longest datagram of mDNS, in bytes (RFC 6762 §17).
const DATAGRAM_BYTES: usize = 9_000;
/// The number of consecutive errors after which a socket counts as broken.
const MAX_ERRORS: usize = 8;

/// The purpose of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SocketPurpose {
    /// One-shot questions from a port of its own, and the replies to them.
    OneShot,
    /// Everything that is multicast to port 5353, and ordinary questions.
    Multicast,
}

/// One socket.
pub(crate) struct Channel {
    socket: UdpSocket,
    group: SocketAddr,
    /// The index of the interface: the zone of link-local addresses that are received.
    zone: u32,
    is_loopback: bool,
    datagram_bytes: usize,
    label: String,
}

impl Channel {
    /// Opens a socket.
    ///
    /// # Errors
    /// The system's error, for instance when the interface has just disappeared or another program holds the port exclusively.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn open(
        nic: &NetworkInterface,
        family: MulticastFamily,
        purpose: SocketPurpose,
    ) -> io::Result<Self> {
        let index = nic.index.unwrap_or(0);
        let (socket, group) = match purpose {
            SocketPurpose::OneShot => socket::one_shot_query_socket(family, index)?,
            SocketPurpose::Multicast => socket::multicast(family, index)?,
        };
        let label = match family {
            MulticastFamily::V4(ip) => format!("{} ({ip})", nic.name),
            MulticastFamily::V6 => format!("{} (IPv6)", nic.name),
        };
        // Every program of the host reads every question. Where many ask one-shot questions, known answers cost more than they
        // save; ordinary questions are rare, and all programs read each answer to them as well.
        let datagram_bytes = match purpose {
            SocketPurpose::Multicast if nic.is_loopback => LOOPBACK_DATAGRAM_BYTES,
            SocketPurpose::Multicast | SocketPurpose::OneShot => NETWORK_DATAGRAM_BYTES,
        };
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            group,
            zone: index,
            is_loopback: nic.is_loopback,
            datagram_bytes,
            label,
        })
    }

    /// Returns the index of its interface.
    pub(crate) fn zone(&self) -> u32 {
        self.zone
    }

    /// Returns the size of the longest question that it can send, in bytes.
    pub(crate) fn datagram_bytes(&self) -> usize {
        self.datagram_bytes
    }

    /// Returns whether it reaches this host only.
    pub(crate) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Sends a message to the multicast group.
    ///
    /// # Errors
    /// The system's error. A question is repeated, so the error may be temporary.
    pub(crate) fn ask(&self, message: &[u8]) -> io::Result<()> {
        // Bypassing the runtime, which does not know yet that a fresh socket is writable.
        socket2::SockRef::from(&self.socket).send_to(message, &self.group.into()).map(drop)
    }

    /// Waits for datagrams, and passes each to `on_datagram`: at most `max`, so that other tasks have their turn.
    ///
    /// # Errors
    /// The last of many consecutive errors: the socket is unusable.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(crate) async fn receive(
        &self,
        max: usize,
        mut on_datagram: impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<()> {
        let mut buffer = [0; DATAGRAM_BYTES];
        poll_fn(|cx| {
            for received in 0..max {
                match self.poll_datagram(cx, &mut buffer) {
                    Poll::Ready(Ok((from, length))) => on_datagram(from, &buffer[..length]),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if received == 0 => return Poll::Pending,
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn poll_datagram(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(SocketAddr, usize)>> {
        let mut errors = 0;
        loop {
            let mut read = ReadBuf::new(buffer);
            match self.socket.poll_recv_from(cx, &mut read) {
                Poll::Ready(Ok(from)) => return Poll::Ready(Ok((from, read.filled().len()))),
                // A pending error, such as of an interface that disappeared, is cleared by reading it.
                Poll::Ready(Err(error)) if errors < MAX_ERRORS => {
                    errors += 1;
                    tracing::debug!(channel = %self, %error, "a datagram could not be read");
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}
