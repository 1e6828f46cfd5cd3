//! The reader of one multicast socket, which passes its messages to the actor.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use meshzero_proto::discovery::advert::Advert;
use meshzero_proto::discovery::query::{ForeignQuestions, ReplyAssembler, ReplyTotals};
use meshzero_proto::id::InstanceId;

use crate::discovery::mdns::channel::{Channel, SocketPurpose};
use crate::net::socket::MDNS_PORT;
use crate::runtime::clock;

/// The most datagrams of one socket that are sent to the actor in one message.
const MAX_DATAGRAMS: usize = 64;
/// The time after which incomplete records are dropped.
const INCOMPLETE_TIMEOUT: Duration = Duration::from_secs(5);

/// The messages that one socket has received.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct ReceivedMessages {
    pub(crate) purpose: SocketPurpose,
    pub(crate) adverts: Vec<(IpAddr, Advert)>,
    pub(crate) gone: Vec<InstanceId>,
    pub(crate) questions: Vec<(IpAddr, ForeignQuestions)>,
    /// The hosts from which the messages come.
    pub(crate) hosts: Vec<IpAddr>,
}

/// Reads one socket until it fails, and passes on its messages, at most one at a time. Returns the error of the socket.
pub(super) async fn read(
    channel: Rc<Channel>,
    purpose: SocketPurpose,
    recipient: Recipient<ReceivedMessages>,
) -> Option<io::Error> {
    let mut replies = ReplyAssembler::on_interface(channel.zone());
    let mut cleaned_at = clock::now();
    loop {
        let mut received = ReceivedMessages {
            purpose,
            adverts: Vec::new(),
            gone: Vec::new(),
            questions: Vec::new(),
            hosts: Vec::new(),
        };
        let read =
            channel.receive(MAX_DATAGRAMS, |from, bytes| received.add(from, bytes, &mut replies)).await;
        if let Err(error) = read {
            // The actor opens another when it checks its interfaces.
            return Some(error);
        }
        let now = clock::now();
        if now.saturating_duration_since(cleaned_at) >= INCOMPLETE_TIMEOUT {
            replies.forget_incomplete();
            cleaned_at = now;
        }
        // Sending also fails if the handler panicked; the next message may succeed then.
        if !received.is_empty() && recipient.send(received).await.is_err() && !recipient.connected() {
            return None;
        }
    }
}

impl ReceivedMessages {
    fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    fn add(&mut self, from: SocketAddr, bytes: &[u8], replies: &mut ReplyAssembler) {
        let host = from.ip().to_canonical();
        let is_response = bytes.get(2).is_some_and(|flags| flags & 0x80 != 0);
        let problem = if is_response {
            replies.add(from, bytes).map(|ReplyTotals { adverts, gone, invalid }| {
                for (label, problem) in invalid {
                    tracing::debug!(%from, label, %problem, "ignoring an invalid announcement");
                }
                if adverts.is_empty() && gone.is_empty() {
                    return;
                }
                self.record_host(host);
                self.adverts.extend(adverts.into_iter().map(|advert| (host, advert)));
                self.gone.extend(gone);
            })
        } else if from.port() == MDNS_PORT {
            ForeignQuestions::parse(bytes).map(|foreign| {
                if !foreign.questions.is_empty() {
                    self.record_host(host);
                    self.questions.push((host, foreign));
                }
            })
        } else {
            // A one-shot question: only its sender gets the answers, so it is not parsed.
            self.record_host(host);
            Ok(())
        };
        if let Err(problem) = problem {
            tracing::debug!(%from, %problem, "ignoring a datagram that is not an mDNS message");
        }
    }

    fn record_host(&mut self, host: IpAddr) {
        if !self.hosts.contains(&host) {
            self.hosts.push(host);
        }
    }
}
