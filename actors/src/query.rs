//! The one-shot question: asks every responder on the network directly, past mDNS's limit of one answer a second.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use meshzero_proto::advert::Advert;
use meshzero_proto::query::{Replied, Replies, question};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::interfaces::{Interface, Interfaces, InterfacesError};
use crate::socket::question_socket;

/// A datagram of mDNS is no longer than this.
const DATAGRAM_BYTES: usize = 9_000;
/// How many datagrams are read before the adverts in them are handed out.
const BATCH: usize = 64;
/// A socket that fails more often than this in a row is broken; the next search opens another.
const ERRORS_AT_ONCE: usize = 8;

/// Why a question cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The interfaces are unknown.
    #[error(transparent)]
    Interfaces(#[from] InterfacesError),
    /// There is no interface to ask on, or the system allows none; the error of the last one.
    #[error("no question can be asked on {interfaces}: {error}")]
    NoSocket {
        /// The interfaces that were tried.
        interfaces: String,
        /// What the system said.
        error: io::Error,
    },
}

/// The sockets that questions go out of and answers come back to, one for each interface.
#[derive(Debug)]
pub struct Query {
    sockets: Vec<(UdpSocket, SocketAddr)>,
    replies: Replies,
    buffer: Vec<u8>,
    question: Vec<u8>,
}

impl Query {
    /// Opens the sockets. An interface that fails is left out.
    ///
    /// # Errors
    /// [`QueryError`] when none is left.
    pub fn open(interfaces: &Interfaces) -> Result<Self, QueryError> {
        let list = interfaces.list()?;
        let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let mut sockets = Vec::new();
        for interface in asked(&list) {
            let opened = question_socket(interface)
                .and_then(|(socket, group)| Ok((UdpSocket::from_std(socket)?, group)));
            match opened {
                Ok(socket) => sockets.push(socket),
                Err(failed) => {
                    tracing::debug!(%interface, error = %failed, "no question can be asked here");
                    error = failed;
                }
            }
        }
        if sockets.is_empty() {
            return Err(QueryError::NoSocket { interfaces: interfaces.to_string(), error });
        }
        Ok(Self {
            sockets,
            replies: Replies::default(),
            buffer: vec![0; DATAGRAM_BYTES],
            question: question(),
        })
    }

    /// Asks once, on every interface. A socket that cannot send just now is left out: the question is repeated.
    pub fn ask(&self) {
        for (socket, group) in &self.sockets {
            // Straight to the system: the runtime does not know yet that a fresh socket is writable.
            let sent = socket2::SockRef::from(socket).send_to(&self.question, &(*group).into());
            if let Err(error) = sent {
                tracing::debug!(%group, %error, "a question was not sent");
            }
        }
    }

    /// The adverts in the next replies, each with the host that replied.
    ///
    /// Waits until at least one arrives.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub async fn heard(&mut self) -> Vec<(IpAddr, Advert)> {
        poll_fn(|cx| self.poll_heard(cx)).await
    }

    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Vec<(IpAddr, Advert)>> {
        let mut adverts = Vec::new();
        for _ in 0..BATCH {
            match self.poll_datagram(cx) {
                Poll::Ready((from, length)) => match self.replies.add(from, &self.buffer[..length]) {
                    Ok(Replied { adverts: more, invalid }) => {
                        let host = from.ip().to_canonical();
                        adverts.extend(more.into_iter().map(|advert| (host, advert)));
                        for (label, problem) in invalid {
                            tracing::debug!(%from, label, %problem, "a reply is no advert");
                        }
                    }
                    Err(problem) => tracing::debug!(%from, %problem, "not a reply"),
                },
                Poll::Pending if adverts.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(adverts),
            }
        }
        if adverts.is_empty() {
            // Others must get their turn even while nonsense pours in.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(adverts)
    }

    fn poll_datagram(&mut self, cx: &mut Context<'_>) -> Poll<(SocketAddr, usize)> {
        for (socket, _) in &self.sockets {
            // A pending error, such as an interface that went away, is taken off the socket by reading it.
            for _ in 0..ERRORS_AT_ONCE {
                let mut buffer = ReadBuf::new(&mut self.buffer);
                match socket.poll_recv_from(cx, &mut buffer) {
                    Poll::Ready(Ok(from)) => return Poll::Ready((from, buffer.filled().len())),
                    Poll::Ready(Err(error)) => tracing::debug!(%error, "a reply could not be read"),
                    Poll::Pending => break,
                }
            }
        }
        Poll::Pending
    }
}

/// IPv4 wherever there is some, because two families double every answer; IPv6 on interfaces that have nothing else.
fn asked(list: &[Interface]) -> impl Iterator<Item = &Interface> {
    list.iter()
        .enumerate()
        .filter(|(at, interface)| {
            let same = |other: &&Interface| other.name == interface.name;
            interface.address.ip.is_ipv4()
                || !(list.iter().filter(same).any(|other| other.address.ip.is_ipv4())
                    || list[..*at].iter().any(|other| same(&other)))
        })
        .map(|(_, interface)| interface)
}

#[cfg(test)]
mod tests {
    use meshzero_proto::addresses::OwnAddress;

    use super::*;

    #[test]
    fn each_interface_is_asked_once_in_one_family() {
        let interface = |name: &str, ip: &str| Interface {
            name: name.into(),
            index: Some(1),
            address: OwnAddress { ip: ip.parse().expect("an address"), prefix: 24 },
        };
        let list = [
            interface("eth0", "fe80::1"),
            interface("eth0", "10.0.0.1"),
            interface("v6only", "fe80::2"),
            interface("v6only", "2001:db8::2"),
        ];
        let asked: Vec<_> = asked(&list).map(|i| i.address.ip.to_string()).collect();
        assert_eq!(asked, ["10.0.0.1", "fe80::2"]);
    }
}
